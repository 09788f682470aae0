"""Memory that is kept: the settings are taken, or nothing is touched."""

import ctypes
import subprocess
import sys

import pytest

from heedful._memory import keep_freed_memory

CHILD = """
import resource, sys
import torch
from heedful._memory import keep_freed_memory
kept = keep_freed_memory()
# the first few find the heap in disorder: small things lie behind each of them
for _ in range(20):
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    torch.ones(20_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the system's allocator")
def test_a_large_tensor_reuses_the_pages_of_the_last_one():
    kept, faults = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
    ).stdout.split()
    if kept == "False":
        pytest.skip("another C library than glibc")
    # 80 MB are 19,531 pages of 4 KiB, each time
    assert int(faults) < 1000


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_without_a_c_library_nothing_happens(monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert keep_freed_memory() is False


def test_another_c_library_is_left_alone(monkeypatch):
    class Musl:
        @staticmethod
        def mallopt(*_):
            raise AssertionError("not to be called")

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Musl())
    assert keep_freed_memory() is False
