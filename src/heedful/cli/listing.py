"""`heedful list`: every mechanism with its paper, equation and year."""

import sys
from itertools import groupby
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from heedful.attention.catalogue import Entry

EXAMPLES = ("heedful list", "heedful list | cut -f 2,3 | sort -k 2n")


def command() -> None:
    """List every score, window, normaliser and mechanism with its paper, equation and year.

    A terminal gets tables. A pipe gets a line for each, its fields separated by tabs: kind, name, year, paper, place
    in it, formula, file.
    """
    from heedful.attention.catalogue import catalogue

    entries = catalogue()
    if sys.stdout.isatty():
        show(entries)
        return
    for one in entries:
        typer.echo("\t".join([one.kind, one.name, str(one.year), one.paper, one.place, one.formula, one.file]))


def show(entries: "list[Entry]") -> None:
    """One table for each kind."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        table = Table(title=f"{kind}s", title_justify="left", title_style="bold", box=None, pad_edge=False)
        for heading in ("name", "year", "paper", "formula"):
            table.add_column(heading, header_style="dim", overflow="fold")
        for one in group:
            table.add_row(one.name, str(one.year), f"{one.paper}, {one.place}", one.formula)
        console.print(table)
        console.print()
