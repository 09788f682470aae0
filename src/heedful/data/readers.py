r"""Sentence pairs and sentences from files of any supported form.

Lines end as `heedful.data.files` says; in lines and tab-separated tables quotes are text. Everything that is not left
out reaches the caller as it stands in the file, but for line ends inside a cell, which become spaces.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike

from heedful._errors import DataError

from .encodings import as_utf8
from .files import cut_lines, read_raw_lines
from .sources import Cell, DataSource, Fault, find_source, read_rows

EMPTY = "empty line"
INVALID = "invalid UTF-8"
NUL = "NUL character"
TOO_LONG = "over-long line"
# a longer line is not taken for a sentence
MAX_CHARS = 5000
LINES_PER_BLOCK = 1000


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

    def select(self, places: Iterable[int]) -> "Pairs":
        """The pairs at some places, in that order."""
        places = list(places)
        source, target = ([side[place] for place in places] for side in (self.source, self.target))
        return Pairs(source, target, self.skipped, self.origin)


def read_pairs(
    source_path: str | PathLike[str],
    target_path: str | PathLike[str] | None = None,
    *,
    columns: tuple[int | str, int | str] | None = None,
    max_chars: int = MAX_CHARS,
) -> Pairs:
    r"""Read two line-aligned files, or two `columns` of one table, whose form its name tells.

    A path may also be a folder or a pattern, see `heedful.data.files.find_files`; for forms and columns see
    `heedful.data.sources.DataSource`; for encodings, `heedful.data.encodings`. A pair is left out and counted when
    either side is empty, is not UTF-8, holds a NUL character or has more than `max_chars` characters, or when its row
    lacks a column. Raises `DataError` for a file that cannot be read, for unequal numbers of lines and when no pair is
    left.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "pairs.tsv")
    ...     _ = path.write_text("Go.\tVa !\n\tOui.\nHi.\tSalut.\n", encoding="utf-8")
    ...     pairs = read_pairs(path)
    >>> pairs.source, pairs.target, pairs.skipped
    (['Go.', 'Hi.'], ['Va !', 'Salut.'], {'empty line': 1})
    """
    return gather(find_source(source_path, target_path, columns), max_chars)


def gather(data_source: DataSource, max_chars: int = MAX_CHARS) -> Pairs:
    """All pairs of a data source, in memory; see `read_pairs`."""
    skipped: Counter[str] = Counter()
    pairs = list(stream(data_source, skipped, max_chars))
    if not pairs:
        raise DataError(f"{data_source} gives no pair to use: {why_nothing(skipped)}.")
    source, target = map(list, zip(*pairs, strict=True))
    return Pairs(source, target, dict(skipped), str(data_source))


def stream(data_source: DataSource, skipped: Counter[str], max_chars: int = MAX_CHARS) -> Iterator[tuple[str, str]]:
    """The pairs of a data source one after another; `skipped` counts on the way what is left out."""
    for source_cell, target_cell in read_rows(data_source):
        source, source_fault = read_cell(source_cell, max_chars)
        target, target_fault = read_cell(target_cell, max_chars)
        if fault := source_fault or target_fault:
            skipped[fault] += 1
        else:
            yield source, target


def read_lines(path: str | PathLike[str], *, max_chars: int = MAX_CHARS) -> Lines:
    """Read the sentences of one file, one per line. Raises `DataError` for a file that cannot be read."""
    return check_lines(read_raw_lines(path), str(path), max_chars)


def stream_lines(path: str | PathLike[str], *, max_chars: int = MAX_CHARS) -> Iterator[Lines]:
    """The same in blocks of `LINES_PER_BLOCK` lines, for files that need not fit in memory."""
    lines = read_raw_lines(path)
    while block := list(islice(lines, LINES_PER_BLOCK)):
        yield check_lines(block, str(path), max_chars)


def parse_lines(data: bytes, *, origin: str, max_chars: int = MAX_CHARS) -> Lines:
    r"""Split the bytes of a file or of standard input into sentences.

    Raises `DataError` for text in another encoding that does not say so, see `heedful.data.encodings.as_utf8`.

    >>> parse_lines(b"One.\r\n\nTw\xff\nThree.", origin="standard input")
    Lines(text=['One.', '', '', 'Three.'], skipped={'empty line': 1, 'invalid UTF-8': 1}, origin='standard input')
    """
    return check_lines(cut_lines(as_utf8(io.BytesIO(data).read1, origin)), origin, max_chars)


def check_lines(lines: Iterable[bytes], origin: str, max_chars: int = MAX_CHARS) -> Lines:
    """Sentences from lines of UTF-8; what cannot be used becomes "" and is counted."""
    text, skipped = [], Counter()
    for line in lines:
        sentence, fault = read_cell(line, max_chars)
        text.append(sentence)
        if fault:
            skipped[fault] += 1
    return Lines(text, dict(skipped), origin)


def read_cell(cell: Cell, max_chars: int) -> tuple[str, str | None]:
    """The text of a cell, or "" and the reason why it cannot be used."""
    if isinstance(cell, Fault):
        return "", cell.reason
    try:
        # text that came from JSON may hold half a character, which no file can
        text = cell.decode("utf-8") if isinstance(cell, bytes) else cell.encode("utf-8").decode("utf-8")
    except UnicodeError:
        return "", INVALID
    if not text or text.isspace():
        return "", EMPTY
    if len(text) > max_chars:
        return "", TOO_LONG
    if "\0" in text:
        return "", NUL
    if "\n" in text:
        text = " ".join(text.replace("\r\n", "\n").split("\n"))
    return text, None


def why_nothing(skipped: Counter[str]) -> str:
    """The explanation for a data source without a usable pair."""
    if not skipped:
        return "it is empty; fill it, one sentence per line"
    counts = ", ".join(f"{reason} ({count})" for reason, count in skipped.most_common())
    return (
        f"every line was left out, {counts}; give UTF-8 text, as two files line by line or as two columns between tabs"
    )
