r"""Sentence pairs and sentences from plain, gzip or xz files, read line by line.

Lines end at "\n" and nowhere else: U+0085, U+2028 and a lone "\r" are text, and so are quotes. One "\r" before the "\n"
and a byte-order mark at the start of a file are dropped. Everything else reaches the caller as it stands in the file.
"""

import codecs
import gzip
import lzma
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from heedful._errors import DataError

EMPTY = "empty line"
INVALID = "invalid UTF-8"
TOO_LONG = "over-long line"
TOO_FEW_COLUMNS = "too few columns"
# a longer line is no sentence
MAX_CHARS = 5000

_GZIP_START = b"\x1f\x8b"
_XZ_START = b"\xfd7zXZ\x00"


@dataclass(frozen=True)
class Lines:
    """Sentences to translate. A line that cannot be used stands as "" in its place, so that line numbers stay true.

    - `text`: one string per line of the file.
    - `skipped`: how many lines became "", by reason.
    - `origin`: where they came from, for messages.
    """

    text: list[str]
    skipped: dict[str, int]
    origin: str


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations: `target[i]` translates `source[i]`.

    - `skipped`: how many pairs of the file were left out, by reason.
    - `origin`: where they came from, for messages.
    """

    source: list[str]
    target: list[str]
    skipped: dict[str, int]
    origin: str

    def __len__(self) -> int:
        return len(self.source)


def read_pairs(
    source_path: str | PathLike[str],
    target_path: str | PathLike[str] | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    max_chars: int = MAX_CHARS,
) -> Pairs:
    r"""Read two line-aligned files, or the two `columns` of one tab-separated file.

    A pair is left out and counted when either side is empty, is not UTF-8 or has more than `max_chars` characters, or
    when its row has too few columns. Raises `DataError` for a file that cannot be read, for unequal numbers of lines
    and when no pair is left.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "pairs.tsv")
    ...     _ = path.write_text("Go.\tVa !\n\tOui.\nHi.\tSalut.\n", encoding="utf-8")
    ...     pairs = read_pairs(path)
    >>> pairs.source, pairs.target, pairs.skipped
    (['Go.', 'Hi.'], ['Va !', 'Salut.'], {'empty line': 1})
    """
    if target_path is None:
        origin, rows = str(source_path), _table_rows(source_path, columns)
    else:
        origin, rows = f"{source_path} and {target_path}", _aligned_rows(source_path, target_path)
    source, target, skipped = [], [], Counter()
    for source_line, target_line in rows:
        source_text, source_fault = _read_line(source_line, max_chars)
        target_text, target_fault = _read_line(target_line, max_chars)
        if fault := source_fault or target_fault:
            skipped[fault] += 1
        else:
            source.append(source_text)
            target.append(target_text)
    if not source:
        raise DataError(f"{origin} gives no pair to use: {_why_nothing(skipped)}.")
    return Pairs(source, target, dict(skipped), origin)


def read_lines(path: str | PathLike[str], *, max_chars: int = MAX_CHARS) -> Lines:
    """Read the sentences of one file, one per line. Raises `DataError` for a file that cannot be read."""
    return parse_lines(_read_bytes(path), origin=str(path), max_chars=max_chars)


def parse_lines(data: bytes, *, origin: str, max_chars: int = MAX_CHARS) -> Lines:
    r"""Split the bytes of a file or of standard input into sentences.

    >>> parse_lines(b"One.\r\n\nTw\xff\nThree.", origin="standard input")
    Lines(text=['One.', '', '', 'Three.'], skipped={'empty line': 1, 'invalid UTF-8': 1}, origin='standard input')
    """
    text, skipped = [], Counter()
    for line in _split_lines(data):
        sentence, fault = _read_line(line, max_chars)
        text.append(sentence)
        if fault:
            skipped[fault] += 1
    return Lines(text, dict(skipped), origin)


def _aligned_rows(
    source_path: str | PathLike[str], target_path: str | PathLike[str]
) -> Iterable[tuple[bytes | None, bytes | None]]:
    source, target = _split_lines(_read_bytes(source_path)), _split_lines(_read_bytes(target_path))
    if len(source) != len(target):
        raise DataError(
            f"{source_path} has {len(source)} lines but {target_path} has {len(target)}; "
            "line i of one must translate line i of the other, so mend or re-export the two files together."
        )
    return zip(source, target, strict=True)


def _table_rows(path: str | PathLike[str], columns: tuple[int, int]) -> Iterable[tuple[bytes | None, bytes | None]]:
    if len(columns) != 2 or min(columns) < 0:
        raise ValueError(f"columns must be two numbers counted from 0, such as (0, 1); got {columns}.")
    for line in _split_lines(_read_bytes(path)):
        cells = line.split(b"\t")
        if not line.strip():
            yield b"", b""
        elif max(columns) >= len(cells):
            yield None, None
        else:
            yield cells[columns[0]], cells[columns[1]]


def _read_bytes(path: str | PathLike[str]) -> bytes:
    """The contents of a file, unpacked when its first bytes are those of gzip or xz, whatever its name."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"There is no file {path}; check the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file; name the file inside it.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        if data.startswith(_GZIP_START):
            return gzip.decompress(data)
        if data.startswith(_XZ_START):
            return lzma.decompress(data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is a damaged or cut-off compressed file ({error}); fetch or pack it again.") from error
    return data


def _split_lines(data: bytes) -> list[bytes]:
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n")
    # what follows the last "\n" is a line only if it holds something
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def _read_line(line: bytes | None, max_chars: int) -> tuple[str, str | None]:
    """The text of a line, or "" and the reason why it cannot be used. None stands for a cell that is not there."""
    if line is None:
        return "", TOO_FEW_COLUMNS
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return "", INVALID
    if not text.strip():
        return "", EMPTY
    if len(text) > max_chars:
        return "", TOO_LONG
    return text, None


def _why_nothing(skipped: Counter) -> str:
    if not skipped:
        return "it is empty; fill it, one sentence per line"
    counts = ", ".join(f"{reason} ({count})" for reason, count in skipped.most_common())
    return (
        f"every line was left out, {counts}; give UTF-8 text, as two files line by line or as two columns between tabs"
    )
