"""Memory that is kept or given back: the settings are taken, or nothing is touched."""

import ctypes
import subprocess
import sys

import pytest

from heedful._memory import give_back_freed_memory, keep_freed_memory

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

# a tensor of 20 MB with small things behind it, as a training step leaves them; how much stays when all are freed
HOLES = """
import sys
import torch
from heedful._memory import give_back_freed_memory
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
given = sys.argv[1] == "default" or give_back_freed_memory()
torch.ones(8_000_000)  # from which glibc learns
before, small = resident(), []
for _ in range(20):
    large = [torch.ones(5_000_000) for _ in range(2)]
    small.append(torch.ones(1000))
    del large[0], large
print(given, max(resident() - before, 0))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the system's allocator")
def test_what_is_freed_goes_back_where_memory_is_scarce():
    given, kilobytes = {}, {}
    for how in ("default", "given back"):
        done = subprocess.run([sys.executable, "-c", HOLES, how], capture_output=True, text=True, check=True)
        given[how], kilobytes[how] = done.stdout.split()
    if given["given back"] == "False":
        pytest.skip("another C library than glibc")
    assert int(kilobytes["given back"]) < 10_000 < int(kilobytes["default"])


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
    assert keep_freed_memory() is give_back_freed_memory() is False


def test_another_c_library_is_left_alone(monkeypatch):
    class Musl:
        @staticmethod
        def mallopt(*_):
            raise AssertionError("not to be called")

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Musl())
    assert keep_freed_memory() is give_back_freed_memory() is False
