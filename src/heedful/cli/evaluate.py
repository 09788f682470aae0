"""`heedful evaluate`: let a model answer what has a reference, and score it."""

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heedful._errors import DataError

from ._decoding import Changes, changed_decoding, with_ensemble
from ._shell import Beam, Columns, Model, load_any, parse_columns, progress, say, say_longer, skipped_lines

if TYPE_CHECKING:
    from heedful.data.readers import Pairs
    from heedful.metrics.translation import Score
    from heedful.tasks.data_options import DataOptions
    from heedful.tasks.decoding_options import DecodingOptions
    from heedful.tasks.translator import Translator

EXAMPLES = (
    "heedful evaluate heedful-demo pairs.tsv",
    "heedful evaluate runs/multi30k_en_de test.en.gz test.de.gz --beam 5 --json",
    "heedful evaluate runs/a pairs.tsv --set decoding.ensemble=[runs/b]",
    "heedful evaluate heedful-demo pairs.csv --columns english,french",
    "heedful evaluate heedful-demo --bundled tatoeba_en_fr",
    "heedful evaluate runs/cmudict",
    "heedful evaluate runs/language_model texts.txt",
    "heedful evaluate runs/caption features captions.jsonl",
    "heedful evaluate runs/mine a.csv --columns text,label --picture a.png",
    "heedful evaluate runs/etth1",
    "grep -i love pairs.tsv | heedful evaluate heedful-demo -",
)
SENTENCES_PER_GROUP = 512
STANDARD_INPUT = "-"


def command(
    model: Model,
    source: Annotated[
        Path | None,
        typer.Argument(metavar="SOURCE", help="Sentences, or a table of pairs; else the recipe's data.test."),
    ] = None,
    target: Annotated[
        Path | None, typer.Argument(metavar="TARGET", help="Their translations by people, in the same order.")
    ] = None,
    columns: Columns = None,
    bundled: Annotated[str | None, typer.Option(metavar="NAME", help="A set that ships with heedful instead.")] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which part of --bundled: train, val or test.")] = "test",
    beam: Beam = None,
    changes: Changes = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a classifier: the confusion matrix, .png or .svg.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Score a model: BLEU, chrF, or whatever its recipe asks for, each with the signature that makes it comparable.

    Captions are written of the pictures in the folder SOURCE and scored on the JSON lines TARGET. A language model is
    scored by the perplexity of TARGET, or of a table's first column; a classifier by the labels of its texts, a table
    of text and label, with precision, recall and F1 of each label. A forecaster is scored on the test rows of its
    recipe, or on all windows of the table SOURCE, beside the last value and a linear model.

    The form of a table is told by its name: .csv, .jsonl or .parquet, tab-separated otherwise; text may be .gz or .xz,
    and - is standard input. The scores go to standard output, what was read and left out to standard error.
    """
    check_use(source, target, columns, bundled)
    translator: Any = load_any(model)
    if translator.task == "forecast":
        from ._forecasts import evaluate_series

        evaluate_series(translator, model, source, as_json, target or columns or bundled or beam or changes or picture)
        return
    labels = translator.task == "classification"
    if odd := (beam or changes) if labels else picture:
        raise typer.BadParameter(f"{odd} is of no use to a model for {translator.task}; leave the option out")
    decoding = None if labels else changed_decoding(translator, changes or [], short_for(beam))
    if source or (bundled and translator.task == "caption"):
        pairs = read_given(translator, source, target, columns)
    else:
        pairs = read_own(translator, bundled, split)
    say_read(pairs)
    pairs = usable(translator, pairs)
    from . import _labels

    report = _labels.evaluate_labels(translator, pairs, picture) if labels else None
    scores = _labels.scores(report, translator.recipe) if report else measure(translator, pairs, decoding)
    if as_json:
        facts = {} if decoding is None else {"decoding": decoding.model_dump()}
        write_json(model, pairs, facts, scores, _labels.as_json(report) if report else {})
        return
    for one in scores:
        typer.echo(str(one))
    if report:
        _labels.print_labels(report)


def write_json(
    model: Path, pairs: "Pairs", facts: dict[str, Any], scores: "list[Score]", more: dict[str, object]
) -> None:
    """The scores, what they are of and how they were made, as one object on standard output."""
    content = {
        "model": str(model),
        "data": pairs.origin,
        "pairs": len(pairs),
        "skipped": pairs.skipped,
        **facts,
        "scores": [vars(one) for one in scores],
        **more,
    }
    typer.echo(json.dumps(content, ensure_ascii=False))


def say_read(pairs: "Pairs") -> None:
    """How many pairs were read, and left out."""
    left_out = f"; left out {skipped_lines(pairs.skipped)}" if pairs.skipped else ""
    say(f"Read {len(pairs):,} pairs from {pairs.origin}{left_out}.")


def read_given(translator: Any, source: Path | None, target: Path | None, columns: str | None) -> "Pairs":
    """The pairs of the files on the command line, as the model's task reads them."""
    if translator.task == "caption":
        from ._captions import read_captions

        return read_captions(translator, source, target)
    alone = translator.task == "language_model" and not target and not columns
    wanted = (0, 0) if alone else parse_columns(columns)
    return read_files(source or Path(STANDARD_INPUT), target, wanted, translator.recipe.data.max_chars)


def read_own(translator: Any, bundled: str | None, split: str) -> "Pairs":
    """The pairs of a set that ships with heedful, or of the model's recipe; a language model reads their sources."""
    pairs = read_set(bundled, split, translator.recipe.data)
    return replace(pairs, target=pairs.source) if bundled and translator.task == "language_model" else pairs


def usable(translator: Any, pairs: "Pairs") -> "Pairs":
    """The pairs that the model can be judged by: of captions those whose pictures it can read."""
    if translator.task != "caption":
        return pairs
    from ._captions import usable_pictures

    return usable_pictures(translator, pairs)


def check_use(source: Path | None, target: Path | None, columns: str | None, bundled: str | None) -> None:
    """Refuse arguments that do not go together."""
    if source and bundled:
        raise typer.BadParameter("give the files to score on, or --bundled NAME, not both")
    if str(source) == str(target) == STANDARD_INPUT:
        raise typer.BadParameter("standard input holds one side; give a file for the other, or both in one table")
    if columns and (target or bundled or not source):
        raise typer.BadParameter("--columns is of use with a table alone; leave it out")


def short_for(beam: int | None) -> dict[str, Any]:
    """What --beam changes in the recipe: who asks for a beam does not sample."""
    return {"beam": beam, "sample": False} if beam else {"beam": None, "sample": None}


def measure(translator: Any, pairs: "Pairs", decoding: "DecodingOptions | None") -> "list[Score]":
    """The scores of a translator, of a language model or of a writer of captions."""
    if translator.task == "language_model":
        from heedful.tasks.language_model import evaluate_writer

        return evaluate_writer(translator, pairs)
    how: Any = decoding or translator.recipe.decoding
    together: Any = with_ensemble(translator, how)
    if translator.task == "caption":
        from heedful.tasks.captioning import evaluate_captioner

        return evaluate_captioner(together, pairs, how)
    from heedful.tasks.scoring import score_translator

    say_longer(together.num_longer(pairs.source), together)
    return score_translator(
        together, lambda: translate(together, pairs.source, how), pairs, translator.recipe.evaluation
    )


def read_set(bundled: str | None, split: str, data: "DataOptions") -> "Pairs":
    """The pairs of a set that ships with heedful; without its name, those that the recipe keeps for the final score."""
    from heedful.data.bundled import load_pairs
    from heedful.tasks.corpora import read_part

    if bundled is None:
        if data.test is None:
            raise typer.BadParameter("give the files to score on, or --bundled NAME; the recipe has no data.test")
        return read_part(data.test, max_chars=data.max_chars)
    try:
        return load_pairs(bundled, split)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_files(
    source: Path, target: Path | None, columns: tuple[int | str, int | str] | None, max_chars: int
) -> "Pairs":
    """The pairs of files, of which one may be standard input, which messages call by that name."""
    from heedful.data.readers import read_pairs

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "standard input")

        def place(side: Path) -> Path:
            return copy if str(side) == STANDARD_INPUT else side

        if STANDARD_INPUT in (str(source), str(target)):
            with copy.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            pairs = read_pairs(place(source), target and place(target), columns=columns, max_chars=max_chars)
        except DataError as error:
            raise DataError(str(error).replace(str(copy), copy.name)) from None
    return replace(pairs, origin=pairs.origin.replace(str(copy), copy.name))


def translate(translator: "Translator", sentences: list[str], decoding: "DecodingOptions") -> list[str]:
    """The best translation of each sentence, with a progress display."""
    texts: list[str] = []
    with progress("sentences", len(sentences)) as advance:
        for first in range(0, len(sentences), SENTENCES_PER_GROUP):
            group = sentences[first : first + SENTENCES_PER_GROUP]
            texts += [best[0].text for best in translator.translate(group, decoding=decoding)]
            advance(len(group))
    return texts
