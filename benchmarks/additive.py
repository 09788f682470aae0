"""What does additive attention cost, fused, beside its peers and beside dot-product attention of the same sizes?

python benchmarks/additive.py [--keras FOLDER] [--runs N] [--shape BATCH QUERIES KEYS UNITS]; FOLDER holds keras,
tensorflow and jax, installed apart (pip install --target FOLDER keras tensorflow-cpu jax).
"""

import argparse

import torch
from additive_peers import KerasSide, Side, interleaved, torch_sides
from record import append

SHAPES = [(1, 1024, 1024, 128), (4, 256, 256, 128), (16, 64, 64, 128), (64, 1, 50, 256)]


def measure(shape: tuple[int, int, int, int], runs: int, keras: str | None) -> None:
    """One row for each direction of a shape."""
    torch.manual_seed(0)
    sides: dict[str, Side] = dict(torch_sides(shape))
    backends = ("tensorflow", "jax", "torch") if keras else ()
    workers = {f"keras {name}": KerasSide(name, str(keras), shape, torch.get_num_threads()) for name in backends}
    for backward in (False, True):
        found = interleaved({**sides, **workers}, backward, runs)
        ours = found["heedful"][0]
        append(
            "additive",
            threads=torch.get_num_threads(),
            shape="x".join(map(str, shape)),
            direction="forward and backward" if backward else "forward",
            **{f"{name} ms": round(median, 3) for name, (median, _) in found.items()},
            **{f"{name} least": round(least, 3) for name, (_, least) in found.items()},
            **{f"{name} / heedful": round(found[name][0] / ours, 2) for name in found if name != "heedful"},
        )
    for worker in workers.values():
        worker.close()


def main() -> None:
    """Measure the shapes asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras", help="folder that holds keras and its backends")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", type=int, nargs=4, action="append")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for shape in given.shape or SHAPES:
        batch, queries, keys, units = shape
        measure((batch, queries, keys, units), given.runs, given.keras)


if __name__ == "__main__":
    main()
