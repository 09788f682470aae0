"""How many special functions does a CUDA device do in a second? The most that a chain of 2^-x reached."""

import torch
import triton  # pyright: ignore[reportMissingImports]: comes with torch on CUDA
import triton.language as tl  # pyright: ignore[reportMissingImports]

_TILE, _ROUNDS, _PROGRAMS = 1024, 4096, 8192


@triton.jit
def _chain(target, rounds, tile: tl.constexpr):
    """2^-x again and again, which stays near 0.64; the eight numbers of a thread are independent."""
    place = tl.program_id(0) * tile + tl.arange(0, tile)
    x = place.to(tl.float32) / 1e9
    for _ in range(rounds):
        x = tl.exp2(-x)
    tl.store(target + place, x)


def special_functions_per_second(runs: int = 5) -> float:
    """The best of some runs."""
    target = torch.empty(_PROGRAMS * _TILE, device="cuda")
    best = float("inf")
    for _ in range(runs + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        _chain[(_PROGRAMS,)](target, _ROUNDS, tile=_TILE)
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1000)
    return _PROGRAMS * _TILE * _ROUNDS / best
