"""`heedful classify`: the label of each text of a file or of standard input, line by line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from heedful._errors import ModelFolderError

from ._shell import Model, load_any
from .translate import translate_all

EXAMPLES = (
    'echo "A lovely film." | heedful classify runs/classify',
    "heedful classify runs/classify texts.txt --best 3 --output labels.tsv",
    "heedful classify runs/classify texts.txt --json",
)


def command(
    model: Model,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A file, one text a line; - or nothing: standard input.")
    ] = "-",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, whole or not at all.")
    ] = None,
    number: Annotated[int, typer.Option("--best", metavar="N", min=1, help="So many labels of each text.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with every label.")] = False,
) -> None:
    """Label texts, one a line, in the order of the input: LABEL, a tab and its probability.

    A line that cannot be used (empty, not UTF-8, with a NUL character, too long) gives an empty line (with --json, a
    label that is null) and is counted on standard error.
    """
    classifier: Any = load_any(model)
    if classifier.task != "classification":
        verb = "forecast" if classifier.task == "forecast" else "translate"
        raise ModelFolderError(f"{model} is no classifier but for {classifier.task}; use heedful {verb}.")

    from ._labels import best

    def label(texts: list[str], _: int) -> Iterator[str]:
        for answer in classifier.classify(texts):
            content = {"label": answer.label or None, "probabilities": answer.probabilities}
            yield json.dumps(content, ensure_ascii=False) if as_json else best(answer, number)

    most = classifier.recipe.data.max_chars
    translate_all(source, output, label, max_chars=most, words=("labelled", "labels"))
