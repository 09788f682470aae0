"""An alignment as characters: coloured cells where there are colours, shades where not, ASCII as the last resort."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, ConsoleOptions
from rich.style import Style
from rich.text import Text

from .alignment import Alignment, copies_line, visible

_SHADES = "·░▒▓█"
_ASCII_SHADES = ".:+#@"
_STEPS = (0.08, 0.3, 0.55, 0.8)  # from here up a weight gets the next shade

# dark to bright: cells carry their own background, so it reads on dark and on light terminals alike
_RAMP = np.array([(28, 32, 56), (62, 64, 170), (150, 80, 190), (236, 120, 100), (255, 214, 110)], dtype=np.float64)

_TALLEST_HEADER = 12


class TerminalHeatmap:
    """`console.print(TerminalHeatmap(alignment))` fits the width, the colours and the encoding of a rich console.

    One row per target token, one column per source token; beside each row stands the source token it looked at most.
    """

    def __init__(self, alignment: Alignment) -> None:
        self.alignment = alignment

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Called by rich."""
        yield render(self.alignment, options.max_width, options.ascii_only)


def terminal_heatmap(alignment: Alignment, width: int = 80, ascii_only: bool = False) -> str:
    """The heat map as plain text, no line wider than `width` (at least 20) cells.

    >>> print(terminal_heatmap(Alignment(["the", "cat"], ["le", "chat"], np.eye(2)), ascii_only=True))
         the  cat
      le @@@@ ....  the 100%
    chat .... @@@@  cat 100%
    """
    return render(alignment, width, ascii_only).plain


def render(alignment: Alignment, width: int, ascii_only: bool) -> Text:
    """The heat map as rich text: shades that colours cover where there are any. Raises ValueError below 20 cells."""
    if width < 20:
        raise ValueError(f"width is {width}; a heat map needs at least 20 cells")
    source = [_printable(token, ascii_only) for token in alignment.source]
    target = [_printable(token, ascii_only) for token in alignment.target]
    plan = _plan(source, target, width)
    text = Text(no_wrap=True, end="")
    for first in range(0, len(source), plan.columns):
        last = min(first + plan.columns, len(source))
        text.append("\n\n" if first else "")
        _header(text, source[first:last], plan)
        for row, token in enumerate(target):
            label = _right(token, plan.label)
            text.append("\n" + " " * (len(label) - len(label.lstrip())))
            text.append(label.lstrip(), style="underline" if alignment.copies[row] else "")
            text.append(" ")
            _cells(text, alignment.weights[row, first:last], plan, first, ascii_only)
            if plan.best:
                text.append(" " + _best(source, alignment.weights[row], plan.best), style="dim")
            else:
                text.rstrip()
    if line := copies_line(alignment):
        text.append("\n\n" + "\n".join(wrap(_printable(line, ascii_only), width)))
    return text


@dataclass(frozen=True)
class _Plan:
    """Widths in terminal cells: of the target labels, of each column, of the note beside a row (0: none)."""

    label: int
    widths: list[int]
    upright: bool  # are source tokens written upright (across), or letter below letter?
    best: int
    columns: int  # how many columns stand side by side before the map is continued below


def _plan(source: Sequence[str], target: Sequence[str], width: int) -> _Plan:
    label = min(max(map(cell_len, target)), max(4, width // 4))
    best = min(max(map(cell_len, source)), 14) + 5
    natural = [max(4, cell_len(token)) + 1 for token in source]
    room = width - label - 1
    if sum(natural) + best < room:
        return _Plan(label, natural, True, best, len(source))
    for size, note in ((3, best), (2, best), (3, 0), (2, 0)):
        if size * len(source) + note < room:
            return _Plan(label, [size] * len(source), False, note, len(source))
    bands = -(-len(source) // (room // 2))
    return _Plan(label, [2] * len(source), False, 0, -(-len(source) // bands))


def _header(text: Text, source: Sequence[str], plan: _Plan) -> None:
    if plan.upright:
        names = "".join(_left(token, size) for token, size in zip(source, plan.widths, strict=True))
        text.append(" " * (plan.label + 1) + names.rstrip(), style="bold")
        return
    letters = [_letters(token) for token in source]
    height = max(map(len, letters))
    size = plan.widths[0]
    for line in range(height):
        # short tokens stand on the grid, not on the ceiling
        column = [name[line - height + len(name)] if line >= height - len(name) else "" for name in letters]
        text.append("\n" if line else "")
        text.append((" " * (plan.label + 1) + "".join(_left(letter, size) for letter in column)).rstrip(), style="bold")


def _cells(text: Text, weights: np.ndarray, plan: _Plan, first: int, ascii_only: bool) -> None:
    shades = _ASCII_SHADES if ascii_only else _SHADES
    for weight, size in zip(weights, plan.widths[first:], strict=False):
        color = heat_color(float(weight))
        # the same colour before and behind: a full cell in colour, a shade without
        text.append(
            shades[int(np.searchsorted(_STEPS, weight, side="right"))] * (size - 1), Style(color=color, bgcolor=color)
        )
        text.append(" ")


def _best(source: Sequence[str], weights: np.ndarray, size: int) -> str:
    best = int(weights.argmax())
    if weights[best] <= 0:
        return "-"
    name = source[best]
    room = size - 5
    return f"{name if cell_len(name) <= room else set_cell_size(name, room)} {weights[best]:.0%}"


def heat_color(weight: float) -> Color:
    """The ground of a cell by its weight, from 0 to 1."""
    place = np.clip(weight, 0, 1) * (len(_RAMP) - 1)
    red, green, blue = (np.interp(place, np.arange(len(_RAMP)), _RAMP[:, channel]) for channel in range(3))
    return Color.from_rgb(red, green, blue)


def _printable(token: str, ascii_only: bool) -> str:
    token = visible(token)
    if not ascii_only:
        return token
    # an accent that can be dropped is better than a question mark
    letters = "".join(char for char in unicodedata.normalize("NFKD", token) if not unicodedata.combining(char))
    return letters.encode("ascii", "replace").decode("ascii")


def _letters(token: str) -> list[str]:
    """The token letter by letter, combining marks with their letter, cut to the tallest header."""
    letters: list[str] = []
    for char in token:
        if letters and cell_len(char) == 0:
            letters[-1] += char
        else:
            letters.append(char)
    return letters if len(letters) <= _TALLEST_HEADER else [*letters[: _TALLEST_HEADER - 1], ":"]


def _left(text: str, size: int) -> str:
    return set_cell_size(text, size)


def _right(text: str, size: int) -> str:
    return " " * (size - cell_len(text)) + text if cell_len(text) <= size else set_cell_size(text, size)
