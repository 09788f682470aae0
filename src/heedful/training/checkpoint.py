"""Files that are never half written and, when read, can run no code."""

import errno
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from heedful._errors import ModelFolderError
from heedful._files import whole_file


def save(content: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values under a temporary name, then put the file in place in one move.

    Raises:
        OutputError: If the folder cannot be written; an older file at `path` stays as it was.
    """
    with whole_file(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:
            # How torch says that the disk is full: "unexpected pos 64 vs 0".
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU.

    Raises:
        ModelFolderError: If the file is missing, was cut off, or holds more than tensors and plain values.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            # torch would unpack a file of kilobytes to gigabytes, or read one part under many names
            if sum(entry.file_size for entry in packed.infolist()) > path.stat().st_size:
                raise zipfile.BadZipFile("its parts are larger than itself")
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} does not exist; delete the folder {path.parent} to begin afresh") from error
    except MemoryError:
        raise
    except Exception as error:  # torch's unpickler raises whatever a changed byte makes it stumble over
        raise ModelFolderError(f"{path} is cut off or no checkpoint of heedful; delete it to begin afresh") from error


class WeightFiles:
    """The weights of validated steps, one file each: `step-<n>.pt` in one folder.

    A file's content depends on its step alone, so a run killed between two writes repeats them to the same end.

    Args:
        folder: Where the files lie; made with the first.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, step: int) -> Path:
        """Where the weights of a step lie."""
        return self.folder / f"step-{step}.pt"

    def save(self, step: int, weights: dict[str, Any]) -> None:
        """Write a model's state dict."""
        save(weights, self.path(step))

    def load(self, step: int) -> dict[str, Any]:
        """Read a model's state dict."""
        return load(self.path(step))

    def steps(self) -> list[int]:
        """The steps whose weights lie there, in order."""
        names = (path.stem.removeprefix("step-") for path in self.folder.glob("step-*.pt"))
        return sorted(int(name) for name in names if name.isdecimal())

    def keep_only(self, steps: Iterable[int]) -> None:
        """Delete the files of all other steps."""
        kept = {self.path(step) for step in steps}
        for path in self.folder.glob("step-*.pt"):
            if path not in kept:
                path.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Delete what a run that was killed while it wrote left in a folder and those below it."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)
