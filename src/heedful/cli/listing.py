"""`heedful list`: every mechanism, and what stands beside it, with paper, equation and year, state and cost."""

import sys
from itertools import groupby
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from heedful.attention.catalogue import Entry

EXAMPLES = ("heedful list", "heedful list | grep -i local", "heedful list | cut -f 2,3 | sort -k 2n")


def command() -> None:
    """List mechanisms and their parts, losses, positions, measures, other names: paper, equation, year, state, cost.

    A terminal gets a paragraph for each. A pipe gets a line for each, its fields separated by tabs: kind, name, year,
    paper, place in it, formula, file, state, time, memory. An alias has what it is called here for a formula.
    """
    from heedful.attention.catalogue import catalogue
    from heedful.tasks.aliases import aliases
    from heedful.tasks.companions import companions

    entries = [*catalogue(), *companions(), *aliases()]
    if sys.stdout.isatty():
        show(entries)
        return
    for one in entries:
        about = one.formula, one.file, one.state or "none", one.time, one.memory
        typer.echo("\t".join([one.kind, one.name, str(one.year), one.paper, one.place, *about]))


def show(entries: "list[Entry]") -> None:
    """For each kind its names and years; below each the formula, and its paper and cost, dim."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console()
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        console.print(Text("other names" if kind == "alias" else f"{kind}s", style="bold underline"), end="\n\n")
        for one in group:
            state = f"state: {one.state}; " if one.state else ""
            about = f"\n{one.paper}, {one.place}\n{state}time: {one.time}; memory: {one.memory}"
            # Text, because a formula's brackets are no markup
            console.print(Text.assemble((one.name, "bold"), f"  {one.year}"))
            text = Text.assemble(one.formula.replace("`", ""), (about.replace("`", ""), "dim"))
            console.print(Padding(text, (0, 0, 0, 2)))
        console.print()
