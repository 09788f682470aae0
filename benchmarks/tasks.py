"""What the recipes of words learn: python benchmarks/tasks.py FOLDER [--only cmudict sigmorphon2016:finnish ...].

Each recipe by its own command, one thread, one training after another; of the other two one for each
language. A finished training leaves a row for each metric on the test set at once. What has its rows is not trained
again, and a training that was cut off goes on. `--set KEY=VALUE` changes every recipe, and stands in the command.
`--seeds N` trains each with the seeds 1 to N, and then scores all of them together, as an ensemble.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def command_of(name: str, changes: list[str], seed: int) -> list[str]:
    """What is typed behind `heedful`, but for the folder of the run."""
    recipe, _, language = name.partition(":")
    own = [f"data.where.equals={language}"] if language else []
    own += [f"seed={seed}"] if seed > 1 else []
    return ["train", recipe, *(part for change in [*own, *changes] for part in ("--set", change))]


def folder_of(name: str, folder: Path, seed: int) -> Path:
    """Where a run lies."""
    return folder / (name.replace(":", "_") + (f"_seed{seed}" if seed > 1 else ""))


def run(command: list[str], log: Path) -> str | None:
    """What a command of heedful says on standard output; None where it fails."""
    with log.open("a") as lines:
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
        whole = [sys.executable, "-m", "heedful", *command]
        done = subprocess.run(whole, env=surroundings, stdout=subprocess.PIPE, stderr=lines, check=False, text=True)
        lines.write(done.stdout)
    if done.returncode:
        print(f"heedful {' '.join(command)} failed; see {log}", flush=True)
        return None
    return done.stdout


def processor_seconds() -> float:
    """Of all commands so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def train_one(name: str, folder: Path, changes: list[str], seed: int) -> None:
    """One training in a process of its own, and its rows."""
    output, command = folder_of(name, folder, seed), command_of(name, changes, seed)
    before = processor_seconds()
    if run([*command, "--set", f"output={output}", "--set", "training.tensorboard=false"], output.with_suffix(".log")):
        found = json.loads((output / "model" / "metrics.json").read_text())
        known = {"seed": seed, "updates": found["step"], "seconds": round(found["seconds"])}
        # of the process: the loop and the scoring; less where a training was cut off
        known["processor_seconds"] = round(processor_seconds() - before)
        add_rows(name, found["scores"]["test"], " ".join(["heedful", *command]), found["parameters"], known)


def join(name: str, folder: Path, seeds: int, command: str) -> None:
    """All seeds as an ensemble, and its rows."""
    first, *others = (folder_of(name, folder, seed) for seed in range(1, seeds + 1))
    before = processor_seconds()
    joined = f"decoding.ensemble=[{','.join(map(str, others))}]"
    said = run(["evaluate", str(first), "--set", joined, "--json"], first.with_suffix(".log"))
    if said:
        parameters = json.loads((first / "model" / "metrics.json").read_text())["parameters"]
        known = {"seed": f"1 to {seeds}", "processor_seconds": round(processor_seconds() - before)}
        add_rows(name, json.loads(said)["scores"], command, seeds * parameters, known)


def add_rows(name: str, scores: list[dict[str, Any]], command: str, parameters: int, known: dict[str, Any]) -> None:
    """A row for each metric."""
    recipe, _, language = name.partition(":")
    model = "LSTM, Bahdanau attention" + (f", ensemble of seeds {known['seed']}" if "to" in str(known["seed"]) else "")
    for score in scores:
        metric = {"metric": score["name"], "value": round(score["value"], 2), "signature": score["signature"]}
        about = {"task": recipe, "data": language or recipe, "model": model, "parameters": parameters}
        append("tasks", **about, **known, **metric, command=command)


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
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each recipe")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        commands = [command_of(name, options.changes, seed) for seed in range(1, options.seeds + 1)]
        for seed, command in enumerate(commands, 1):
            if " ".join(["heedful", *command]) not in done():
                train_one(name, options.folder, options.changes, seed)
        sets = "".join(f" --set {one}" for one in options.changes)
        together = f"python benchmarks/tasks.py FOLDER --only {name} --seeds {options.seeds}{sets}"
        if options.seeds > 1 and together not in done():
            join(name, options.folder, options.seeds, together)


if __name__ == "__main__":
    main()
