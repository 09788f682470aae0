"""`heedful explain`: what each word of a translation looked at, which words gave a label, which rows a forecast."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._shell import Model, check_sentence, load_any, say, say_longer

if TYPE_CHECKING:
    from heedful.tasks.classification import Classifier
    from heedful.tasks.translated import Translation
    from heedful.visual.alignment import Alignment

EXAMPLES = (
    'heedful explain heedful-demo "I love you."',
    'heedful explain heedful-demo "I love you." --output look.html',
    'heedful explain heedful-demo "I love you." --faithfulness',
    'heedful explain heedful-demo "I love you." --explore --output explore.html',
    "heedful explain runs/caption f/dog.npy --picture dog.jpg --output a.html",
    'heedful explain runs/classify "A lovely film." --output words.html',
    "heedful explain runs/etth1 ETTh1.csv --output forecast.png",
)
ENDINGS = (".png", ".svg", ".html", ".json")
NOT_EXPLORED = ("caption", "classification", "forecast")


def command(
    model: Model,
    sentences: Annotated[
        list[str],
        typer.Argument(metavar="SENTENCE", help="What to translate or to label, in quotes; with --explore, several."),
    ],
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
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a caption: the picture to draw on, PNG or JPEG.")
    ] = None,
    explorable: Annotated[
        bool,
        typer.Option(
            "--explore",
            help="Make the page (--output, .html) one to explore: sentences, layers, heads, steps of training, "
            "temperature, window, mask.",
        ),
    ] = False,
) -> None:
    """Translate one sentence and show what each word looked at: in the terminal, or in a file.

    Of a picture, whose file stands in the place of the sentence, its caption, and where in it each word looked. Of a
    table, the steps that come behind its last row, at which rows each of them looked, and at which series each row.

    Of a classifier the text's labels with their probabilities, and its words, each marked as much as it was looked at.

    The translation goes to standard output, and below it the heat map: a row for each word said, a column for each word
    read, and at the right the one looked at most. Page and JSON of a Transformer also hold each side's own looks.

    Of a model that copies words, those are underlined, and a line says of each word how surely it was copied, or chosen
    from the vocabulary; the JSON also holds the chance of choosing at each word (`generate`).

    With --faithfulness, a table follows, means over the tokens said: what the chance of a token loses when the source
    pieces of the largest scores are hidden from attention at its step (erased: large where they were needed), and when
    all others are (kept: small where they were enough), each beside the same for random and for reversed orders; and
    tau, Kendall's agreement with what each piece, left out alone, takes from the token's log probability. The JSON
    holds it, too. A hidden piece cannot be copied, either. Of a picture regions are hidden. Of a classifier words are
    left out, and the chance is that of its label; of a language model, tokens before each token. Of a forecaster rows
    take the window's mean, and the numbers are by how much the forecast changes, in deviations of the series.

    With --explore, the page holds every layer and head of all sentences, piece by piece, and computes the weights anew
    when temperature, window or mask are changed. Given the folder of a run, it also offers the steps of training that
    the run keeps: the best, and the last `training.average_last` that were validated.
    """
    check_use(sentences, output, faithful, explorable)
    if picture and explorable:
        raise typer.BadParameter("--picture is of a caption, not of a page to explore; leave it out")
    if explorable and output:
        explore(model, [check_sentence(sentence) for sentence in sentences], output)
    else:
        explain(model, sentences[0], output, faithful, picture)


def check_use(sentences: list[str], output: Path | None, faithful: bool, explorable: bool) -> None:
    """Refuse options that do not go together.

    Raises:
        typer.BadParameter: the ending of the output is unknown, or not that of a page to explore; several sentences, or
            --faithfulness, where they have no place.
    """
    if output and output.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(
            f"--output {output} ends in {output.suffix or 'nothing'!r}; expected one of {', '.join(ENDINGS)}"
        )
    if explorable and (output is None or output.suffix.lower() != ".html"):
        raise typer.BadParameter(f"--explore makes a page, but --output is {output}; name a file that ends in .html")
    if explorable and faithful:
        raise typer.BadParameter("--faithfulness has no place in a page to explore; leave out one of the two options")
    if len(sentences) > 1 and not explorable:
        raise typer.BadParameter(
            f"there are {len(sentences)} sentences; give one, in quotes, or --explore for a page of several"
        )


def explain(model: Path, sentence: str, output: Path | None, faithful: bool, picture: Path | None = None) -> None:
    """The look of one sentence on standard output, or in a file."""
    translator: Any = load_any(model)
    checked = check_sentence(sentence, translator.recipe.data.max_chars)
    if picture and translator.task != "caption":
        raise typer.BadParameter(f"--picture is of captions, but {model} is for {translator.task}; leave it out")
    if translator.task == "caption":
        from ._captions import show_caption

        show_caption(translator, checked, output, picture, measure if faithful else None)
        return
    if translator.task == "forecast":
        from ._forecasts import show_forecast

        show_forecast(translator, checked, output, faithful)
        return
    if translator.task == "classification":
        from ._labels import show_answer

        numbers = measure_text(translator, checked) if faithful else {}
        show_answer(translator.explain(checked), output, numbers)
        if numbers:
            from heedful.tasks.text_faithfulness import OF_LABELS

            print_numbers(numbers, OF_LABELS)
        return
    found = translator.explain(checked)
    say_longer(translator.num_longer([checked]), translator)
    typer.echo(found.text)
    alignment = found.alignment
    numbers = measure(translator, found) if faithful else {}
    more = {"generate": [round(chance, 6) for chance in found.generate]} if found.generate else {}
    if output is None:
        show(alignment)
    if numbers:
        typer.echo()
        print_numbers(numbers)
    if output:
        draw([alignment, *found.own], output, {**({"faithfulness": numbers} if numbers else {}), **more})
        say(f"Wrote what each word looked at to {output}.")


def explore(model: Path, sentences: list[str], output: Path) -> None:
    """The page to explore."""
    from heedful.tasks.exploring import explore, kept_weights, other_than_softmax
    from heedful.tasks.model_folder import find_model
    from heedful.visual.explorer import write_explorer

    translator: Any = load_any(model)
    if translator.task in NOT_EXPLORED:
        raise typer.BadParameter(
            f"--explore is of models that read and write texts, but {model} is for {translator.task}; leave it out"
        )
    explored, steps = explore(translator, sentences, kept_weights(find_model(model)))
    for one in explored:
        typer.echo(one.answer or one.text)
    odd = other_than_softmax(translator.model)
    write_explorer(explored, output, steps, odd, title=f"What {translator.recipe.name} looks at")
    earlier = f", at {len(steps)} steps of training," if len(steps) > 1 else ""
    say(f"Wrote a page to explore what each piece looked at{earlier} to {output}.")


def measure(translator: Any, found: "Translation") -> dict[str, dict[str, float | None]]:
    """How faithful attention and other scores of the source are to what is said, by name of the scores."""
    if translator.task == "language_model":
        from heedful.tasks.language_faithfulness import writer_faithfulness

        measured = writer_faithfulness(translator, [found.target.ids])
    else:
        from heedful.tasks.faithfulness import translator_faithfulness

        measured = translator_faithfulness(translator, [(found.source.ids, found.target.ids)])
    return {name: one.numbers() for name, one in measured.items()}


def measure_text(classifier: "Classifier", text: str) -> dict[str, dict[str, float | None]]:
    """The same for the words of a text and its label."""
    from heedful.tasks.text_faithfulness import classifier_faithfulness

    return {name: one.numbers() for name, one in classifier_faithfulness(classifier, text).items()}


def print_numbers(numbers: dict[str, dict[str, float | None]], *of: str) -> None:
    """The table of them, and `of` what they are, on standard output."""
    # matplotlib takes a tenth of what starting a command takes
    from ._tables import print_measures

    print_measures(numbers, *of)


def show(alignment: "Alignment") -> None:
    """The heat map on standard output."""
    from rich.console import Console

    from heedful.visual.terminal import TerminalHeatmap

    typer.echo()
    Console().print(TerminalHeatmap(alignment))
    typer.echo()


def draw(alignments: "list[Alignment]", output: Path, more: dict[str, Any]) -> None:
    """The page or the numbers of all, or the heat map of the first, in a file, by its ending; JSON has `more` of it."""
    kind = output.suffix.lower()
    if kind == ".html":
        from heedful.visual.html import write_page

        write_page(alignments, output, title="What each word looked at")
    elif kind == ".json":
        from heedful.visual.html import write_json

        write_json(alignments, output, [more, *({} for _ in alignments[1:])])
    else:
        from heedful.visual.heatmap import write_heatmap

        write_heatmap(alignments[0], output)
