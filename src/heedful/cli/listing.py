"""`heedful list`: every mechanism with its paper, equation and year, its state and what it costs."""

import sys
from itertools import groupby
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from heedful.attention.catalogue import Entry

EXAMPLES = ("heedful list", "heedful list | cut -f 2,3 | sort -k 2n")


def command() -> None:
    """List every score, window, normaliser and mechanism with its paper, equation and year, its state and its cost.

    A terminal gets tables. A pipe gets a line for each, its fields separated by tabs: kind, name, year, paper, place
    in it, formula, file, state, time, memory.
    """
    from heedful.attention.catalogue import catalogue

    entries = catalogue()
    if sys.stdout.isatty():
        show(entries)
        return
    for one in entries:
        about = one.formula, one.file, one.state or "none", one.time, one.memory
        typer.echo("\t".join([one.kind, one.name, str(one.year), one.paper, one.place, *about]))


def show(entries: "list[Entry]") -> None:
    """A table for each kind: name, year, and the formula above its paper and its cost."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widest = max(len(one.name) for one in entries)
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        table = Table(title=f"{kind}s", title_justify="left", title_style="bold", box=None, show_header=False)
        table.add_column(width=widest, no_wrap=True)
        for one in group:
            # Text, because a formula's brackets are no markup
            paper = Text(f"\n{one.paper}, {one.place}", style="dim")
            state = f"state: {one.state}; " if one.state else ""
            cost = Text(f"\n{state}time: {one.time}; memory: {one.memory}".replace("`", ""), style="dim")
            table.add_row(Text(one.name), str(one.year), Text(one.formula.replace("`", "")) + paper + cost)
        console.print(table)
        console.print()
