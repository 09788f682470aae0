"""Several models side by side: curves of their quality, and a self-contained page of tables and pictures."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from heedful._files import write_whole

from .alignment import visible
from .curves import furnish
from .fonts import font_families
from .heatmap import figure_bytes
from .highlight import MARKS, Reading, marked_lines
from .style import INK, PAPER, SERIES

# characters of a cell with numbers, at most: two of them and what is between
NUMBER = 20
# a colour returns with the next of these
STYLES = ("-", "--", ":", "-.")
_STYLE = """
:root { color-scheme: light; --ink: #1d2033; --quiet: #646a80; --rule: #e1e4ee; --paper: #f4f5f9; --card: #fff; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { margin: 0 0 0.5rem; font-size: 1.6rem; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.75rem; font-size: 1.05rem; overflow-wrap: anywhere; }
header p { max-width: 48rem; }
.note { color: var(--quiet); }
section { margin: 1.25rem 0; padding: 1.25rem 1.5rem; border: 1px solid var(--rule); border-radius: 14px;
  background: var(--card); overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.3rem 1rem 0.3rem 0; border-top: 1px solid var(--rule); text-align: start; vertical-align: top; }
th { font-weight: 600; }
thead th { border-top: 0; color: var(--quiet); font-weight: 400; }
svg { max-width: 100%; min-width: 38rem; height: auto; }
.numbers td { white-space: nowrap; }
td p { margin: 0; }
td:has(mark) { min-width: 12rem; }
""".strip()


@dataclass(frozen=True)
class Table:
    """Cells under a header, below a title; the first column names the rows. A cell is text, or marked words."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Reading]]


@dataclass(frozen=True, eq=False)
class Quality:
    """One model, as it learned and as it ended.

    label: which
    curves: steps and quality at each validation, [checks] each, a pair for each training
    parts: quality in each part of the test set, [parts]; NaN leaves a gap
    """

    label: str
    curves: Sequence[tuple[np.ndarray, np.ndarray]]
    parts: np.ndarray


@dataclass(frozen=True)
class Axes:
    """What `draw_quality` writes: over the curves, over the parts, and below the parts."""

    curves: str
    parts: str
    sizes: str


def draw_quality(models: Sequence[Quality], part_labels: Sequence[str], axes: Axes) -> Figure:
    """The quality on the validation set step by step, a line for each training, and beside it that of the parts.

    Raises ValueError without models.

    >>> model = Quality("luong", [(np.array([10, 20]), np.array([1.0, 3.0]))], np.array([4.0, 2.0]))
    >>> axes = Axes("BLEU in validation", "BLEU on the test pairs", "words of the source")
    >>> len(draw_quality([model], ["1-5", "6+"], axes).axes)
    2
    """
    if not models:
        raise ValueError("there are no models; expected at least one")
    figure = Figure(figsize=(12.8, 4.2), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14)
    FigureCanvasAgg(figure)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    families = font_families([axes.parts, *(model.label for model in models)])
    furnish(left, axes.curves, "updates", families)
    furnish(right, axes.parts, axes.sizes, families)
    places = np.arange(len(part_labels))
    for number, model in enumerate(models):
        look: dict[str, Any] = {
            "color": SERIES[number % len(SERIES)],
            "linestyle": STYLES[number // len(SERIES) % len(STYLES)],
        }
        for steps, values in model.curves:
            left.plot(steps, values, linewidth=1.4, marker=".", **look)
        right.plot(places, model.parts, linewidth=1.8, marker="o", markersize=4, label=model.label, **look)
    right.set_xticks(places, part_labels)
    figure.legend(loc="outside right upper", frameon=False, labelcolor=INK, prop={"family": families, "size": 10})
    return figure


def report(title: str, told: Sequence[str], tables: Sequence[Table], pictures: Sequence[Figure] = ()) -> str:
    """The page as one string of HTML, without any outer resource: what is told, the pictures, the tables.

    Texts may hold anything: they are escaped.

    >>> text = report("A & B", ["B is better."], [Table("Scores", ["model", "BLEU"], [["A", "1.0"], ["B", "2.0"]])])
    >>> "<h1>A &amp; B</h1>" in text, "<td>2.0</td>" in text, "https:" in text
    (True, True, False)
    """
    lines = "\n".join(f"<p>{_text(line)}</p>" for line in told)
    drawn = "\n".join(f"<section>\n{_inline(picture)}\n</section>" for picture in pictures)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f'<meta name="generator" content="heedful">\n<title>{_text(title)}</title>\n'
        f"<style>\n{_STYLE}\n{MARKS}\n</style></head>\n"
        f"<body>\n<header>\n<h1>{_text(title)}</h1>\n{lines}\n</header>\n{drawn}\n"
        f"{''.join(map(_section, tables))}</body>\n</html>\n"
    )


def write_report(
    path: str | os.PathLike[str],
    title: str,
    told: Sequence[str],
    tables: Sequence[Table],
    pictures: Sequence[Figure] = (),
) -> Path:
    """Write `report` to a file, whole or not at all, and return its path."""
    return write_whole(path, report(title, told, tables, pictures))


def _section(table: Table) -> str:
    # broken into lines, numbers cannot be read one below the other
    short = all(isinstance(cell, str) and len(cell) <= NUMBER for row in table.rows for cell in row[1:])
    kind = "numbers" if short else "texts"
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    rows = "".join(
        f'<tr><th scope="row">{_cell(name)}</th>{"".join(f"<td>{_cell(cell)}</td>" for cell in cells)}</tr>\n'
        for name, *cells in table.rows
    )
    return (
        f'<section dir="auto">\n<h2>{_text(table.title)}</h2>\n<table class="{kind}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>\n</section>\n"
    )


def _inline(figure: Figure) -> str:
    """The figure as an SVG element: without the head of a file, and what says who made it."""
    text = figure_bytes(figure, "svg", {"Date": None, "Creator": None, "Format": None, "Type": None}).decode()
    return text[text.index("<svg") :]


def _cell(cell: str | Reading) -> str:
    return _text(cell) if isinstance(cell, str) else marked_lines(cell)


def _text(text: str) -> str:
    # no line ends between a number and its sign
    return escape(visible(text)).replace(" %", "&nbsp;%")
