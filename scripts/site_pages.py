"""The pages of the site, run by `mkdocs build`: those of docs/ with their links, one a mechanism, one a package.

Pages lie in docs/ for a reader of the repository; what they link to outside it is a page of the site where there is
one, a copied file for results, and its path as text for source files.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import mkdocs_gen_files

from heedful.attention.catalogue import Entry, Kind, catalogue

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
# pages of the site that lie elsewhere in the repository
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks/index.md",
}
PAGES: dict[str, dict[str, str]] = {
    "Start": {"heedful": "index.md", "Tutorial": "tutorial.md"},
    "How to": {
        "Data": "data.md",
        "Masks, state, beams, labels": "how_to.md",
        "Move from other packages": "moving_to_heedful.md",
        "Train on several devices": "scaling.md",
        "Add a mechanism": "add_a_mechanism.md",
    },
    "Background": {
        "Architecture": "architecture.md",
        "Fast additive attention": "additive.md",
        "On a GPU": "additive_gpu.md",
        "Whole models": "end_to_end.md",
        "Sine attention": "sine_attention.md",
    },
    "Benchmarks": {"What is measured": "benchmarks/index.md"},
    "Project": {"Contributing": "contributing.md", "Changelog": "changelog.md", "Log": "log.md"},
}
KINDS: dict[Kind, str] = {
    "score": "Scores",
    "window": "Windows",
    "normalizer": "Normalisers",
    "mechanism": "Attention",
    "pooling": "Poolings",
    "layer": "Other layers",
}
PACKAGES = ("attention", "functional", "layers", "models", "decoding", "metrics", "data", "training", "tasks", "visual")


def site_page(path: str) -> str | None:
    """Where a file of the repository stands on the site."""
    return MOVED.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)


def with_links(text: str, file: str, page: str) -> str:
    """The text of a page, with links that hold on the site."""

    def link(match: re.Match[str]) -> str:
        picture, label, target, anchor = match.groups()
        aimed = normpath(str(PurePosixPath(file).parent / target))
        found = site_page(aimed)
        if found is None and aimed.endswith((".csv", ".py", ".json")) and aimed.startswith(("benchmarks", "examples")):
            found = aimed
            copy_file(aimed)
        if found is None:
            return label if label.startswith("`") else f"`{aimed}`"
        return f"{picture}[{label}]({relpath(found, PurePosixPath(page).parent)}{anchor or ''})"

    return LINK.sub(link, text)


def copy_file(path: str) -> None:
    """A results file or an example, as it is."""
    with mkdocs_gen_files.open(path, "w") as file:
        file.write((ROOT / path).read_text(encoding="utf-8"))


def write(page: str, text: str) -> None:
    """One page of the site."""
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text)


def of_repository() -> None:
    """The pages that people wrote."""
    for path in [*MOVED, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]:
        page = site_page(path)
        assert page
        write(page, with_links((ROOT / path).read_text(encoding="utf-8"), path, page))


def measured(name: str) -> Iterable[str]:
    """What a mechanism costs, from the results of benchmarks/mechanisms.py."""
    with (ROOT / "benchmarks/results/mechanisms.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["mechanism"] == name]
    if rows:
        yield "\n## Cost\n\nQueries and keys of 64 features, as many of both, on one core; beside "
        yield f"`scaled_dot_product_attention` in turn ({rows[-1]['processor']}, {rows[-1]['date']}).\n\n"
        yield "| length | forward, ms | x dot product | forward and backward, ms | x dot product | peak, MiB |\n"
        yield "|---:|---:|---:|---:|---:|---:|\n"
    for row in rows:
        columns = ("length", "forward_ms", "forward_ratio", "both_ms", "both_ratio", "mechanism_mib")
        yield f"| {' | '.join(row[column] for column in columns)} |\n"


def pictures(name: str) -> Iterable[str]:
    """What it looks at, where the gallery has it: that of `GaussianMixtureAttention` is called gaussian_mixture."""
    stem = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Attention")).lower()
    if name.endswith("Attention") and (ROOT / "docs/gallery" / f"{stem}_tasks.png").exists():
        yield f"\n![Its weights on four tasks with letters whose truth is known](../gallery/{stem}_tasks.png)\n"
        yield f"\n![Its weights on two tasks with numbers](../gallery/{stem}_numbers.png)\n"
        yield f"\n![Its weights in a trained translator](../gallery/{stem}.png)\n"
        yield "\nMore in the [gallery](../gallery/index.md).\n"


def of_mechanism(entry: Entry) -> str:
    """A page made from a class and its docstring."""
    module = entry.file.removesuffix(".py").replace("/", ".")
    parts = [f"# {entry.name}\n\n*{entry.paper}*, {entry.year}, {entry.place}. Source: `{entry.file}`\n"]
    parts += [f"\n::: {module}.{entry.name}\n\n"]
    return "".join([*parts, *pictures(entry.name), *measured(entry.name)])


def summary(entries: list[Entry]) -> str:
    """The navigation."""
    lines = []
    for section, pages in PAGES.items():
        lines += [f"* {section}", *(f"    * [{title}]({page})" for title, page in pages.items())]
    lines += ["* Mechanisms", "    * [All](mechanisms.md)", "    * [Gallery](gallery/index.md)"]
    for kind, title in KINDS.items():
        lines += [f"    * {title}"]
        lines += [f"        * [{one.name}](mechanisms/{one.name}.md)" for one in entries if one.kind == kind]
    lines += ["* Reference", *(f"    * [heedful.{name}](reference/{name}.md)" for name in PACKAGES)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Every page."""
    entries = catalogue()
    of_repository()
    for entry in entries:
        write(f"mechanisms/{entry.name}.md", of_mechanism(entry))
    for name in PACKAGES:
        write(
            f"reference/{name}.md",
            f"# heedful.{name}\n\n::: heedful.{name}\n    options:\n      show_root_heading: false\n",
        )
    write("SUMMARY.md", summary(entries))


main()
