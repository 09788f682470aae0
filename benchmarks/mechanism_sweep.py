"""What each attention makes of the bundled pairs: python benchmarks/mechanism_sweep.py FOLDER [--steps N] [--only ...].

The recipe `tatoeba_en_fr` with `model.attention` set to every name it knows, and the Transformer of the same width;
equal steps, seed 1, one thread each, as many trainings side by side as asked for. BLEU on the 985 pairs held out,
tokens per second of the training, the most memory of the process, and how sharp and how diagonal the weights are when
the model is fed the references of 200 of them.
A row that stands in the results is not run again; a run that was cut off goes on.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import get_args

from record import RESULTS, append

from heedful.data.bundled import load_pairs
from heedful.metrics.evidence import attention_summary
from heedful.tasks.demo import RIVALS
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.translation import train_translator
from heedful.tasks.translator import Translator

NAMES = [*get_args(ModelOptions.model_fields["attention"].annotation), "transformer"]
LOOKED_AT = 200


def recipe_changes(name: str, steps: int, output: Path) -> list[str]:
    """What is set beside the recipe."""
    own = RIVALS["transformer"].changes if name == "transformer" else (f"model.attention={name}",)
    return [*own, f"training.max_steps={steps}", "training.max_seconds=null", f"output={output}"]


def train_one(name: str, steps: int, folder: Path) -> dict[str, object]:
    """Train and score one mechanism in this process."""
    run = train_translator(load_recipe("tatoeba_en_fr", recipe_changes(name, steps, folder / name)), say=note)
    with (run.folder / "training" / "batches.csv").open() as file:
        speeds = [float(row["tokens_per_second"]) for row in csv.DictReader(file)]
    return {
        "parameters": run.translator.metrics["parameters"],
        "bleu": next(f"{one.value:.1f}" for scores in run.scores.values() for one in scores if one.name == "BLEU"),
        "tokens_per_second": f"{sorted(speeds)[len(speeds) // 2]:.0f}",
        "memory_mib": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}",
        **looks(run.translator, name),
    }


def note(text: str) -> None:
    """News of a training, beside its result."""
    print(text, file=sys.stderr, flush=True)


def looks(translator: Translator, name: str) -> dict[str, object]:
    """Sharpness and diagonality of the weights, means over sentences."""
    if name == "none":
        return {"sharpness": "", "diagonality": ""}
    pairs = load_pairs("tatoeba_en_fr", "test")
    sentences = list(zip(pairs.source, pairs.target, strict=True))[:LOOKED_AT]
    found = [attention_summary(translator.align(*sentence).weights) for sentence in sentences]
    return {
        "sharpness": f"{mean(one.sharpness for one in found):.3f}",
        "diagonality": f"{mean(one.diagonality for one in found):.3f}",
    }


def start_one(name: str, steps: int, folder: Path) -> None:
    """One mechanism in a process of its own, and its row."""
    command = [sys.executable, __file__, str(folder), "--steps", str(steps), "--one", name]
    with (folder / f"{name}.log").open("w") as log:
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
        run = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if run.returncode:
        print(f"{name} failed; see {log.name}")
        return
    append("mechanism_sweep", mechanism=name, steps=steps, seed=1, **json.loads(run.stdout.splitlines()[-1]))


def done(steps: int) -> set[str]:
    """Names that have a row of so many steps."""
    path = RESULTS / "mechanism_sweep.csv"
    rows = csv.DictReader(path.read_text().splitlines()) if path.exists() else []
    return {row["mechanism"] for row in rows if row["steps"] == str(steps)}


def main() -> None:
    """Train them all, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the runs")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--processes", type=int, default=2, help="trainings side by side")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.one:
        print(json.dumps(train_one(options.one, options.steps, options.folder)))
        return
    left = [name for name in options.only if name not in done(options.steps)]
    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(lambda name: start_one(name, options.steps, options.folder), left))


if __name__ == "__main__":
    main()
