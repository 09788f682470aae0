"""Where is additive attention by sines, `method="harmonic"`, faster than the exact kernels?

python benchmarks/harmonic.py            measures, a row per shape, type, range and tolerance
python benchmarks/harmonic.py --table    prints the last row of each as a table
"""

import argparse
import csv
import itertools
import time
from collections.abc import Callable

import torch
from record import RESULTS, append
from torch import Tensor

from heedful.functional import additive_attention
from heedful.functional.harmonic import tanh_sines

SHAPES = [(1, 1024, 1024, 128), (1, 1024, 1024, 16), (4, 256, 256, 128), (16, 64, 64, 128), (64, 1, 50, 256)]
RANGES, TOLERANCES = (0.5, 2.0, 8.0), (0.1, 0.01, 0.001)


def minima(sides: dict[str, Callable[[], Tensor]], backward: bool, runs: int) -> dict[str, float]:
    """Least milliseconds of each side; they take turns."""
    least = dict.fromkeys(sides, float("inf"))
    for run in range(runs + 1):
        for name, side in sides.items():
            begun = time.perf_counter()
            with torch.set_grad_enabled(backward):
                context = side()
            if backward:
                context.sum().backward()
            # the first run warms up
            least[name] = min(least[name], (time.perf_counter() - begun) * 1e3) if run else least[name]
    return {name: float(f"{number:.3g}") for name, number in least.items()}


def measure(shape: tuple[int, int, int, int], dtype: torch.dtype, reach: float, tolerance: float, runs: int) -> None:
    """One row: both methods, forward, and forward and backward."""
    batch, queries, keys, units = shape

    def uniform(*sizes: int) -> Tensor:
        return ((2 * torch.rand(sizes, dtype=dtype) - 1) * reach / 2).requires_grad_()

    query, key, value = uniform(batch, queries, units), uniform(batch, keys, units), uniform(batch, keys, units)
    energy = (torch.randn(units, dtype=dtype) / units**0.5).requires_grad_()
    sides: dict[str, Callable[[], Tensor]] = {
        "exact": lambda: additive_attention(query, key, value, energy),
        "harmonic": lambda: additive_attention(query, key, value, energy, method="harmonic", tolerance=tolerance),
    }
    found: dict[str, object] = {}
    for direction, backward in (("forward", False), ("both", True)):
        least = minima(sides, backward, runs)
        found |= {f"{direction} {name} ms": number for name, number in least.items()}
        found[f"{direction} ratio"] = round(least["exact"] / least["harmonic"], 2)
    sines = tanh_sines(torch.tensor([reach]), 0.9 * tolerance)[0].item()
    append(
        "harmonic",
        threads=1,
        shape="x".join(map(str, shape)),
        dtype=str(dtype)[6:],
        range=reach,
        tolerance=tolerance,
        sines=sines,
        **found,
    )


def table() -> str:
    """Time of the exact kernels over that of the sines: forward, and with backward; the last row of each case."""
    with (RESULTS / "harmonic.csv").open(newline="") as file:
        found = {
            (row["shape"], row["dtype"], float(row["range"]), float(row["tolerance"])): row
            for row in csv.DictReader(file)
        }
    lines = [
        f"| batch, queries, keys, units | range |{''.join(f' tolerance {tolerance} |' for tolerance in TOLERANCES)}"
    ]
    lines.append(f"|---|---:|{'---|' * len(TOLERANCES)}")
    for shape, dtype, reach in dict.fromkeys(key[:3] for key in found):
        cells = []
        for tolerance in TOLERANCES:
            row = found.get((shape, dtype, reach, tolerance), {})
            ways = [
                float(row[f"{way} exact ms"]) / float(row[f"{way} harmonic ms"]) for way in ("forward", "both") if row
            ]
            cells.append(", ".join(f"{ratio:.2g}" for ratio in ways))
        name = shape.replace("x", ", ") + ("" if dtype == "float32" else f", {dtype}")
        lines.append(f"| {name} | {reach} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    wish = parser.parse_args()
    if wish.table:
        print(table())
        return
    torch.set_num_threads(1)
    torch.manual_seed(1)
    for shape, reach, tolerance in itertools.product(SHAPES, RANGES, TOLERANCES):
        measure(shape, torch.float32, reach, tolerance, wish.runs)
    for tolerance in TOLERANCES:
        measure((4, 256, 256, 128), torch.float64, 2.0, tolerance, wish.runs)


if __name__ == "__main__":
    main()
