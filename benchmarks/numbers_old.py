"""How well does the layer that is replaced add two numbers, on the rows that examples/add_two_numbers.py learns from?

python benchmarks/numbers_old.py PYTHON [--seeds 1 2 3] [--epochs 15]

PYTHON is that of an environment with what is replaced: pip install tensorflow==2.15.1 attention==5.0.0
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from record import append

from heedful.data.synthetic import add_two_numbers

EXAMPLES = 20_000


def write_rows(seed: int, path: Path) -> None:
    """The rows of a seed, drawn in the order of the example."""
    random = np.random.RandomState(seed)
    learning, held_out = (add_two_numbers(many, random) for many in (EXAMPLES, EXAMPLES // 5))
    np.savez(
        path,
        inputs=learning.inputs,
        answers=learning.answers,
        held_inputs=held_out.inputs,
        held_answers=held_out.answers,
    )


def main() -> None:
    """A row for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="python of an environment with TensorFlow 2.15 and attention 5.0.0")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=15)
    given = parser.parse_args()
    side = str(Path(__file__).with_name("numbers_side.py"))
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder, "rows.npz")
            write_rows(seed, rows)
            command = [given.python, side, str(rows), str(seed), str(given.epochs)]
            quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            told = subprocess.run(command, check=True, capture_output=True, text=True, env=quiet).stdout
        found = json.loads(told.splitlines()[-1])
        append(
            "numbers_old",
            seed=seed,
            epochs=given.epochs,
            **{"parameters": found["parameters"], "best mae": min(found["mae by epoch"])},
            **{"mae by epoch": " ".join(f"{error:.6g}" for error in found["mae by epoch"])},
        )


if __name__ == "__main__":
    main()
