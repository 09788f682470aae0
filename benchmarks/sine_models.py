"""Does sine attention serve whole models as well as other scores?

    python benchmarks/sine_models.py FOLDER [TASK ...]

Translation, pronunciation and reviews are comparisons of `heedful compare`: parameters within 2 % of the first model,
equal data and updates, three seeds, intervals over the test examples. In "transformer" the score of all attentions of
a Transformer is another; the others have at most 1 % more parameters than its own. Trainings run one after another, on
one thread; what was begun goes on, and a task that has its rows is not run again. `--table` prints the rows.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from record import RESULTS, append

NAME = "sine_models"
SEEDS = (1, 2, 3)


class Task(NamedTuple):
    """A comparison: recipe, sides, and what follows in the command."""

    recipe: str
    sides: str
    options: tuple[str, ...] = ()


DECODERS, ONE_WIRING = "bahdanau,sine,luong,multi_head", ("--set", "model.wiring=bahdanau")
TASKS = {
    "translation": Task("tatoeba_en_fr", DECODERS, (*ONE_WIRING, "--steps", "1200")),
    "pronunciation": Task(
        "sigmorphon2021", DECODERS, ("--set", "data.where.equals=fre", *ONE_WIRING, "--steps", "2700")
    ),
    "reviews": Task("imdb", "attention,sine,dot,mean", ("--steps", "1300")),
}
# the Transformer of `heedful demo`, and its own score first
TRANSFORMER = {
    "model.architecture": "transformer",
    "model.embedding_dim": "176",
    "model.encoder_layers": "2",
    "model.decoder_layers": "2",
    "training.learning_rate": "0.003",
    "training.max_steps": "1200",
    "training.max_seconds": "null",
}
SCORES = ("scaled_dot", "sine", "additive", "general")


def command_of(task: str) -> list[str]:
    """What is typed behind `heedful`, but for the folder."""
    recipe, sides, options = TASKS[task]
    return ["compare", recipe, "--attention", sides, *options]


def run(command: list[str], log: Path) -> None:
    """One command of heedful on one thread; its lines go to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as lines:
        whole = [sys.executable, "-m", "heedful", *command]
        subprocess.run(whole, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=lines, stderr=lines, check=True)


def compare(task: str, folder: Path) -> None:
    """One comparison, and a row for each of its models."""
    command, output = command_of(task), folder / task
    run([*command, "--processes", "1", "--output", str(output)], output.with_suffix(".log"))
    for found in csv.DictReader((output / "comparison.csv").read_text().splitlines()):
        metric = next(name.removesuffix("_of_each_seed") for name in found if name.endswith("_of_each_seed"))
        append(
            NAME,
            task=task,
            side=found["model"],
            parameters=found["parameters"],
            updates=found["updates"],
            seconds=found["seconds"],
            metric=metric,
            seeds=found["seeds"],
            of_each_seed=found[f"{metric}_of_each_seed"],
            value=round(float(found[metric]), 2),
            difference=found[f"{metric}_difference_value"],
            difference_low=found[f"{metric}_difference_low"],
            difference_high=found[f"{metric}_difference_high"],
            p_value=found["p_value_corrected"],
            sharpness=found.get("sharpness", ""),
            command=" ".join(["heedful", *command]),
        )


def swap(side: str, folder: Path) -> None:
    """The Transformer with one score everywhere, a training for each seed, and their row."""
    places = ("encoder_self", "decoder_self", "cross")
    parts = {place: {"score": {"name": side}} for place in places}
    inner = json.dumps({"heads": 4, "hidden_units": 320, **parts})
    changes = [*(f"{key}={value}" for key, value in TRANSFORMER.items()), f"model.transformer={inner}"]
    found = []
    for seed in SEEDS:
        output = folder / "transformer" / f"{side}-{seed}"
        own = [*changes, f"seed={seed}", f"output={output}"]
        if not (output / "model" / "metrics.json").exists():
            run(
                ["train", "tatoeba_en_fr", *(word for one in own for word in ("--set", one))],
                output.with_suffix(".log"),
            )
        found.append(json.loads((output / "model" / "metrics.json").read_text()))
    scores = [next(one["value"] for one in run_["scores"]["test"] if one["name"] == "BLEU") for run_ in found]
    append(
        NAME,
        task="transformer",
        side=side,
        parameters=found[0]["parameters"],
        updates=" ".join(str(one["step"]) for one in found),
        seconds=" ".join(str(round(one["seconds"], 1)) for one in found),
        metric="bleu",
        seeds=" ".join(map(str, SEEDS)),
        of_each_seed=" ".join(f"{score:.2f}" for score in scores),
        value=round(mean(scores), 2),
        command=" ".join(["heedful train tatoeba_en_fr", *(f"--set '{one}'" for one in changes)]),
    )


def rows() -> list[dict[str, str]]:
    """What is recorded."""
    path = RESULTS / f"{NAME}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def table(found: list[dict[str, str]]) -> str:
    """Means, deviations of the seeds, and differences to the first model of a task."""
    lines = [
        "| task | score | parameters | metric | mean, each seed | difference, 95 % interval |",
        "|---|---|---:|---|---|---|",
    ]
    for row in found:
        runs = [float(one) for one in row["of_each_seed"].split()]
        gap = "{difference:+.2f} ({difference_low:+.2f} to {difference_high:+.2f}), p = {p_value:.2g}"
        names = ("difference", "difference_low", "difference_high", "p_value")
        shown = gap.format(**{name: float(row[name]) for name in names}) if row.get("difference") else ""
        each = ", ".join(f"{one:.1f}" for one in runs)
        value = f"{float(row['value']):.2f} ± {stdev(runs):.2f} ({each})"
        size = f"{int(row['parameters']):,}"
        lines.append(f"| {row['task']} | {row['side']} | {size} | {row['metric']} | {value} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    """Rows that are not there yet, or the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the models")
    parser.add_argument("tasks", nargs="*", default=[*TASKS, "transformer"], metavar="TASK")
    parser.add_argument("--table", action="store_true", help="print the rows and train nothing")
    wish = parser.parse_args()
    if wish.table:
        print(table(rows()))
        return
    known = {(row["task"], row["side"]) for row in rows()}
    for task in wish.tasks:
        if task == "transformer":
            for side in SCORES:
                if (task, side) not in known:
                    swap(side, wish.folder)
        elif not any(row["task"] == task for row in rows()):
            compare(task, wish.folder)


if __name__ == "__main__":
    main()
