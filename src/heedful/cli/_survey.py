"""What `heedful inspect` shows of a survey: tables and bars of characters."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ._shell import one_line, skipped_lines

if TYPE_CHECKING:
    from heedful.data.survey import Side, Survey

BARS = " ▁▂▃▄▅▆▇█"
BARS_SHOWN = 30
VOCABULARIES = (1000, 2000, 4000, 8000, 16000, 32000)
LONGEST_SHOWN = 160


def report(
    survey: "Survey", origin: str, skipped: dict[str, int], validation: Sequence[str]
) -> Iterator[RenderableType]:
    """The parts of the report, one under the other.

    Args:
        survey: finished.
        origin: what to call the pairs.
        skipped: what was left out of them, by reason.
        validation: source sentences that should not be among them.
    """
    left_out = f"; left out {skipped_lines(skipped)}" if skipped else ""
    yield Text(f"{survey.count:,} pairs from {origin}{left_out}.\n")
    yield sides(survey)
    yield histograms(survey)
    yield coverage(survey)
    yield repetitions(survey, validation)
    yield oddities(survey)
    yield pairs_table("A few pairs", survey.samples)


def sides(survey: "Survey") -> Table:
    """Counts and lengths of both sides."""
    table = _table("", "source", "target")
    both = survey.source, survey.target
    lengths = [np.asarray(side.lengths) for side in both]
    rows: dict[str, list[str]] = {
        "words": [f"{int(values.sum()):,}" for values in lengths],
        "  different": [f"{len(side.words):,}" for side in both],
        "  seen only once": [f"{sum(count == 1 for count in side.words.values()):,}" for side in both],
        "words of a sentence": [f"{values.mean():.1f}" for values in lengths],
        "  half have up to": [f"{np.median(values):.0f}" for values in lengths],
        "  99 % have up to": [f"{np.percentile(values, 99):.0f}" for values in lengths],
        "  the longest has": [f"{values.max()}" for values in lengths],
        "characters of a word": [f"{_mean_word(side):.1f}" for side in both],
        "different characters": [f"{len(side.alphabet):,}" for side in both],
        "script": [side.script for side in both],
        "sentences with no-break spaces": [f"{side.no_break_spaces:,}" for side in both],
        "sentences not in Unicode NFC": [f"{side.not_nfc:,}" for side in both],
    }
    if survey.source.tokens:
        tokens = [np.asarray(side.tokens) for side in both]
        rows["tokens of a sentence"] = [f"{values.mean():.1f}" for values in tokens]
        rows["  99 % have up to so many"] = [f"{np.percentile(values, 99):.0f}" for values in tokens]
        unknown = [side.unknown / max(values.sum(), 1) for side, values in zip(both, tokens, strict=True)]
        rows["  unknown to the model"] = [f"{part:.2%}" for part in unknown]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def histograms(survey: "Survey") -> Table:
    """How many sentences have how many words, as bars."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    for name, side in (("source", survey.source), ("target", survey.target)):
        values = np.asarray(side.lengths)
        top = max(int(np.ceil(np.percentile(values, 99.5))), 2)
        # one bar for each length, or for equally many lengths
        edges = np.arange(0.5, top + 1, -(-top // BARS_SHOWN))
        table.add_row(f"words, {name}", Text(bars(values, edges)), f"1 to {int(edges[-1])} or more")
    ratios = survey.ratios()
    top = max(float(np.percentile(ratios, 99.5)), 1.0)
    shown = bars(ratios, np.linspace(0, top, BARS_SHOWN + 1))
    table.add_row("target words per source word", Text(shown), f"0 to {top:.1f}, median {np.median(ratios):.2f}")
    return table


def bars(values: np.ndarray, edges: np.ndarray) -> str:
    """A histogram in one line; what is beyond the last edge counts to the last bar.

    >>> bars(np.array([1, 1, 1, 1, 1, 1, 1, 1, 2, 7]), np.array([0.5, 1.5, 2.5, 3.5]))
    '█▁▁'
    """
    counts, _ = np.histogram(np.minimum(values, edges[-1]), edges)
    # every non-empty bin is visible
    heights = np.ceil(counts / max(counts.max(), 1) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def coverage(survey: "Survey") -> Table:
    """How much of the text the most frequent words are: what a vocabulary of words would know."""
    table = _table("\nmost frequent words", "are of the source", "of the target")
    both = survey.source.coverage(), survey.target.coverage()
    for size in VOCABULARIES:
        table.add_row(f"{size:,}", *(f"{part[min(size, len(part)) - 1]:.1%}" if len(part) else "-" for part in both))
        if size >= max(map(len, both)):
            break
    return table


def repetitions(survey: "Survey", validation: Sequence[str]) -> Text:
    """What occurs more than once, and what should not occur."""
    lines = [
        f"\npairs that occurred before: {survey.repeated_pairs():,}",
        f"source sentences that stand there more than once: {survey.repeated_sources():,}",
        f"target sentences that stand there more than once: {survey.repeated_targets():,}",
    ]
    if validation:
        shared = survey.shared_sources(validation)
        lines.append(f"of {len(validation):,} validation sentences, also learned from: {shared:,}")
    return Text("\n".join(lines) + "\n")


def oddities(survey: "Survey") -> RenderableType:
    """Pairs that are worth a look, most frequent reason first."""
    if not survey.odd:
        return Text("odd pairs: none\n")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=True)
    for header, justify in (("odd pairs", "right"), ("", "left"), ("such as", "left")):
        table.add_column(header, justify=justify, overflow="fold")  # pyright: ignore[reportArgumentType]
    for reason, count in survey.odd.most_common():
        examples = "\n".join(f"{_short(source)}  |  {_short(target)}" for source, target in survey.examples[reason])
        table.add_row(f"{count:,}", reason, Text(examples))
    return table


def pairs_table(title: str, pairs: Sequence[tuple[str, str]]) -> Table:
    """Pairs side by side."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(title, overflow="fold")
    table.add_column("", overflow="fold")
    for source, target in pairs:
        table.add_row(Text(_short(source)), Text(_short(target)))
    return table


def _table(*headers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left", no_wrap=True)
    return table


def _mean_word(side: "Side") -> float:
    letters = sum(len(word) * count for word, count in side.words.items())
    return letters / max(sum(side.words.values()), 1)


def _short(sentence: str) -> str:
    sentence = "".join(char if char.isprintable() else "\ufffd" for char in one_line(sentence))
    return sentence if len(sentence) <= LONGEST_SHOWN else f"{sentence[: LONGEST_SHOWN - 4]} ..."
