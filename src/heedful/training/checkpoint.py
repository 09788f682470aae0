"""Files that are never half written and, when read, can run no code."""

import os
import pickle
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from heedful._errors import ModelFolderError, OutputError


def save(content: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values under a temporary name, then put the file in place in one move.

    Raises:
        OutputError: If the folder cannot be written; an older file at `path` stays as it was.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    # torch turns a full disk into a RuntimeError.
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise OutputError(f"cannot write {path}: {error}; free space or choose another output folder") from error


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, onto the CPU.

    Raises:
        ModelFolderError: If the file is missing, was cut off, or holds more than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path} does not exist; delete the folder {path.parent} to begin afresh") from error
    except (EOFError, OSError, RuntimeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ModelFolderError(f"{path} is cut off or no checkpoint of heedful; delete it to begin afresh") from error


class WeightFiles:
    """The weights of validated steps, one file each: `step-<n>.pt` in one folder.

    A file's content depends on its step alone, so a run killed between two writes repeats them to the same end.

    Args:
        folder: Where the files lie; made when the first is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, step: int) -> Path:
        """Where the weights of a step lie."""
        return self.folder / f"step-{step}.pt"

    def save(self, step: int, weights: dict[str, Any]) -> None:
        """Write a model's state dict."""
        make_folder(self.folder)
        save(weights, self.path(step))

    def load(self, step: int) -> dict[str, Any]:
        """Read a model's state dict."""
        return load(self.path(step))

    def keep_only(self, steps: Iterable[int]) -> None:
        """Delete the files of all other steps."""
        kept = {self.path(step) for step in steps}
        for path in self.folder.glob("step-*.pt*"):
            if path not in kept:
                path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, if need be.

    Raises:
        OutputError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; choose another output folder") from error
