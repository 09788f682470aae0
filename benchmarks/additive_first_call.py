"""What does the first call of fused additive attention cost a process, cold and with compiled code on disk?

python benchmarks/additive_first_call.py [RUNS]
"""

import os
import subprocess
import sys
import tempfile
from statistics import median

from record import append

CALL = """
import sys, time
import torch
from heedful.functional import additive_attention, remember_keys, remember_values
torch.set_num_threads(1)
queries, dtype = int(sys.argv[1]), getattr(torch, sys.argv[2])
shapes = (4, queries, 128), (4, 50, 128), (4, 50, 256), (128,)
query, key, value, energy = (torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in shapes)
start = time.perf_counter()
memory = (remember_keys(key), remember_values(value)) if queries == 1 else (key, value)
context = additive_attention(query, *memory, energy, torch.ones(4, 1, 50, dtype=torch.bool))
forward = time.perf_counter() - start
context.sum().backward()
print(forward, time.perf_counter() - start)
"""
# A training with all queries at once, a decoder that steps, and the same in float64.
CASES = {"training": ("20", "float32"), "decoder step": ("1", "float32"), "training, float64": ("20", "float64")}


def seconds(case: str, folder: str) -> list[float]:
    """Forward alone, and with backward, in a fresh process whose compiled code lies in `folder`."""
    command = [sys.executable, "-c", CALL, *CASES[case]]
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


def main(runs: int = 3) -> None:
    """Cold and cached, in turn; every case has a cold folder of its own."""
    for case in CASES:
        cold, cached = [], []
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                cold.append(seconds(case, folder))
                cached.append(seconds(case, folder))
        named = {"cold": cold, "cached": cached}
        append(
            "additive_first_call",
            runs=runs,
            case=case,
            **{f"{name} forward s": f"{median(pair[0] for pair in pairs):.2f}" for name, pairs in named.items()},
            **{f"{name} with backward s": f"{median(pair[1] for pair in pairs):.2f}" for name, pairs in named.items()},
            **{f"{name} most s": f"{max(pair[1] for pair in pairs):.2f}" for name, pairs in named.items()},
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
