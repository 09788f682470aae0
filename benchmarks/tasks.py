"""What the recipes of words learn: python benchmarks/tasks.py FOLDER [--only cmudict sigmorphon2016:finnish ...].

Each recipe by its own command, one thread, one training after another; of the other two one for each
language. A finished training leaves a row for each metric on the test set at once. What has its rows is not trained
again, and a training that was cut off goes on. `--set KEY=VALUE` changes every recipe, and stands in the command.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from record import RESULTS, append

LANGUAGES = {
    "sigmorphon2021": ("geo", "hun", "jpn_hira", "vie_hanoi", "kor", "arm_e", "fre", "dut", "bul", "hbs_latn"),
    "sigmorphon2016": (
        "navajo",
        "turkish",
        "german",
        "spanish",
        "hungarian",
        "georgian",
        "finnish",
        "russian",
        "arabic",
        "maltese",
    ),
}
NAMES = ["cmudict", *(f"{recipe}:{language}" for recipe, known in LANGUAGES.items() for language in known)]


def command_of(name: str, changes: list[str]) -> list[str]:
    """What is typed behind `heedful`, but for the folder of the run."""
    recipe, _, language = name.partition(":")
    own = [f"data.where.equals={language}"] if language else []
    return ["train", recipe, *(part for change in [*own, *changes] for part in ("--set", change))]


def train_one(name: str, folder: Path, changes: list[str]) -> None:
    """One training in a process of its own, and its rows."""
    output = folder / name.replace(":", "_")
    command = command_of(name, changes)
    whole = [
        sys.executable,
        "-m",
        "heedful",
        *command,
        "--set",
        f"output={output}",
        "--set",
        "training.tensorboard=false",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with output.with_suffix(".log").open("a") as log:
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
        failed = subprocess.run(whole, env=surroundings, stdout=log, stderr=log, check=False).returncode
    if failed:
        print(f"{name} failed; see {log.name}", flush=True)
        return
    found = json.loads((output / "model" / "metrics.json").read_text())
    recipe, _, language = name.partition(":")
    for score in found["scores"]["test"]:
        append(
            "tasks",
            task=recipe,
            data=language or recipe,
            model="LSTM, Bahdanau attention",
            seed=1,
            parameters=found["parameters"],
            updates=found["step"],
            seconds=round(found["seconds"]),
            # of the process: the loop and the scoring; less where a training was cut off
            processor_seconds=round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before),
            metric=score["name"],
            value=round(score["value"], 2),
            signature=score["signature"],
            command=" ".join(["heedful", *command]),
        )


def done() -> set[str]:
    """Commands that have rows."""
    path = RESULTS / "tasks.csv"
    return {row["command"] for row in csv.DictReader(path.read_text().splitlines())} if path.exists() else set()


def main() -> None:
    """Train what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the runs")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES, metavar="RECIPE[:LANGUAGE]")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        if " ".join(["heedful", *command_of(name, options.changes)]) not in done():
            train_one(name, options.folder, options.changes)


if __name__ == "__main__":
    main()
