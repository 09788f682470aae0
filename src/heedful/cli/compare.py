"""`heedful compare`: one recipe with several attentions, equal in size and work, and which of them is better."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heedful._errors import DataError

from ._shell import FAILED, count, say
from .train import read_recipe, wait_briefly

if TYPE_CHECKING:
    from heedful.tasks.comparison import Comparison

EXAMPLES = (
    "heedful compare tatoeba_en_fr --attention bahdanau,luong --steps 600",
    "heedful compare mine.yaml --attention luong,none --seconds 60 --seeds 5",
)


def command(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A YAML file, or one that ships with heedful by its name.")
    ],
    attention: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Two or more, such as bahdanau,luong,none: values of model.attention (classifiers: model.pooling), or "
            "transformer; or scores, such as dot,general, those of all attentions where the recipe is a Transformer. "
            "The others are compared with the first, which keeps the recipe's size.",
        ),
    ],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the models, the numbers and the report.")
    ] = Path("heedful-compare"),
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key of the recipe; may be repeated."),
    ] = None,
    steps: Annotated[
        int | None, count("Updates of each training; when left out the recipe's max_steps, or max_epochs.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(metavar="X", min=1, help="Or seconds of each training.")] = None,
    seeds: Annotated[int, count("Trainings of each model.")] = 3,
    processes: Annotated[int | None, count("Trainings side by side; as many as cores when left out.")] = None,
    gold: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Links between the words of each test pair, such as 0-0 1-2, one line each."),
    ] = None,
    faithfulness: Annotated[
        int, count("Test examples on which to measure faithfulness, as `heedful explain` does; 0 for none.", least=0)
    ] = 0,
) -> None:
    """Train one recipe with several attentions and say which is better, with intervals.

    All models have as many parameters, within 2 % by their width, and train on the same data for equally many updates
    or seconds, each on one thread. Scores on data.test come with bootstrap intervals over its examples, and each model
    is compared with the first by a paired bootstrap. The tables go to standard output, with the same in
    comparison.csv and report.html. After Ctrl-C, or a kill, the same command goes on; names and seeds may be added.
    """
    wait_briefly()
    from heedful.tasks.comparison import parse_names, plan_comparison, with_limit

    if steps is not None and seconds is not None:
        raise typer.BadParameter("give --steps or --seconds, not both: equal work is one of them")
    whole = read_recipe(recipe, changes or [])
    try:
        names = parse_names(attention, whole.task)
    except ValueError as error:
        raise typer.BadParameter(f"--attention: {error}") from None
    limited = with_limit(whole, steps, seconds)
    carry_out(plan_comparison(limited, names, output, seeds, read_gold(gold), faithfulness, say), processes or cores())


def carry_out(plan: "Comparison", at_once: int) -> None:
    """Train and measure what has not been, print the tables and write the files."""
    from rich.console import Console

    from heedful.tasks.comparison import run_comparison
    from heedful.tasks.comparison_report import write_results
    from heedful.tasks.comparison_results import all_tables, conclusion, read_rows

    from ._tables import print_table

    trainings = f"{len(plan.seeds)} training{'s' * (len(plan.seeds) > 1)}"
    say(f"{len(plan.contenders)} models, {trainings} each, {at_once} at once.")
    try:
        run_comparison(plan, at_once, follow(plan))
    except KeyboardInterrupt:
        say("Stopped; the same command goes on.")
        raise typer.Exit(FAILED) from None
    rows, console = read_rows(plan), Console(highlight=False)
    for table in all_tables(rows, plan.measurement.nouns):
        print_table(console, table)
    typer.echo(conclusion(rows, plan.measurement.nouns))
    for path, meaning in write_results(plan, rows).items():
        say(f"Wrote {path}: {meaning}.")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_gold(path: Path | None) -> list[str] | None:
    """The lines of a file of links. Raises `DataError` when it cannot be read."""
    if path is None:
        return None
    from heedful.data.files import read_raw_lines

    try:
        return [line.decode() for line in read_raw_lines(path)]
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8; give links such as 0-0 1-2, one line for each test pair.") from None


def follow(plan: "Comparison") -> Callable[[], None]:
    """Tells each validation of each training once, when called now and then."""
    from ._demo_screen import last_validation

    said: set[tuple[Path, str]] = set()
    runs = {folder: f"{contender.name}, seed {seed}" for contender, seed, folder in plan.runs()}
    # what an earlier call has told
    for folder in runs:
        if row := last_validation(folder):
            said.add((folder, row["step"]))

    def watch() -> None:
        for folder, name in runs.items():
            row = last_validation(folder)
            if row and (folder, row["step"]) not in said:
                said.add((folder, row["step"]))
                say(f"{name}: {describe(row, plan.recipe.evaluation.metrics)}")

    return watch


def describe(row: dict[str, str], metrics: Sequence[str]) -> str:
    """One validation in words: its loss, and the metrics that it knows.

    >>> describe({"step": "1600", "loss": "2.4112", "bleu": "21.34"}, ["bleu", "tokenized_bleu"])
    'step 1,600   loss 2.41   bleu 21.34'
    """
    known = "".join(f"   {name} {float(row[name]):.4g}" for name in metrics if row.get(name))
    return f"step {int(row['step']):,}   loss {float(row['loss']):.2f}{known}"
