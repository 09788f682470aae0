"""What does additive attention cost, fused, beside its peers and beside dot-product attention of the same sizes?

python benchmarks/additive.py [--keras FOLDER] [--runs N] [--threads N] [--shape BATCH QUERIES KEYS UNITS]
python benchmarks/additive.py --table      prints the last rows as the README shows them

FOLDER holds Keras and its engines, installed apart: pip install --target FOLDER keras tensorflow-cpu jax
"""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

import torch
from additive_peers import KerasEngine, Shape, Side, interleaved, torch_sides
from record import RESULTS, append

SHAPES = [(1, 1024, 1024, 128), (4, 256, 256, 128), (16, 64, 64, 128), (64, 1, 50, 256)]
DIRECTIONS = {False: "forward", True: "forward and backward"}
ENGINES = ("tensorflow-xla", "tensorflow", "jax", "torch")
PEERS = {
    "eager": "eager PyTorch",
    "torch.compile": "`torch.compile`",
    "keras tensorflow-xla": "Keras, TensorFlow, XLA",
    "keras tensorflow": "Keras, TensorFlow",
    "keras jax": "Keras, JAX",
    "keras torch": "Keras, torch",
}


def measure(shape: Shape, runs: int, engines: list[KerasEngine]) -> None:
    """One row for each direction of a shape."""
    torch.manual_seed(0)
    sides: dict[str, Side] = {**torch_sides(shape), **{f"keras {e.engine}": e.side(shape) for e in engines}}
    for backward, direction in DIRECTIONS.items():
        found = interleaved(sides, backward, runs)
        ours = found["heedful"].median
        append(
            "additive",
            threads=torch.get_num_threads(),
            shape="x".join(map(str, shape)),
            direction=direction,
            **{f"{name} ms": round(timing.median, 3) for name, timing in found.items()},
            **{f"{name} least": round(timing.least, 3) for name, timing in found.items()},
            **{f"{name} first": round(found[name].first, 3) for name in ("heedful", "floor", "eager")},
            **{f"{name} / heedful": round(found[name].median / ours, 2) for name in found if name != "heedful"},
            runs=runs,
            **({"keras": engines[0].version} if engines else {}),
        )


def table(path: Path = RESULTS / "additive.csv") -> str:
    """The last row of every shape and direction as a table in Markdown, milliseconds."""
    with path.open(newline="") as file:
        rows = {(row["shape"], row["direction"]): row for row in csv.DictReader(file)}
    head = ["batch, queries, keys, units", "", "heedful", "dot product", *PEERS.values(), "fastest peer / heedful"]
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for shape in ("x".join(map(str, shape)) for shape in SHAPES):
        lines += [_line(rows[shape, direction]) for direction in DIRECTIONS.values() if (shape, direction) in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(row: Mapping[str, str]) -> list[str]:
    peers = [row.get(f"{name} ms") or "" for name in PEERS]
    ours, floor = float(row["heedful ms"]), float(row["floor ms"])
    fastest = min(float(peer) for peer in peers if peer)
    numbers = [_short(peer) if peer else "-" for peer in peers]
    dot = f"{_short(floor)} ({ours / floor:.2f} x)"
    shape = row["shape"].replace("x", ", ")
    return [shape, row["direction"], f"**{_short(ours)}**", dot, *numbers, f"{fastest / ours:.1f} x"]


def _short(number: float | str) -> str:
    value = float(number)
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> None:
    """Measure the shapes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", help="folder that holds Keras and its engines")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", type=int, nargs=4, action="append")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the last rows")
    given = parser.parse_args()
    if not given.table:
        torch.set_num_threads(given.threads)
        engines = [KerasEngine(name, given.keras, given.threads) for name in ENGINES] if given.keras else []
        for batch, queries, keys, units in given.shape or SHAPES:
            measure((batch, queries, keys, units), given.runs, engines)
        for engine in engines:
            engine.close()
    print(table())


if __name__ == "__main__":
    main()
