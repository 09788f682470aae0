"""How wrong are the forecasters of the recipes, beside the last value and a linear model?

    python benchmarks/forecasting.py FOLDER RECIPE [--horizon N ...] [--seed N ...] [--set KEY=VALUE ...]

Each training chooses its model on the validation rows and is judged once on all windows of the test rows, as the other
two are in the same run. What has its row in the results is not run again; a run that was cut off goes on.
"""

import argparse
import csv
import sys
from pathlib import Path

import torch
from record import RESULTS, append

from heedful.tasks.dispatch import train_recipe
from heedful.tasks.recipe import Recipe
from heedful.tasks.recipe_files import load_recipe

NAME = "forecasting"


def command_of(recipe: str, changes: list[str]) -> str:
    """What gives the same model."""
    return f"heedful train {recipe} " + " ".join(f"--set {wish}" for wish in changes)


def what_it_is(recipe: Recipe) -> str:
    """The model in a few words."""
    model, own = recipe.model, recipe.model.forecast
    return (
        f"{model.cell}, input attention: {own.input_attention}, temporal attention: {model.attention} "
        f"({model.wiring}), on top of: {own.base}"
    )


def run(name: str, changes: list[str], folder: Path) -> None:
    """Train, judge, and leave a row."""
    output = folder / "-".join([name, *changes]).replace("/", "_")
    recipe = load_recipe(name, [*changes, f"output={output}", "training.tensorboard=false"])
    done = train_recipe(recipe, lambda text: print(text, file=sys.stderr, flush=True))
    values = {part: {one.name: f"{one.value:.5g}" for one in scores} for part, scores in done.scores.items()}
    append(
        NAME,
        data=name,
        horizon=recipe.model.forecast.horizon,
        model=what_it_is(recipe),
        seed=recipe.seed,
        parameters=done.translator.metrics["parameters"],
        updates=done.result.step,
        best_update=done.result.best_step,
        seconds=round(done.result.seconds),
        **values["test"],
        validation=", ".join(f"{name} {value}" for name, value in values["valid"].items() if name.startswith("MSE")),
        signature=done.scores["test"][0].signature,
        command=command_of(name, changes),
    )


def main() -> None:
    """The horizons and seeds, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("recipe", help="name of a recipe: etth1, etth2 or exchange")
    parser.add_argument("--horizon", type=int, nargs="+", default=[24, 96])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a key of the recipe and its value")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for horizon in given.horizon:
        for seed in given.seed:
            changes = [f"seed={seed}", f"model.forecast.horizon={horizon}", *given.changes]
            path = RESULTS / f"{NAME}.csv"
            known = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
            if command_of(given.recipe, changes) not in [row["command"] for row in known]:
                run(given.recipe, changes, given.folder)


if __name__ == "__main__":
    main()
