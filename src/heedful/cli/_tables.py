"""Tables of text on a terminal or in a pipe."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from heedful.visual.comparison import Table
from heedful.visual.terminal_reading import TerminalReading


def print_table(console: Console, table: Table) -> None:
    """Print a table, its words wrapped where the terminal is narrow."""
    shown = RichTable(
        title=Text(table.title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for place, name in enumerate(table.header):
        shown.add_column(Text(name), justify="right" if place else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell) if isinstance(cell, str) else TerminalReading(cell) for cell in row))
    console.print(shown)


def print_measures(numbers: dict[str, dict[str, float | None]], *of: str) -> None:
    """The table of them, and `of` what they are, on standard output."""
    from heedful.tasks.faithfulness import faithfulness_table

    print_table(Console(highlight=False), faithfulness_table(numbers, *of))
