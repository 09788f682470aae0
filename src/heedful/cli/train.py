"""`heedful train`: what a recipe describes."""

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from heedful._errors import RecipeError
from heedful._memory import give_back_freed_memory, keep_freed_memory

from ._shell import say

if TYPE_CHECKING:
    from heedful.tasks.recipe import Recipe

EXAMPLES = (
    "heedful train tatoeba_en_fr",
    "heedful train mine.yaml --set model.units=256 --set training.max_epochs=10",
    "heedful train pairs --from runs/old --set data.train.tsv=new.tsv",
    "heedful train language_model",
    "heedful train classify --set data.train.csv=mine.csv",
    "heedful train forecast --set data.train.csv=series.csv",
    "heedful train mine.yaml --devices 4",
)


def command(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A YAML file, or one that ships with heedful by its name: pairs is for your own."
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key of the recipe; may be repeated."),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Go on learning from a trained model; short for start_from."),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(metavar="N", help="Processes on this machine; short for training.devices.")
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(metavar="N", help="Machines that take part; short for training.nodes.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(metavar="ddp|fsdp", help="How processes share; short for training.strategy.")
    ] = None,
) -> None:
    """Train what a recipe describes, and score it.

    After Ctrl-C, or a kill, the same command goes on from the last checkpoint. The recipe's output folder gets the
    model, the training's records and the curves, and `recipe.yaml`, in which every key for --set stands with its value.
    The scores go to standard output, everything else to standard error.
    """
    wait_briefly()
    short = {
        "start_from": start_from,
        "training.devices": devices,
        "training.nodes": nodes,
        "training.strategy": strategy,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in short.items() if value is not None]
    wanted = read_recipe(recipe, [*(changes or []), *given])
    from heedful.tasks.dispatch import train_recipe

    if wanted.data.streaming:  # for machines with little memory
        give_back_freed_memory()
    else:
        keep_freed_memory()
    run = train_recipe(wanted, say=say)
    for name, scores in run.scores.items():
        for score in scores:
            typer.echo(f"{name}\t{score}")
    verb = {"classification": "classify", "forecast": "forecast"}.get(wanted.task, "translate")
    for path, meaning in {
        run.model: f"the model, for `heedful {verb} {run.folder}`",
        run.folder / "loss_curve.png": "how it learned",
        run.folder / "forecast.png": "the last test window, what came, and what was looked at",
        run.folder / "confusion.png": "right labels beside given ones, and how sure the model was",
        run.folder / "training": "every number of the training, and its last checkpoint",
    }.items():
        if path.exists():
            say(f"Wrote {path}: {meaning}.")


def wait_briefly() -> None:
    """Let threads that wait for each other sleep after some 20 microseconds, unless the environment says how to wait.

    GNU's OpenMP, which PyTorch brings, lets them spin for milliseconds by default. Where another program is on the same
    cores, that takes from the thread they wait for. It is read once, when torch is imported.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        # what it takes by itself where it knows of more threads than cores
        os.environ["GOMP_SPINCOUNT"] = "1000"


def read_recipe(name: str, changes: list[str]) -> "Recipe":
    """The recipe with its changes; a change that no recipe knows is wrong use, a faulty file is a failure."""
    from heedful.tasks.recipe_files import load_recipe

    try:
        return load_recipe(name, changes)
    except RecipeError as error:
        if any(line.startswith("--set ") for line in str(error).splitlines()):
            raise typer.BadParameter(str(error)) from None
        raise
