"""Texts whose words are marked the more strongly the more a model looked at them, as a self-contained page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from heedful._files import write_whole

from .alignment import visible

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.9 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
article { border-top: 1px solid #8886; padding: 1rem 0; }
.caption { color: #777; font-size: 0.9rem; margin: 0 0 0.4rem; }
""".strip()
# how marked words look, on a page of any kind
MARKS = """
mark { color: inherit; background: rgb(255 200 0 / var(--share)); border-radius: 0.2em; padding: 0.1em 0.15em; }
p:has(.sentence) { margin: 0.3rem 0; padding-left: 3.4rem; text-indent: -3.4rem; }
.sentence { background: rgb(70 140 255 / var(--share)); display: inline-block; width: 2.9rem; }
.sentence { text-align: right; text-indent: 0; }
""".strip()


@dataclass(frozen=True, eq=False)
class Reading:
    """A text and how much a model looked at each of its words.

    words: as a person should read them
    weights: [words], finite and from 0 up
    caption: a line to stand above the text, for example what the model answered
    lines: of a document, how many words each of its sentences has; each then is a line, marked by the sum of its words

    Raises ValueError when the weights do not fit the words.
    """

    words: Sequence[str]
    weights: np.ndarray
    caption: str = ""
    lines: Sequence[int] = ()

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        if isinstance(self.words, str) or weights.shape != (len(self.words),):
            raise ValueError(f"weights have shape {weights.shape} but there are {len(self.words)} words; give one each")
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError("weights hold negative numbers, NaN or infinity; expected finite numbers from 0 up")
        if self.lines and (sum(self.lines) != len(self.words) or min(self.lines) < 1):
            raise ValueError(f"lines are {[*self.lines]} but there are {len(self.words)} words; give each a line")
        object.__setattr__(self, "weights", weights)

    @property
    def line_slices(self) -> list[slice]:
        """Where the words of each line stand; one line for all where there are no `lines`."""
        ends = np.cumsum(self.lines or [len(self.words)]).tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    @property
    def line_weights(self) -> np.ndarray:
        """The sum over the words of each line."""
        return np.array([self.weights[line].sum() for line in self.line_slices])


def highlights(readings: Sequence[Reading], title: str = "Attention") -> str:
    """The page as one string of HTML; the word looked at most has the full colour, the others their share of it.

    Words, captions and title may hold anything: they are escaped. Raises ValueError without readings.

    >>> page = highlights([Reading(["so", "good"], np.array([0.2, 0.8]), "positive")])
    >>> '<mark style="--share:0.250" title="20.0 %">so</mark>' in page
    True
    """
    if not readings:
        raise ValueError("there are no readings; expected at least one")
    articles = "\n".join(map(_article, readings))
    heading = escape(visible(title))
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{heading}</title>\n'
        f"<style>\n{_STYLE}\n{MARKS}\n</style></head>\n<body>\n<h1>{heading}</h1>\n{articles}\n</body>\n</html>\n"
    )


def write_highlights(readings: Sequence[Reading], path: str | os.PathLike[str], title: str = "Attention") -> Path:
    """Write `highlights` to a file, whole or not at all, and return its path."""
    return write_whole(path, highlights(readings, title))


def marked_lines(reading: Reading) -> str:
    """The marked words of a text as paragraphs of HTML, one for each line.

    >>> marked_lines(Reading(["so", "good"], np.array([0.0, 0.8]))).count("<mark")
    2
    """
    words = _marks(reading.words, reading.weights)
    sentences = _marks([f"{weight:.0%}" for weight in reading.line_weights], reading.line_weights, "sentence")
    lines = [" ".join(words[line]) for line in reading.line_slices]
    if reading.lines:
        lines = [f"{sentence} {line}" for sentence, line in zip(sentences, lines, strict=True)]
    return "\n".join(f"<p>{line}</p>" for line in lines)


def _article(reading: Reading) -> str:
    caption = f'<p class="caption">{escape(visible(reading.caption))}</p>\n' if reading.caption else ""
    return f'<article dir="auto">\n{caption}{marked_lines(reading)}\n</article>'


def _marks(texts: Sequence[str], weights: np.ndarray, kind: str = "") -> list[str]:
    """Each text marked by its share of the largest weight."""
    top = float(weights.max(initial=0)) or 1.0
    start = f'<mark class="{kind}"' if kind else "<mark"
    return [
        f'{start} style="--share:{weight / top:.3f}" title="{100 * weight:.1f} %">{escape(visible(text))}</mark>'
        for text, weight in zip(texts, weights, strict=True)
    ]
