"""Sentences as they arrive, in groups, and lines as they are written."""

import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from heedful._files import whole_file

from ._shell import MAX_CHARS, progress

if TYPE_CHECKING:
    from heedful.data.readers import Lines

# sentences at a time: few at first, so that the first results come early; then many, which is faster
FIRST_GROUP, LARGEST_GROUP = 8, 512
BYTES_PER_READ = 1 << 16
STANDARD_INPUT = "standard input"


def read_stream(read: Callable[[int], bytes], max_chars: int = MAX_CHARS) -> "Iterator[Lines]":
    """Whole lines, as many as have arrived: a program that writes one line gets its translation before the next.

    Args:
        read: gives at most so many bytes, as soon as there are any; none at the end.
        max_chars: most characters of a line that can be used.
    """
    from heedful.data.encodings import as_utf8
    from heedful.data.files import cut_lines
    from heedful.data.readers import check_lines

    text = as_utf8(read, STANDARD_INPUT)
    rest = bytearray()
    while data := text.read1(BYTES_PER_READ):
        rest += data
        if end := data.rfind(b"\n") + 1:
            cut = len(rest) - len(data) + end
            yield check_lines(cut_lines(io.BytesIO(rest[:cut])), STANDARD_INPUT, max_chars)
            del rest[:cut]
    if rest:
        yield check_lines(cut_lines(io.BytesIO(rest)), STANDARD_INPUT, max_chars)


def growing(blocks: "Iterable[Lines]", skipped: Counter[str]) -> Iterator[list[str]]:
    """Sentences in groups, small ones first; counts what was skipped on the way."""
    size = FIRST_GROUP
    for block in blocks:
        skipped.update(block.skipped)
        first = 0
        while first < len(block.text):
            yield block.text[first : first + size]
            first, size = first + size, min(2 * size, LARGEST_GROUP)


def regrouped(groups: Iterable[list[str]]) -> Iterator[list[str]]:
    """The same sentences in groups of one size."""
    sentences = chain.from_iterable(groups)
    while group := list(islice(sentences, FIRST_GROUP)):
        yield group


@contextmanager
def opened(output: Path | None) -> Iterator[Callable[[Iterable[str]], None]]:
    """What writes lines: to a file, which appears whole at the end, or to standard output, at once."""
    if output is None:

        def write(lines: Iterable[str]) -> None:
            sys.stdout.writelines(f"{line}\n" for line in lines)
            sys.stdout.flush()

        yield write
    else:
        with whole_file(output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda lines: file.writelines(f"{line}\n" for line in lines)


def nothing_or_progress(output: Path | None) -> AbstractContextManager[Callable[[int], None]]:
    """Progress, unless the translations themselves show it."""
    if output is None and sys.stdout.isatty():
        return nullcontext(lambda _: None)
    return progress("sentences", None)
