"""What the training loop costs a step above the update itself: python benchmarks/loop_overhead.py [STEPS].

A model of a few numbers, so that the loop is nearly all there is. The bare side is what anyone would write: fetch a
batch, loss, backward, clip, step. Ours adds random state, schedule, limits, records and the look for signals.
"""

import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from record import append
from torch import Tensor, nn

from heedful.data.batching import BatchSampler
from heedful.training import DatasetBatches, TrainingOptions, sequence_loss, train

ROUNDS = 5
VOCABULARY, DIM = 16, 8


class Smallest(nn.Module):
    """The mean of the source beside the previous token."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(VOCABULARY, DIM), nn.Linear(DIM, VOCABULARY)

    def forward(self, source: Tensor, lengths: Tensor, target_in: Tensor) -> Tensor:
        return self.out(self.table(target_in) + self.table(source).sum(1, keepdim=True) / lengths[:, None, None])


def dataset(batches: int) -> DatasetBatches:
    """An epoch of so many batches, two pairs in each."""
    draw = random.Random(1)
    sides = [[draw.randint(4, VOCABULARY - 1) for _ in range(5)] for _ in range(2 * batches)]
    return DatasetBatches(BatchSampler([5] * len(sides), [5] * len(sides), tokens_per_batch=12), sides, sides)


def bare(steps: int) -> float:
    """Seconds of the updates alone."""
    model, order = Smallest(), dataset(steps).epoch(0)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    start = time.perf_counter()
    for place in range(steps):
        loss = sequence_loss(model, order[place], smoothing=0.0)
        (loss.total / loss.tokens).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start


def ours(steps: int) -> float:
    """Seconds of `train`, its beginning and end included."""
    options = TrainingOptions(max_steps=steps, validate_every=10**9, device="cpu", tensorboard=False)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        train(Smallest(), dataset(steps), lambda _: {"loss": 1.0}, options, Path(folder))
        return time.perf_counter() - start


def main(steps: int = 2000) -> None:
    """Take turns; the beginning and the end of a training are those of one that is short, and taken off."""
    few = steps // 10
    times: dict[str, list[float]] = {"bare": [], "heedful": []}
    for _ in range(ROUNDS):
        for name, side in (("bare", bare), ("heedful", ours)):
            times[name].append((side(steps + few) - side(few)) / steps * 1e6)
    found = {name: median(values) for name, values in times.items()}
    ranges = {f"{name}_range_us": f"{min(values):.0f}-{max(values):.0f}" for name, values in times.items()}
    append(
        "loop_overhead",
        steps=steps,
        threads=torch.get_num_threads(),
        bare_us=f"{found['bare']:.0f}",
        heedful_us=f"{found['heedful']:.0f}",
        overhead_us=f"{found['heedful'] - found['bare']:.0f}",
        **ranges,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
