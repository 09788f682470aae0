"""How well does sine attention learn beside tanh, general and dot-product scores of as many parameters?

python benchmarks/sine.py                               copying and adding, every row that is not there yet
python benchmarks/sine.py --tasks translation           the bundled pairs, `heedful train` with other scores
python benchmarks/sine.py --table                       prints the rows, mean and range over the seeds
python benchmarks/sine.py --figures                     draws the pictures of docs/sine_attention.md

A row is appended as soon as it is found; a second call goes on where the first was stopped.
"""

import argparse
import csv
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import torch
from record import RESULTS, append
from sine_tasks import SIDES, TASKS

from heedful.models import count_parameters

NAME = "sine"
LENGTHS = (100, 300, 1000, 2000)
# the other scores of the recipe; a dot product has no matrix of its own there, so it has 66,000 parameters less
TRANSLATORS = {
    "tanh": ["model.attention=bahdanau"],
    "sine": ["model.attention=sine", "model.wiring=bahdanau"],
    "general": ["model.attention=luong", "model.wiring=bahdanau", "model.score=general"],
    "dot": ["model.attention=luong", "model.wiring=bahdanau", "model.score=dot"],
}
Key = tuple[str, str, str, str, str]


def rows() -> list[dict[str, str]]:
    """What is recorded."""
    path = RESULTS / f"{NAME}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def key_of(row: dict[str, str]) -> Key:
    """What makes two rows the same experiment."""
    return row["task"], row["length"], row["side"], row["seed"], row["updates"]


def wanted(wish: argparse.Namespace) -> Iterator[Key]:
    """Every row that is asked for and not there yet; all sides of one seed and length one after the other."""
    known = {key_of(row) for row in rows()}
    for task in wish.tasks:
        sides = [side for side in wish.sides if task != "translation" or side in TRANSLATORS]
        lengths = [0] if task == "translation" else wish.lengths
        for length, seed, side in itertools.product(lengths, wish.seeds, sides):
            key = task, str(length), side, str(seed), str(wish.updates)
            if key not in known:
                yield key


def train_synthetic(task: str, length: int, side: str, seed: int, updates: int) -> dict[str, object]:
    """Error and size of one model."""
    torch.manual_seed(seed)
    error, model = TASKS[task](side, length, seed, updates)
    return {"error": round(error, 6), "attention parameters": count_parameters(model.get_submodule("look"))}


def train_translator(side: str, seed: int, updates: int, folder: Path) -> dict[str, object]:
    """Scores of one translator on the bundled test pairs, after so many steps instead of seconds."""
    output = folder / f"{side}-{seed}-{updates}"
    changes = [*TRANSLATORS[side], f"seed={seed}", f"output={output}", "training.max_seconds=null"]
    changes += [f"training.max_steps={updates}"]
    command = [sys.executable, "-m", "heedful", "train", "tatoeba_en_fr"]
    subprocess.run([*command, *(word for change in changes for word in ("--set", change))], check=True)
    metrics = json.loads((output / "model" / "metrics.json").read_text())
    scores = {score["name"]: round(score["value"], 2) for score in metrics["scores"]["test"]}
    return {"parameters": metrics["parameters"]} | scores


def table(found: list[dict[str, str]]) -> str:
    """Mean error, and the least and largest of the seeds, by task, length and side."""
    lines = [f"| task, length | {' | '.join(SIDES)} |", f"|---|{'---|' * len(SIDES)}"]
    for task, length in dict.fromkeys((row["task"], row["length"]) for row in found):
        cells = []
        for side in SIDES:
            own = [row for row in found if (row["task"], row["length"], row["side"]) == (task, length, side)]
            cells.append(_cell([float(row.get("error") or row["BLEU"]) for row in own]))
        lines.append(f"| {task}{f', {length}' if length != '0' else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(numbers: list[float]) -> str:
    return f"{mean(numbers):.3g} ({min(numbers):.3g}-{max(numbers):.3g})" if numbers else "-"


def main() -> None:
    """Rows, the table, or the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=[*TASKS, "translation"])
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES)
    parser.add_argument("--seeds", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--folder", type=Path, default=Path("runs/sine"), help="of the translators")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--figures", action="store_true")
    wish = parser.parse_args()
    if wish.table:
        print(table(rows()))
        return
    if wish.figures:
        from sine_figures import draw_all

        draw_all(rows())
        return
    torch.set_num_threads(1)
    for task, length, side, seed, updates in wanted(wish):
        begun = time.perf_counter()
        if task == "translation":
            found = train_translator(side, int(seed), int(updates), wish.folder)
        else:
            found = train_synthetic(task, int(length), side, int(seed), int(updates))
        seconds = round(time.perf_counter() - begun, 1)
        known = {"task": task, "length": length, "side": side, "seed": seed, "updates": updates}
        append(NAME, **known, **found, seconds=seconds)


if __name__ == "__main__":
    main()
