"""How well does sine attention learn beside tanh, general and dot-product scores of as many parameters?

python benchmarks/sine.py                               copying and adding, every row that is not there yet
python benchmarks/sine.py --rates 0.003 0.01 0.03 0.1 --lengths 100      the same at high learning rates
python benchmarks/sine.py --precisions bf16 --lengths 100                products computed in bfloat16
python benchmarks/sine.py --lengths 16 --tested 16 30 60                 trained at 16 steps, tested at more
python benchmarks/sine.py --table                       prints the rows, mean and range over the seeds
python benchmarks/sine.py --figures                     draws the pictures of docs/sine_attention.md

A row is appended as soon as it is found; a second call goes on where the first was stopped. Whole models:
`sine_models.py`.
"""

import argparse
import csv
import itertools
import math
import time
from collections.abc import Iterator
from statistics import mean
from typing import NamedTuple

import torch
from record import RESULTS, append
from sine_tasks import SIDES, TASKS, Setting

from heedful.models import count_parameters

NAME = "sine"
LENGTHS = (100, 300, 1000, 2000)


class Key(NamedTuple):
    """What makes two rows the same experiment."""

    task: str
    length: int
    side: str
    seed: int
    updates: int
    rate: float
    precision: str
    tested: int

    @property
    def label(self) -> str:
        """All but side and seed, in words."""
        usual = key_of({"task": self.task, "length": str(self.length), "side": "", "seed": "0", "updates": "0"})
        rate = f", rate {self.rate:g}" if self.rate != usual.rate else ""
        precision = f", {self.precision}" if self.precision != usual.precision else ""
        tested = f", tested at {self.tested}" if self.tested != usual.tested else ""
        return f"{self.task}, {self.length}{rate}{precision}{tested}"


def rows() -> list[dict[str, str]]:
    """What is recorded."""
    path = RESULTS / f"{NAME}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def key_of(row: dict[str, str]) -> Key:
    """The experiment of a row; older ones do not name what was the same in all of them."""
    usual = Setting(int(row["length"]), int(row["seed"]), int(row["updates"]))
    rate, tested = float(row.get("rate") or usual.rate), int(row.get("tested") or usual.steps)
    precision = row.get("precision") or usual.precision
    return Key(row["task"], usual.steps, row["side"], usual.seed, usual.updates, rate, precision, tested)


def wanted(wish: argparse.Namespace) -> Iterator[Key]:
    """Every row that is asked for and not there yet; all sides of one seed and length one after the other."""
    known = {key_of(row) for row in rows()}
    ways = (wish.tasks, wish.lengths, wish.rates, wish.precisions, wish.tested or [None], wish.seeds, wish.sides)
    for task, length, rate, precision, tested, seed, side in itertools.product(*ways):
        key = Key(task, length, side, seed, wish.updates, rate, precision, tested or length)
        if key not in known:
            yield key


def train(key: Key) -> dict[str, object]:
    """Error and size of one model."""
    torch.manual_seed(key.seed)
    setting = Setting(key.length, key.seed, key.updates, key.rate, key.precision, key.tested)
    error, model = TASKS[key.task](key.side, setting)
    return {"error": round(error, 6), "attention parameters": count_parameters(model.get_submodule("look"))}


def table(found: list[dict[str, str]]) -> str:
    """Mean error, and the least and largest of the seeds, by experiment and side."""
    lines = [f"| task, length | {' | '.join(SIDES)} |", f"|---|{'---|' * len(SIDES)}"]
    named = [(key_of(row), float(row["error"])) for row in found]
    order = sorted({(key.task, key.length, key.rate, key.precision, key.tested, key.label) for key, _ in named})
    for *_, label in order:
        cells = [_cell([error for key, error in named if (key.label, key.side) == (label, side)]) for side in SIDES]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(numbers: list[float]) -> str:
    if not numbers:
        return "-"
    lost = sum(map(math.isnan, numbers))
    if lost:
        return f"NaN with {lost} of {len(numbers)} seeds"
    return f"{mean(numbers):.2g} ({min(numbers):.2g}-{max(numbers):.2g})"


def main() -> None:
    """Rows, the table, or the pictures."""
    usual = Setting(0, 0, 600)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS)
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES)
    parser.add_argument("--seeds", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument("--updates", type=int, default=usual.updates)
    parser.add_argument("--rates", nargs="+", type=float, default=[usual.rate], help="of Adam")
    parser.add_argument("--precisions", nargs="+", default=[usual.precision], choices=("float32", "bf16"))
    parser.add_argument("--tested", nargs="+", type=int, help="lengths of the test sequences; those of training")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--figures", action="store_true")
    wish = parser.parse_args()
    if wish.table:
        print(table(rows()))
        return
    if wish.figures:
        from sine_figures import draw_all

        draw_all([row for row in rows() if key_of(row).label == f"{row['task']}, {row['length']}"])
        return
    torch.set_num_threads(1)
    for key in wanted(wish):
        begun = time.perf_counter()
        found = train(key)
        append(NAME, **key._asdict(), **found, seconds=round(time.perf_counter() - begun, 1))


if __name__ == "__main__":
    main()
