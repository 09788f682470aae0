"""What does a long sequence take? Peak resident set of forward plus backward in a fresh process, above a small
warm-up call.
"""

import argparse
import resource
import subprocess
import sys

from record import append


def child(side: str, length: int, units: int) -> None:
    """Run one side once, and print what it grew by in MiB, and the seconds it took."""
    import time

    import torch
    from additive_peers import eager, floor, inputs

    from heedful.functional import additive_attention

    run = {"heedful": additive_attention, "floor": floor, "eager": eager}[side]
    torch.set_num_threads(2)

    def call(size: int) -> None:
        query, key, value, energy = inputs(1, size, size, units)
        wanted = (query, key, value) if side == "floor" else (query, key, value, energy)
        torch.autograd.grad(run(query, key, value, energy).sum(), wanted)

    call(64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    call(length)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, time.perf_counter() - start)


def main() -> None:
    """One row per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=["heedful", "floor", "eager"])
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--lengths", type=int, nargs="*", default=[2048, 8192, 32768])
    given = parser.parse_args()
    if given.child:
        child(given.child, given.lengths[0], given.units)
        return
    for length in given.lengths:
        row = {}
        for side in ("heedful", "floor", "eager") if length <= 2048 else ("heedful", "floor"):
            command = [sys.executable, __file__, "--child", side, "--lengths", str(length), "--units", str(given.units)]
            grown, taken = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            row |= {f"{side} MiB": round(float(grown), 1), f"{side} s": round(float(taken), 3)}
        append("additive_memory", length=length, units=given.units, **row)


if __name__ == "__main__":
    main()
