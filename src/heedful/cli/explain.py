"""`heedful explain`: what each word of a translation looked at, or which words of a text gave its label."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._shell import Model, check_sentence, load_any, say

if TYPE_CHECKING:
    from heedful.tasks.translator import Translation, Translator
    from heedful.visual.alignment import Alignment

EXAMPLES = (
    'heedful explain heedful-demo "I love you."',
    'heedful explain heedful-demo "I love you." --output look.html',
    'heedful explain heedful-demo "I love you." --faithfulness',
    'heedful explain runs/classify "A lovely film." --output words.html',
)
ENDINGS = (".png", ".svg", ".html", ".json")


def command(
    model: Model,
    sentence: Annotated[str, typer.Argument(metavar="SENTENCE", help="What to translate, or to label, in quotes.")],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it into a file instead: .png, .svg, .html (to hover over) or .json."),
    ] = None,
    faithful: Annotated[
        bool,
        typer.Option(
            "--faithfulness", help="Also measure whether the model needed what it looked at, by hiding it; a table."
        ),
    ] = False,
) -> None:
    """Translate one sentence and show what each word looked at: in the terminal, or in a file.

    Of a classifier the text's labels with their probabilities, and its words, each marked as much as it was looked at.

    The translation goes to standard output, and below it the heat map: a row for each word said, a column for each word
    read, and at the right the one looked at most. Of a Transformer, the page and the JSON also hold what the words of
    each side looked at among themselves, by layer and head.

    With --faithfulness, a table follows, means over the tokens said: what the chance of a token loses when the source
    pieces of the largest scores are hidden from attention at its step (erased: large where they were needed), and when
    all others are (kept: small where they were enough), each beside the same for random and for reversed orders; and
    tau, Kendall's agreement with what each piece, left out alone, takes from the token's log probability. The JSON
    holds it, too.
    """
    if output and output.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(
            f"--output {output} ends in {output.suffix or 'nothing'!r}; expected one of {', '.join(ENDINGS)}"
        )
    translator: Any = load_any(model)
    checked = check_sentence(sentence, translator.recipe.data.max_chars)
    if translator.task == "classification":
        if faithful:
            raise typer.BadParameter(f"--faithfulness is of a translator, and {model} is none; leave it out")
        from ._labels import show_answer

        show_answer(translator.explain(checked), output)
        return
    found = translator.explain(checked)
    typer.echo(found.text)
    alignment = found.alignment
    numbers = measure(translator, found) if faithful else {}
    if output is None:
        show(alignment)
    if numbers:
        print_measures(numbers)
    if output:
        draw([alignment, *found.own], output, numbers)
        say(f"Wrote what each word looked at to {output}.")


def measure(translator: "Translator", found: "Translation") -> dict[str, dict[str, float | None]]:
    """How faithful attention and other scores of the source are to a translation, by name of the scores."""
    from heedful.tasks.faithfulness import translator_faithfulness

    measured = translator_faithfulness(translator, [(found.source.ids, found.target.ids)])
    return {name: one.numbers() for name, one in measured.items()}


def print_measures(numbers: dict[str, dict[str, float | None]]) -> None:
    """The table of them on standard output."""
    from rich.console import Console

    from heedful.tasks.faithfulness import faithfulness_table

    from ._tables import print_table

    print_table(Console(highlight=False), faithfulness_table(numbers))


def show(alignment: "Alignment") -> None:
    """The heat map on standard output."""
    from rich.console import Console

    from heedful.visual.terminal import TerminalHeatmap

    typer.echo()
    Console().print(TerminalHeatmap(alignment))
    typer.echo()


def draw(alignments: "list[Alignment]", output: Path, numbers: dict[str, dict[str, float | None]]) -> None:
    """The page or the numbers of all, or the heat map of the first, in a file, by its ending."""
    kind = output.suffix.lower()
    if kind == ".html":
        from heedful.visual.html import write_page

        write_page(alignments, output, title="What each word looked at")
    elif kind == ".json":
        from heedful.visual.html import write_json

        further = [{"faithfulness": numbers} if numbers else {}, *({} for _ in alignments[1:])]
        write_json(alignments, output, further)
    else:
        from heedful.visual.heatmap import write_heatmap

        write_heatmap(alignments[0], output)
