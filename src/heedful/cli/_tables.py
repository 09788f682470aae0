"""Tables of text on a terminal or in a pipe."""

from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from heedful.visual.comparison import Table
from heedful.visual.terminal_reading import TerminalReading

# characters of a row's name that is never broken
SHORT = 20


def print_table(console: Console, table: Table) -> None:
    """Print a table below its title, its words wrapped where the terminal is narrow."""
    # edges would cost columns of a narrow terminal, and a title of its own would be wrapped to the width of the table
    shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(table.header):
        width = max((len(cell) for cell in (row[place] for row in table.rows) if isinstance(cell, str)), default=0)
        # no header makes its column wider than its longest word or cell
        header = "\n".join(wrap(name, max(width, *map(len, name.split()), 1)))
        whole = not place and width <= SHORT
        shown.add_column(Text(header), justify="right" if place else "left", overflow="fold", no_wrap=whole)
    for row in table.rows:
        shown.add_row(*(Text(cell) if isinstance(cell, str) else TerminalReading(cell) for cell in row))
    console.print(Text(table.title), "", shown, "", sep="\n")


def print_measures(numbers: dict[str, dict[str, float | None]], *of: str) -> None:
    """The table of them, and `of` what they are, on standard output."""
    from heedful.tasks.faithfulness import faithfulness_table

    print_table(Console(highlight=False), faithfulness_table(numbers, *of))
