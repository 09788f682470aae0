"""`heedful explain`: what each word of a translation looked at."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ._shell import Model, check_sentence, load_translator, say

if TYPE_CHECKING:
    from heedful.visual.alignment import Alignment

EXAMPLES = (
    'heedful explain heedful-demo "I love you."',
    'heedful explain heedful-demo "I love you." --output look.html',
)
ENDINGS = (".png", ".svg", ".html", ".json")


def command(
    model: Model,
    sentence: Annotated[str, typer.Argument(metavar="SENTENCE", help="What to translate, in quotes.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it into a file instead: .png, .svg, .html (to hover over) or .json."),
    ] = None,
) -> None:
    """Translate one sentence and show what each word looked at: in the terminal, or in a file.

    The translation goes to standard output, and below it the heat map: a row for each word said, a column for each word
    read, and at the right the one looked at most. Of a Transformer, the page and the JSON also hold what the words of
    each side looked at among themselves, by layer and head.
    """
    if output and output.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(
            f"--output {output} ends in {output.suffix or 'nothing'!r}; expected one of {', '.join(ENDINGS)}"
        )
    checked = check_sentence(sentence)
    found = load_translator(model).explain(checked)
    typer.echo(found.text)
    alignment = found.alignment
    if output is None:
        show(alignment)
    else:
        draw([alignment, *found.own], output)
        say(f"Wrote what each word looked at to {output}.")


def show(alignment: "Alignment") -> None:
    """The heat map on standard output."""
    from rich.console import Console

    from heedful.visual.terminal import TerminalHeatmap

    typer.echo()
    Console().print(TerminalHeatmap(alignment))
    typer.echo()


def draw(alignments: "list[Alignment]", output: Path) -> None:
    """The page or the numbers of all, or the heat map of the first, in a file, by its ending."""
    kind = output.suffix.lower()
    if kind == ".html":
        from heedful.visual.html import write_page

        write_page(alignments, output, title="What each word looked at")
    elif kind == ".json":
        from heedful.visual.html import write_json

        write_json(alignments, output)
    else:
        from heedful.visual.heatmap import write_heatmap

        write_heatmap(alignments[0], output)
