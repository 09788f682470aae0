"""How much memory a process has taken."""

import ctypes
from contextlib import suppress
from pathlib import Path


def peak_memory() -> int:
    """The most memory of this program so far, in bytes.

    `ru_maxrss` would begin with what the process held that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Let the peak begin anew, at what is taken now; with glibc, freed memory goes back to the system first."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
