"""`heedful inspect`: a summary of pairs before training on them."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heedful._errors import DataError

from ._shell import MAX_CHARS, Columns, load_translator, parse_columns, progress, say

if TYPE_CHECKING:
    from heedful.data.sources import DataSource
    from heedful.data.survey import Survey
    from heedful.tasks.recipe import Recipe

EXAMPLES = (
    "heedful inspect pairs.tsv --picture pairs.png",
    "heedful inspect train.en.gz train.de.gz --model heedful-demo",
    "heedful inspect pairs.csv --columns english,french",
    'heedful inspect "news/*.tsv.gz"',
    "heedful inspect reviews.csv --columns text,label --labels",
    "heedful inspect features captions.jsonl",
    "heedful inspect ETTh1.csv --series",
    "heedful inspect tatoeba_en_fr",
)
PAIRS_PER_ADVANCE = 1000
# most characters of a text that has a label
LONG_TEXT = 1_000_000


def command(
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A table of pairs or a file of sources, a folder, a pattern; or a recipe."),
    ],
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="The translations, where DATA is sources.")
    ] = None,
    columns: Columns = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write histograms to this file, .png or .svg.")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="The targets are labels: count them. A classifier's recipe says so itself.")
    ] = False,
    series: Annotated[
        bool, typer.Option("--series", help="DATA is a table of time series. A forecaster's recipe says so itself.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Say how its vocabulary fits: a model folder or a run.")
    ] = None,
) -> None:
    """Count, measure and show pairs: lengths, duplicates, odd lines, vocabulary, samples.

    The form of a table is told by its name: .csv, .jsonl or .parquet, tab-separated otherwise; text may be .gz or .xz.
    A folder may hold such files, or a data set of Hugging Face. Of a recipe, the pairs it learns from are looked at,
    and how many of its validation sentences are among them. With --labels the targets are labels: how many texts each
    has, how unequal they are, and texts that have several. DATA may be a folder of pictures, TARGET their captions.
    With --series, DATA is a table of time series: how much each moves, and how far it has gone from what is learnt.
    """
    recipe = None if target else find_recipe(data)
    if recipe and columns:
        raise typer.BadParameter("--columns is of use with a table; a recipe names its own")
    if series or (recipe and recipe.task == "forecast"):
        if odd := target or columns or picture or model or (series and recipe and recipe.task != "forecast"):
            raise typer.BadParameter(f"--series is of a table alone, but came {odd}; leave one out")
        from ._forecasts import inspect_series

        inspect_series(recipe, data)
    elif labels or (recipe and recipe.task == "classification"):
        inspect_labels(recipe, data, target, columns, model or picture)
    elif pictured := of_pictures(recipe, data, target):
        inspect_pictures(pictured, recipe.data.max_chars if recipe else MAX_CHARS, columns or picture or model)
    else:
        inspect_pairs(recipe, (data, target, columns), picture, model)


def inspect_pairs(
    recipe: "Recipe | None", files: tuple[str, str | None, str | None], picture: Path | None, model: Path | None
) -> None:
    """Count and measure pairs."""
    from rich.console import Console
    from rich.text import Text

    from heedful.data.readers import why_nothing
    from heedful.data.survey import Survey
    from heedful.tasks.corpora import read_part

    from ._survey import report

    tokenizers = load_translator(model).tokenizers if model else None
    survey, skipped = Survey(), Counter()
    origin, pairs = read_recipe(recipe, skipped) if recipe else read_files(*files, skipped)
    with progress("pairs", None) as advance:
        for number, pair in enumerate(pairs, start=1):
            survey.see(*pair, tokenizers)
            if number % PAIRS_PER_ADVANCE == 0:
                advance(PAIRS_PER_ADVANCE)
    if not survey.count:
        raise DataError(f"{origin} gives no pair to look at: {why_nothing(skipped)}.")
    valid = recipe.data.valid if recipe else None
    validation = read_part(valid, max_chars=recipe.data.max_chars).source if recipe and valid else []
    console = Console(highlight=False)
    for part in report(survey.finish(), origin, skipped, validation):
        # no line breaks within a sentence: a pipe has no width
        console.print(part, soft_wrap=isinstance(part, Text))
    if picture:
        draw(survey, picture)


def draw(survey: "Survey", picture: Path) -> None:
    """The histograms of pairs in a file."""
    import numpy as np

    from heedful.visual.survey import write_survey

    sides = {"source": survey.source, "target": survey.target}
    lengths = {name: np.asarray(side.lengths) for name, side in sides.items()}
    write_survey(lengths, survey.ratios(), {name: side.coverage() for name, side in sides.items()}, picture)
    say(f"Wrote {picture}: histograms.")


def inspect_labels(
    recipe: "Recipe | None", data: str, target: str | None, columns: str | None, unused: Path | None
) -> None:
    """Count the labels, and measure the texts."""
    if unused:
        raise typer.BadParameter("--model and --picture are of pairs, not of labels; leave them out")
    from rich.console import Console
    from rich.text import Text

    from heedful.data.readers import why_nothing
    from heedful.data.selection import number_of, sentence_key
    from heedful.data.survey import Survey

    from ._labels import label_report

    survey, labels, skipped = Survey(), Counter(), Counter()
    # of each text by its hash, the hash of its label, or None where it has several
    seen: dict[int, int | None] = {}
    origin, pairs = read_recipe(recipe, skipped) if recipe else read_files(data, target, columns, skipped, LONG_TEXT)
    for text, label in pairs:
        survey.see(text, label)
        labels[label] += 1
        own, other = number_of(sentence_key(text)), number_of(label)
        seen[own] = other if seen.get(own, other) == other else None
    if not labels:
        raise DataError(f"{origin} gives no text to look at: {why_nothing(skipped)}.")
    console = Console(highlight=False)
    for part in label_report(survey, labels, [*seen.values()].count(None), origin, skipped):
        console.print(part, soft_wrap=isinstance(part, Text))


def find_recipe(name: str) -> "Recipe | None":
    """The recipe that a name or the end of a file's name tells; None for data."""
    from heedful.tasks.recipe_files import load_recipe, shipped_recipes

    is_file = Path(name).suffix in (".yaml", ".yml")
    return load_recipe(name) if is_file or (name in shipped_recipes() and not Path(name).exists()) else None


def inspect_pictures(pictured: "list[DataSource]", max_chars: int, unused: object) -> None:
    """Count pictures and captions."""
    if unused:
        raise typer.BadParameter("--columns, --picture and --model are of texts, not of pictures; leave them out")
    from ._captions import inspect_captions

    for source in pictured:
        inspect_captions(source, max_chars)


def of_pictures(recipe: "Recipe | None", data: str, target: str | None) -> "list[DataSource]":
    """Folders of pictures and the files of their captions, where there are such."""
    if recipe and recipe.task == "caption":
        from heedful.tasks.corpora import source_of_part

        return [source_of_part(part) for part in recipe.data.train_parts]
    if target is None or ".jsonl" not in Path(target).suffixes or not Path(data).is_dir():
        return []
    from ._captions import find_pictures

    return [find_pictures(data, target)]


def read_recipe(recipe: "Recipe", skipped: Counter[str]) -> tuple[str, Iterator[tuple[str, str]]]:
    """What to call the training pairs of a recipe, and they themselves."""
    from heedful.tasks.corpora import stream_part

    parts = [stream_part(part, skipped, recipe.data.max_chars) for part in recipe.data.train_parts]
    return ", ".join(origin for origin, _ in parts), chain.from_iterable(pairs for _, pairs in parts)


def read_files(
    data: str, target: str | None, columns: str | None, skipped: Counter[str], max_chars: int = MAX_CHARS
) -> tuple[str, Iterator[tuple[str, str]]]:
    """What to call the pairs of files, and they themselves."""
    from heedful.data.readers import stream
    from heedful.data.sources import find_source

    source = find_source(data, target, parse_columns(columns))
    return str(source), stream(source, skipped, max_chars)
