"""Every mechanism with its paper: read from the classes and builders, typed nowhere else."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import heedful.attention
from heedful.attention import normalizers, scores, windows

Kind = Literal["score", "window", "normalizer", "mechanism", "pooling", "layer", "loss", "position", "measure", "alias"]


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    Attributes:
        name: as it is imported.
        kind: "score", "window", "normalizer", "mechanism" for a layer that is called as `Attention` is, "pooling" for
            one that takes a sequence alone, or "layer" for one that is called otherwise: it points, copies, or reads
            several sequences; "loss", "position" and "measure" are those of `heedful.tasks.companions`, "alias" those
            of `heedful.tasks.aliases`.
        file: where it stands, from the package's folder on.
        paper: authors and title.
        place: section or equation.
        year: of the paper.
        formula: the first line of its docstring.
        state: what goes from one query to the next, from the paragraph "State:" of its docstring; empty for nothing.
        time: how it grows with the sizes, from the paragraph "Cost:".
        memory: beside inputs and parameters, likewise.
        uncompiled: why `torch.compile(fullgraph=True)` and `torch.export` refuse it, from the attribute of that name;
            empty where both take it.
    """

    name: str
    kind: Kind
    file: str
    paper: str
    place: str
    year: int
    formula: str
    state: str
    time: str
    memory: str
    uncompiled: str = ""


def catalogue() -> list[Entry]:
    """Every score, window, normaliser, mechanism, pooling and other layer, in this order, each kind by year and name.

    >>> [entry.place for entry in catalogue() if entry.name == "ScaledDotScore"]
    ['equation 1']
    """
    packages: dict[Kind, ModuleType] = {
        "score": scores,
        "window": windows,
        "normalizer": normalizers,
        "mechanism": heedful.attention,
        "pooling": heedful.attention,
        "layer": heedful.attention,
    }
    return [
        entry
        for kind, package in packages.items()
        for entry in sorted(_entries(kind, package), key=lambda entry: (entry.year, entry.name))
    ]


def markdown(entries: list[Entry]) -> str:
    r"""The entries as a Markdown table, as `docs/mechanisms.md` holds them.

    >>> print(markdown(catalogue()).splitlines()[0])
    | name | kind | formula | source | state | time | memory | compiled | file |
    """
    names = ("name", "kind", "formula", "source", "state", "time", "memory", "compiled", "file")
    rows = [names, ("---",) * len(names)]
    for entry in entries:
        source = f"{entry.paper}, {entry.year}, {entry.place}"
        link = f"[{Path(entry.file).name}](../src/{entry.file})"
        compiled = f"no: {entry.uncompiled}" if entry.uncompiled else "yes"
        cells = entry.formula, source, entry.state or "none", entry.time, entry.memory
        rows.append((entry.name, entry.kind, *(cell.replace("|", "\\|") for cell in cells), compiled, link))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _entries(kind: Kind, package: ModuleType) -> list[Entry]:
    """What of the exports has a source: an abstract base has none."""
    things = [thing for thing in vars(package).values() if callable(thing) and hasattr(thing, "source")]
    return [_entry(kind, thing) for thing in things if package is not heedful.attention or _kind(thing) == kind]


def _kind(thing: Any) -> Kind:
    """Of what stands outside the three folders: a builder makes a mechanism, a class says so if it is no pooling."""
    return getattr(thing, "kind", "pooling") if inspect.isclass(thing) else "mechanism"


def _entry(kind: Kind, thing: Any) -> Entry:
    text = thing.__doc__ or ""
    time, _, memory = paragraph(text, "Cost").removeprefix("time ").partition("; memory ")
    file = thing.__module__.replace(".", "/") + ".py"
    why = getattr(thing, "uncompiled", "")
    source, formula = thing.source, text.partition("\n")[0]
    state = paragraph(text, "State").partition(". ")[0]
    name = thing.__name__
    return Entry(name, kind, file, source.paper, source.place, source.year, formula, state, time, memory, why)


def paragraph(text: str, title: str) -> str:
    r"""What a docstring says after `title:`, on one line and without its full stop; "" where it has no such part.

    >>> paragraph("Sum.\n\nCost: time keys;\nmemory keys.", "Cost")
    'time keys; memory keys'
    """
    for lines in inspect.cleandoc(text).split("\n\n"):
        if lines.startswith(f"{title}: "):
            return " ".join(lines.removeprefix(f"{title}: ").split()).removesuffix(".")
    return ""
