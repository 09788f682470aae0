"""Compiled kernels on disk: Numba's cache, for this floor as a whole, and with a warning where there is no room.

Numba asks whether a kernel's own file has changed; but a kernel is made of functions from several files, and would
stay what it was when another of them changes. Here every kernel is as old as the youngest file of the floor.
"""

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config as _config
from numba.core.caching import FunctionCache
from numba.misc.appdirs import AppDirs

# Numba fills it from the environment, unseen by type checkers.
config: Any = _config
_HERE = Path(__file__).resolve().parent


def folders() -> list[Path]:
    """Where Numba looks for room, in this order: NUMBA_CACHE_DIR, beside the source, the user's cache.

    >>> [folder.name for folder in folders()][-2:]
    ['__pycache__', 'numba']
    """
    named = [Path(config.CACHE_DIR)] if config.CACHE_DIR else []
    return [*named, _HERE / "__pycache__", Path(AppDirs("numba", appauthor=False).user_cache_dir)]


@cache
def folder() -> Path | None:
    """Where compiled kernels are kept, or None; the first time that no folder can be written, it warns."""
    if config.DISABLE_JIT:
        return None
    try:
        return Path(FunctionCache(folders).cache_path)
    except RuntimeError:
        # Numba's word for: no folder at all
        warnings.warn(
            "compiled kernels cannot be kept, none of these folders can be written: "
            f"{', '.join(map(str, folders()))}. Every process compiles them anew, for about ten seconds. Set "
            "NUMBA_CACHE_DIR to a folder that can be written.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


@cache
def _stamp() -> str:
    """What the kernels are made of."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(_HERE.rglob("*.py")))).hexdigest()


def _for_this_floor(locator: Any) -> Any:
    """One of Numba's ways to find a folder, for functions of this floor only, and with the floor's stamp."""

    class Locator(locator):
        @classmethod
        def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Any:
            ours = Path(py_file).resolve().is_relative_to(_HERE)
            return super().from_function(py_func, py_file) if ours else None

        def get_source_stamp(self) -> str:
            return _stamp()

    return Locator


_locators: list[Any] = FunctionCache._impl_class._locator_classes  # pyright: ignore[reportAttributeAccessIssue]
_locators[:0] = [_for_this_floor(locator) for locator in _locators]
