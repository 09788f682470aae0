"""How long is an epoch of the film review model with attention: 25,000 reviews of 500 words, batches of 64?

python benchmarks/imdb_epoch.py --keras FOLDER [--old PYTHON] [--threads N] [--rounds N] [--steps N]

FOLDER holds Keras and its engines, installed apart: pip install --target FOLDER keras tensorflow-cpu jax
PYTHON is that of an environment with what is replaced: pip install tensorflow==2.15.1 attention==5.0.0
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from paced import PacedTraining
from record import append

REVIEWS = 25_000


def sides(keras: str, old: str | None, engines: list[str]) -> dict[str, list[str]]:
    """The trainings that are compared, each with interpreter and command."""
    here = sys.executable
    found = {"heedful": [here, "imdb_side.py", "torch", "heedful"]}
    for engine in engines:
        for layer in ("heedful", "plain"):
            found[f"keras {engine}, {layer}"] = [here, "imdb_side.py", engine, layer, keras]
    if old:
        found["attention 5.0.0, TensorFlow 2.15"] = [old, "imdb_side.py", "tensorflow", "old"]
    return found


def measure(trainings: list[PacedTraining], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds of an epoch, of every side in every round; one block of steps goes before."""
    found: dict[str, list[float]] = {training.name: [] for training in trainings}
    for number in range(rounds + 1):
        for training in trainings:
            reviews, seconds = training.run(steps)
            if number:
                found[training.name].append(seconds / reviews * REVIEWS)
    return found


def main() -> None:
    """One row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", required=True, help="folder that holds Keras and its engines")
    parser.add_argument("--old", help="python of an environment with TensorFlow 2.15 and attention 5.0.0")
    parser.add_argument("--engines", nargs="*", default=["tensorflow", "jax"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="batches of a side in a round")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trainings = [
            PacedTraining(name, command[1:], Path(folder) / f"{number}.log", given.threads, command[0])
            for number, (name, command) in enumerate(sides(given.keras, given.old, given.engines).items())
        ]
        found = measure(trainings, given.rounds, given.steps)
        for training in trainings:
            training.close()
    append(
        "imdb_epoch",
        threads=given.threads,
        rounds=given.rounds,
        steps=given.steps,
        **{f"{training.name} parameters": training.parameters for training in trainings},
        **{f"{name} s": round(median(seconds), 1) for name, seconds in found.items()},
        **{f"{name} range": f"{min(seconds):.1f}-{max(seconds):.1f}" for name, seconds in found.items()},
    )


if __name__ == "__main__":
    main()
