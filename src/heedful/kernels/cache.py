"""Compiled kernels on disk, found again by every process.

What Numba does, and three things more: a change in any file of this floor makes every kernel anew (Numba looks at the
kernel's own file alone, and a kernel is made of several), a damaged file is compiled again, and a folder that cannot
be written is no reason to fail.
"""

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core import sigutils
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.misc.appdirs import AppDirs

_HERE = Path(__file__).parent


def folders() -> list[Path]:
    """Where Numba looks for room, in this order: NUMBA_CACHE_DIR, beside the source, the user's cache.

    >>> [folder.name for folder in folders()][-2:]
    ['__pycache__', 'numba']
    """
    named = [Path(config.CACHE_DIR)] if config.CACHE_DIR else []
    return [*named, _HERE / "__pycache__", Path(AppDirs("numba", appauthor=False).user_cache_dir)]


@cache
def _warn(fault: str) -> None:
    """Once for each fault."""
    warnings.warn(
        f"compiled kernels cannot be kept ({fault}): every process compiles them anew, for about ten seconds. Set "
        "NUMBA_CACHE_DIR to a folder that can be written.",
        RuntimeWarning,
        stacklevel=2,
    )


@cache
def _stamp() -> str:
    """What the kernels are made of."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(_HERE.rglob("*.py")))).hexdigest()


class _Cache(FunctionCache):
    """Numba's cache of one function, valid while no file of the floor changes; it warns where it cannot write."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = _stamp()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            # An index that was cut off would fail the next saving, too.
            self._try(self.flush)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        self._try(lambda: super(_Cache, self).save_overload(sig, data))

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as fault:
            _warn(f"{self.cache_path}: {fault.strerror}")


@cache
def usable() -> bool:
    """Whether a folder for compiled kernels can be written; warns if none can."""
    if config.DISABLE_JIT:
        return False
    try:
        _Cache(folders)
    except RuntimeError:
        # Numba's word for: no folder at all
        _warn(f"none of these folders can be written: {', '.join(map(str, folders()))}")
        return False
    return True


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a kernel that Python calls, and keep it on disk.

    Serial, without the interpreter lock, no check of divisors: a checked division does not vectorise.
    """
    kernel = njit(nogil=True, error_model="numpy")(function)
    if usable():
        kernel._cache = _Cache(function)
    return kernel


def compiled_job(body: Callable[[int], None]) -> Any:
    """Compile a kernel that is called with the address of its job, and keep it on disk; it has an `address`.

    No check of divisors: a checked division does not vectorise.
    """
    kernel = CFunc(body, sigutils.normalize_signature("void(int64)"), {}, {"error_model": "numpy"})
    if usable():
        kernel._cache = _Cache(body)
    kernel.compile()
    return kernel
