"""How right are the classifiers of the recipes? python benchmarks/classification.py FOLDER TASK [SEED ...] [--set K=V].

Each training chooses its model on texts that it holds out of the training set, and is judged once on the official test.
A seed whose row stands in the results is not run again; a run that was cut off goes on.
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

NAME = "classification"


def command_of(task: str, seed: int, changes: list[str]) -> str:
    """What gives the same model."""
    wishes = [f"seed={seed}", *changes]
    return f"heedful train {task} " + " ".join(f"--set {wish}" for wish in wishes)


def what_it_is(recipe: Recipe) -> str:
    """The model in a few words."""
    model = recipe.model
    reads = {
        "none": f"words and n-grams up to {model.ngrams}, no encoder",
        "hierarchical": f"words ({model.word_encoder}), then sentences (recurrent)",
    }
    return f"{reads.get(model.encoder, f'{model.encoder} encoder, {model.cell}')}; pooling: {model.pooling}"


def run(task: str, seed: int, changes: list[str], folder: Path) -> None:
    """Train, judge, and leave a row for each metric of the test set."""
    output = folder / "-".join([task, str(seed), *changes]).replace("/", "_")
    recipe = load_recipe(task, [f"seed={seed}", f"output={output}", "training.tensorboard=false", *changes])
    done = train_recipe(recipe, lambda text: print(text, file=sys.stderr, flush=True))
    held_out = ", ".join(f"{one.name} {one.value:.2f}" for one in done.scores["valid"])
    for score in done.scores["test"]:
        append(
            NAME,
            task=task,
            data="test",
            model=what_it_is(recipe),
            seed=seed,
            parameters=done.translator.metrics["parameters"],
            updates=done.result.best_step,
            seconds=round(done.result.seconds),
            metric=score.name,
            value=f"{score.value:.2f}",
            held_out=held_out,
            signature=score.signature,
            command=command_of(task, seed, changes),
        )


def main() -> None:
    """The seeds, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("task", help="name of a recipe: imdb, documents or relations")
    parser.add_argument("seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a key of the recipe and its value")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for seed in given.seeds:
        path = RESULTS / f"{NAME}.csv"
        known = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
        if command_of(given.task, seed, given.changes) not in [row["command"] for row in known]:
            run(given.task, seed, given.changes, given.folder)


if __name__ == "__main__":
    main()
