"""Dot-product attention in bfloat16 on a CPU, and the masks of dropout: torch's way beside ours, forward and backward.

python benchmarks/half_attention.py [RUNS], on one thread.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from record import append
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from heedful._memory import keep_freed_memory
from heedful.functional import dot_product_attention
from heedful.layers import Dropout

# batch, heads, length, features of a head
SIZES = ((256, 4, 16, 32), (64, 8, 16, 64), (64, 8, 64, 64), (16, 8, 128, 64), (8, 8, 256, 64), (1, 8, 1024, 64))


def milliseconds(call: Callable[..., Tensor], inputs: list[Tensor]) -> float:
    """Of the processor, for one call and its gradient."""
    begun = time.process_time()
    call(*inputs).sum().backward()
    return 1000 * (time.process_time() - begun)


def compare(sides: dict[str, Callable[..., Tensor]], inputs: list[Tensor], runs: int) -> dict[str, float]:
    """The median of each side, in turn, after one call of each that does not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(runs + 1):
        for name, call in sides.items():
            taken = milliseconds(call, inputs)
            if number:
                found[name].append(taken)
    return {name: round(median(times), 2) for name, times in found.items()}


def main(runs: int = 15) -> None:
    """A row a size."""
    torch.set_num_threads(1)
    keep_freed_memory()
    for size in SIZES:
        inputs = [torch.randn(size, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
        wide = [tensor.detach().float().requires_grad_() for tensor in inputs]
        sides = {
            "torch_ms": scaled_dot_product_attention,
            "ours_ms": dot_product_attention,
            "float32_ms": lambda *_, wide=wide: scaled_dot_product_attention(*wide),
        }
        row = compare(sides, inputs, runs)
        append("half_attention", size=size, runs=runs, **row, ratio=round(row["torch_ms"] / row["ours_ms"], 2))
    features = [torch.randn(4096, 128, requires_grad=True)]
    row = compare({"torch_ms": nn.Dropout(0.3), "ours_ms": Dropout(0.3)}, features, runs)
    append("dropout", runs=runs, **row, ratio=round(row["torch_ms"] / row["ours_ms"], 2))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
