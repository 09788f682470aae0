"""Is fused additive attention slower than eager PyTorch anywhere? Shapes from 1 to 4,096, as far as eager's tensor
fits.
"""

import argparse
import itertools

import torch
from additive_peers import interleaved, torch_sides
from record import append

LENGTHS = [
    (1, 1),
    (1, 16),
    (1, 50),
    (1, 400),
    (1, 4096),
    (2, 50),
    (8, 8),
    (16, 16),
    (64, 64),
    (50, 200),
    (400, 400),
    (4096, 64),
    (1024, 4096),
]
UNITS = [16, 64, 100, 256, 1024]
BATCHES = [1, 16, 256]
# eager's four-dimensional tensor stays under 4 GiB; it holds five of them in the backward pass
LARGEST = 4 * 2**30 // 4 - 1


def main() -> None:
    """One row per shape; the last line counts the losses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--smallest", type=int, default=1, help="elements of eager's tensor")
    parser.add_argument("--largest", type=int, default=LARGEST)
    parser.add_argument(
        "--shapes", nargs="*", help="these alone, such as 256x1x16x64, with more runs where it was close"
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    lost = []
    for (queries, keys), units, batch in itertools.product(LENGTHS, UNITS, BATCHES):
        shape = batch, queries, keys, units
        size = batch * queries * keys * units
        name = "x".join(map(str, shape))
        if not given.smallest <= size <= given.largest or (given.shapes and name not in given.shapes):
            continue
        sides = torch_sides(shape, compiled=False)
        sides = {name: sides[name] for name in ("heedful", "eager")}
        ratios = {}
        for backward in (False, True):
            runs = given.runs if given.shapes else min(given.runs, 2**31 // size)
            found = interleaved(sides, backward, max(1, runs), warm_up=1)
            ratios[backward] = round(found["eager"].median / found["heedful"].median, 2)
        append(
            "additive_sweep",
            threads=given.threads,
            shape=name,
            forward=ratios[False],
            both=ratios[True],
        )
        if min(ratios.values()) < 1:
            lost.append((shape, ratios))
    print(f"slower than eager: {lost or 'nowhere'}")


if __name__ == "__main__":
    main()
