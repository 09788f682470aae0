r"""Text files as people have them: one, a folder of them or a pattern; plain, gzip or xz; read line by line.

Lines end at "\n" and nowhere else: U+0085, U+2028 and a lone "\r" are text, unless "\r" ends all lines. One "\r" before
the "\n" is dropped. What else becomes of encodings and line ends: `heedful.data.encodings`.
"""

import glob
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader
from os import PathLike
from pathlib import Path

from heedful._errors import DataError

from .encodings import as_utf8

# a longer line is cut there, and is too long for every use: a file without a line end must not fill the memory
MAX_BYTES = 1 << 24
_GZIP_START = b"\x1f\x8b"
_XZ_START = b"\xfd7zXZ\x00"


def find_files(place: str | PathLike[str]) -> list[Path]:
    """The files that a path, a folder or a pattern such as "news/*.tsv.gz" names, in the order of their names.

    Of a folder, these are the files right inside it; hidden ones do not count. Raises `DataError` where there is none.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ("b.tsv", "a.tsv", ".hidden"):
    ...         Path(folder, name).touch()
    ...     [file.name for file in find_files(folder)], [file.name for file in find_files(f"{folder}/b*")]
    (['a.tsv', 'b.tsv'], ['b.tsv'])
    """
    path = Path(place)
    if "\0" in str(path):
        raise DataError(f"There is no file {str(path)!r}; check the path.")
    try:
        return _find(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _find(path: Path) -> list[Path]:
    if path.is_dir():
        found = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
        if not found:
            raise DataError(f"{path} is a folder without files; name the folder that holds the text.")
        return found
    if not os.path.lexists(path) and glob.has_magic(str(path)):
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
        if not found:
            raise DataError(f"No file fits the pattern {path}; check the path.")
        return found
    return [path]


@contextmanager
def open_packed(path: str | PathLike[str]) -> Iterator[BufferedIOBase]:
    """A file to read, unpacked when its first bytes are those of gzip or xz, whatever its name.

    Raises `DataError`, also within the block: the file is missing, cannot be read, or is damaged or cut off.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            start = raw.peek(len(_XZ_START))
            if start.startswith(_GZIP_START):
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield unpacked
            elif start.startswith(_XZ_START):
                with lzma.LZMAFile(raw) as unpacked:
                    yield unpacked
            else:
                yield raw
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"There is no file {path}; check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file; name the file inside it.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is a damaged or cut-off compressed file ({error}); fetch or pack it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


@contextmanager
def open_text(path: str | PathLike[str]) -> Iterator[BufferedReader]:
    r"""A text file to read as plain UTF-8 with lines that end at "\n", whatever its packing and its encoding.

    Raises `DataError` within the block, as `open_packed` and `heedful.data.encodings.as_utf8` do.
    """
    with open_packed(path) as file, as_utf8(file.read1, str(path)) as text:
        yield text


def read_raw_lines(path: str | PathLike[str]) -> Iterator[bytes]:
    """The lines of a file, as `cut_lines` gives them. Raises `DataError` as `open_text` does."""
    with open_text(path) as file:
        yield from cut_lines(file)


def cut_lines(file: BufferedIOBase) -> Iterator[bytes]:
    r"""The lines of plain text without their ends; one above `MAX_BYTES` is cut there.

    What follows the last "\n" is a line only if it holds something.
    """
    while line := file.readline(MAX_BYTES):
        yield line.removesuffix(b"\n").removesuffix(b"\r")
        if len(line) == MAX_BYTES and not line.endswith(b"\n"):
            _skip_line(file)


def _skip_line(file: BufferedIOBase) -> None:
    """Go on to the next line."""
    while (part := file.readline(MAX_BYTES)) and not part.endswith(b"\n"):
        pass
