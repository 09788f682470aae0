"""What `from heedful import BahdanauAttention` costs above `import torch`: python benchmarks/import_time.py [RUNS]."""

import subprocess
import sys
import time
from statistics import median

from record import append

STATEMENTS = {"torch": "import torch", "heedful": "from heedful import BahdanauAttention"}


def seconds(statement: str) -> float:
    """Wall time of one statement in a fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main(runs: int = 15) -> None:
    """Interleave the two statements, after one run of each to warm the disk."""
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for run in range(runs + 1):
        for name, statement in STATEMENTS.items():
            taken = seconds(statement)
            if run:
                times[name].append(taken)
    medians = {name: median(values) for name, values in times.items()}
    append(
        "import_time",
        runs=runs,
        torch_s=f"{medians['torch']:.3f}",
        torch_range_s=f"{min(times['torch']):.3f}-{max(times['torch']):.3f}",
        heedful_s=f"{medians['heedful']:.3f}",
        heedful_range_s=f"{min(times['heedful']):.3f}-{max(times['heedful']):.3f}",
        ratio=f"{medians['heedful'] / medians['torch']:.3f}",
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
