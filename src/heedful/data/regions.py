"""Pictures as regions: a vector for each part of one, as people store them, in a .npy or .safetensors file each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from heedful._errors import DataError

from .tokenizers import Segments

FEATURES = (".npy", ".safetensors")
# numbers of one picture; COCO's have 200,000 at most
MOST_NUMBERS = 1 << 26
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Regions(Segments):
    """A picture in the place of a sentence: its regions are the pieces, and each is a word of its own.

    - `ids`: the vectors, [regions, features], where a sentence has ids.
    - `grid`: rows and columns of the regions, which follow each other row after row; one row where they are no grid.
    """

    ids: Any
    grid: tuple[int, int]


def read_regions(path: str | PathLike[str]) -> Regions:
    """The regions of one file: an array [regions, features], or [rows, columns, features] of a grid.

    So many regions as the square of a number are taken for a grid. Raises `DataError` for anything else, or what cannot
    be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "dog.npy"), np.zeros((2, 3, 5)))
    ...     regions = read_regions(Path(folder, "dog.npy"))
    >>> regions.ids.shape, regions.grid, regions.words[4]
    ((6, 5), (2, 3), 'row 2, column 2')
    """
    path = Path(path)
    shape = region_shape(path)
    try:
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _read_tensor(path)
        vectors = np.asarray(values, dtype=np.float32).reshape(-1, shape[-1])
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); make the file anew.") from None
    if not np.isfinite(vectors).all():
        raise DataError(f"{path} holds NaN or infinity; make the file anew.")
    return named_regions(vectors, shape[:-1])


def named_regions(vectors: np.ndarray, shape: Sequence[int]) -> Regions:
    """Vectors [regions, features], whose regions have the shape [regions] or [rows, columns]."""
    side = isqrt(len(vectors))
    square = (side, side) if side * side == len(vectors) else (1, len(vectors))
    rows, columns = shape if len(shape) == 2 else square
    names = [f"row {row}, column {column}" for row in range(1, rows + 1) for column in range(1, columns + 1)]
    if rows == 1:
        names = [f"region {place}" for place in range(1, columns + 1)]
    return Regions(vectors, names, names, [*range(len(vectors))], (rows, columns))


def region_shape(path: Path) -> tuple[int, ...]:
    """What the beginning of a file says of its array: regions, or rows and columns, and features.

    Raises `DataError` where it is no array of 2 or 3 axes that hold numbers, or the file was cut off.
    """
    try:
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            shape, fits = array.shape, array.dtype.kind in "fiu"
        else:
            shape, fits = _tensor_shape(path)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is no array that can be read ({reason}); make the file anew.") from None
    if not fits or len(shape) not in (2, 3) or not 0 < int(np.prod(shape)) <= MOST_NUMBERS:
        raise DataError(
            f"{path} holds an array of shape {tuple(shape)}; expected numbers [regions, features] or "
            "[rows, columns, features]."
        )
    return tuple(shape)


class RegionFiles(Sequence[np.ndarray]):
    """The vectors of many pictures, each read when it is asked for: they need not fit into memory together.

    - `paths`: the files; one picture may occur several times.
    - `lengths`: how many vectors each has, [pictures].
    - `read`: a path to regions.
    """

    def __init__(self, paths: Sequence[str], lengths: np.ndarray, read: Callable[[str], "Regions"] = read_regions):
        self.paths, self.lengths, self.read = paths, lengths, read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: Any) -> Any:
        path: Any = self.paths[place]
        return self.read(path).ids


def _tensor_shape(path: Path) -> tuple[tuple[int, ...], bool]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            (name,) = file.keys()
            found = file.get_slice(name)
            return tuple(found.get_shape()), found.get_dtype() in _FLOATS
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def _read_tensor(path: Path) -> np.ndarray:
    from safetensors.torch import load_file

    (tensor,) = load_file(path).values()
    return tensor.float().numpy()
