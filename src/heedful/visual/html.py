"""A self-contained page that shows the attention of the word under the pointer or the keyboard focus; and its JSON."""

import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from heedful._files import write_whole

from .alignment import Alignment, copies_line, visible

_DIGITS = 6
# a page of 40 words, 6 layers and 8 heads, three times, stays below 2 MB
_HEAD_DIGITS = 3


def page(alignments: Sequence[Alignment], title: str = "Attention") -> str:
    """The page as one string of HTML, without any outer resource; it follows the reader's dark or light preference.

    The weights stand in it as JSON (`to_json`) in the element "heedful-data", and as tables for readers without
    JavaScript. Tokens, captions and title may hold anything: they are escaped. Raises ValueError without alignments.

    >>> import numpy as np
    >>> text = page([Alignment(["the", "cat"], ["le", "chat"], np.eye(2))], "Cats & dogs")
    >>> "<h1>Cats &amp; dogs</h1>" in text, "https:" in text
    (True, False)
    """
    return Template(asset("page.html")).substitute(
        title=escape(visible(title)),
        style=asset("page.css"),
        script=asset("theme.js", "page.js"),
        # inside a script element only "<" could end it early
        data=to_json(alignments).replace("<", r"\u003c"),
        sentences="".join(_article(number, alignment) for number, alignment in enumerate(alignments, start=1)),
    )


def asset(*names: str, package: str = "heedful.visual") -> str:
    """Files that pages are made of, such as "page.css" and "page.js", one after another."""
    return "\n".join(files(package).joinpath(name).read_text(encoding="utf-8") for name in names)


def write_page(alignments: Sequence[Alignment], path: str | os.PathLike[str], title: str = "Attention") -> Path:
    """Write `page` to a file, whole or not at all, and return its path."""
    return write_whole(path, page(alignments, title))


def to_json(alignments: Sequence[Alignment], more: Sequence[Mapping[str, Any]] = ()) -> str:
    """Tokens, weights and captions as JSON: {"format", "version", "sentences": [{"source", "target", "weights", ...}]}.

    `weights[t][s]` says how much target token t looked at source token s, to six decimals; `heads` holds the same for
    each of its names, to three; `copied[t]`, of a model that copies, how much of token t came from that. `more` has
    further keys of each sentence, or is empty.

    >>> import numpy as np
    >>> text = to_json([Alignment(["the", "cat"], ["chat"], np.array([[0.25, 0.75]]))])
    >>> json.loads(text)["sentences"][0]["weights"]
    [[0.25, 0.75]]
    """
    if not alignments:
        raise ValueError("there are no alignments; expected at least one")
    sentences = [
        {
            "source": alignment.source,
            "target": alignment.target,
            "weights": alignment.weights.round(_DIGITS).tolist(),
            "caption": alignment.caption,
            "heads": {name: weights.round(_HEAD_DIGITS).tolist() for name, weights in alignment.heads.items()},
            **({"copied": [round(share, _DIGITS) for share in alignment.copied]} if alignment.copied else {}),
            **further,
        }
        for alignment, further in zip(alignments, more or [{}] * len(alignments), strict=True)
    ]
    return json.dumps({"format": "heedful.alignments", "version": 1, "sentences": sentences}, ensure_ascii=False)


def write_json(
    alignments: Sequence[Alignment], path: str | os.PathLike[str], more: Sequence[Mapping[str, Any]] = ()
) -> Path:
    """Write `to_json` to a file, whole or not at all, and return its path."""
    return write_whole(path, to_json(alignments, more) + "\n")


def _article(number: int, alignment: Alignment) -> str:
    caption = f'<p class="caption" dir="auto">{escape(visible(alignment.caption))}</p>\n' if alignment.caption else ""
    return (
        f'<article aria-label="sentence {number}">\n{_choice(number, alignment)}<div class="stage">\n'
        '<svg class="threads" aria-hidden="true"></svg>\n'
        f"{_words('source', alignment.source)}{_words('target', alignment.target, alignment.copies)}</div>\n"
        f'<p class="readout" aria-live="polite"></p>\n{_copies(alignment)}{caption}'
        f'<details><summary>all weights, in percent</summary><div class="scroll">{_table(alignment)}</div></details>\n'
        "</article>\n"
    )


def _choice(number: int, alignment: Alignment) -> str:
    """Which weights the sentence shows, where there are several; of use with JavaScript alone."""
    if not alignment.heads:
        return ""
    options = "".join(f"<option>{escape(visible(name))}</option>" for name in ("all, mean", *alignment.heads))
    return (
        f'<p class="choice" hidden><label for="heads-{number}">Weights of</label> '
        f'<select class="heads" id="heads-{number}">{options}</select></p>\n'
    )


def _copies(alignment: Alignment) -> str:
    """What was copied, as a line."""
    line = copies_line(alignment, " (underlined)")
    return f'<p class="caption">{escape(line)}</p>\n' if line else ""


def _words(side: str, tokens: Sequence[str], copies: Sequence[bool] = ()) -> str:
    kinds = ["word copied" if copied else "word" for copied in copies] or ["word"] * len(tokens)
    buttons = "".join(
        f'<button type="button" class="{kind}" data-side="{side}" data-at="{i}" tabindex="{0 if i == 0 else -1}" '
        f'aria-pressed="false"><span class="text">{escape(visible(token))}</span><span class="share"></span></button>\n'
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
    )
    return f'<div class="words" role="group" aria-label="{side} words" dir="auto">\n{buttons}</div>\n'


def _table(alignment: Alignment) -> str:
    heads = "".join(f'<th scope="col">{escape(visible(token))}</th>' for token in alignment.source)
    rows = "".join(
        f'<tr data-at="{t}"><th scope="row">{escape(visible(token))}</th>{"".join(map(_cell, weights))}</tr>\n'
        for t, (token, weights) in enumerate(zip(alignment.target, alignment.weights, strict=True))
    )
    return f"<table>\n<thead><tr><th></th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table>"


def _cell(weight: float) -> str:
    shown = f"{100 * weight:.0f}" if weight >= 0.01 else ""
    hot = ' class="hot"' if weight > 0.55 else ""
    return f'<td{hot} style="--weight:{min(weight, 1.0):.3f}">{shown}</td>'
