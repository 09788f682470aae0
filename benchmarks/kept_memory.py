"""What a training step on the CPU gains when freed memory is kept: python benchmarks/kept_memory.py [RUNS]."""

import subprocess
import sys
from statistics import median

from record import append

# the output layer and its loss, 1,280 target tokens over 8,000 ids: the largest tensors of a step
STEP = """
import resource, sys, time
import torch
from heedful._memory import keep_freed_memory
from heedful.training import label_smoothed_cross_entropy
if sys.argv[1] == "kept" and not keep_freed_memory():
    raise SystemExit("this system has no glibc")
torch.set_num_threads(1)
torch.manual_seed(0)
layer = torch.nn.Linear(256, 8000)
def step(sentences, length):
    features = torch.randn(sentences, length, 256)
    target = torch.randint(4, 8000, (sentences, length))
    (label_smoothed_cross_entropy(layer(features), target, 0.1).total / target.numel()).backward()
sizes = [(1280 // length, length) for length in (16, 8, 10, 32, 20, 5)]
for size in sizes:
    step(*size)
begun = time.process_time()
for size in sizes:
    step(*size)
megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print((time.process_time() - begun) / len(sizes), megabytes)
"""


def measure(side: str) -> tuple[float, int]:
    """Seconds of the processor per step, and megabytes at most, of one side in a fresh interpreter."""
    child = subprocess.run([sys.executable, "-c", STEP, side], capture_output=True, text=True, check=True)
    seconds, megabytes = child.stdout.split()
    return float(seconds), int(megabytes)


def main(runs: int = 7) -> None:
    """Interleave the two sides."""
    found: dict[str, list[tuple[float, int]]] = {"given_back": [], "kept": []}
    for _ in range(runs):
        for side, rows in found.items():
            rows.append(measure(side))
    times = {side: [seconds for seconds, _ in rows] for side, rows in found.items()}
    row: dict[str, object] = {"runs": runs}
    for side, rows in found.items():
        row[f"{side}_s"] = f"{median(times[side]):.4f}"
        row[f"{side}_range_s"] = f"{min(times[side]):.4f}-{max(times[side]):.4f}"
        row[f"{side}_mb"] = int(median(megabytes for _, megabytes in rows))
    append("kept_memory", **row, ratio=f"{median(times['kept']) / median(times['given_back']):.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
