"""Write docs/mechanisms.md from the catalogue: python scripts/write_mechanisms.py."""

from pathlib import Path

from heedful.attention.catalogue import catalogue, markdown
from heedful.tasks.aliases import aliases
from heedful.tasks.companions import companions

PAGE = Path(__file__).resolve().parent.parent / "docs" / "mechanisms.md"
HEAD = """# Mechanisms

What there is, from which paper, in which file: mechanisms and their parts, then losses on weights, positions, and
measures of attention. Written by `python scripts/write_mechanisms.py` from the classes and
builders themselves; `heedful list` shows the same, and a test compares. State: what goes from one query to the
next. Time and memory (beside inputs and parameters) grow as written, batch and heads left out where they only multiply;
measured times are in [benchmarks](../benchmarks/README.md). Compiled: in one graph, by `torch.compile(fullgraph=True)`
and `torch.export`.

## Under another name

Options and names that are looked for under another word; everything else has its line below. They are imported from
`heedful` or `heedful.attention`, from `heedful.attention.scores`, `.windows` and `.normalizers`, or from the module of
the file that `heedful list` names, such as `heedful.layers` and `heedful.metrics`.

| looked for | here |
| --- | --- |
"""
REST = """
## All of them

"""

if __name__ == "__main__":
    names = "".join(f"| {entry.name} | {entry.formula} |\n" for entry in aliases())
    PAGE.write_text(HEAD + names + REST + markdown([*catalogue(), *companions()]), encoding="utf-8")
