r"""Bytes of a text file to plain UTF-8: byte-order marks, UTF-16, UTF-32, and lines that end in a carriage return.

A byte-order mark names the encoding and is dropped; without one the text is UTF-8. Where "\r" stands and no "\n" within
the first `LOOKED_AT` bytes, lines end at "\r" or "\r\n", and each such end becomes "\n".
"""

import codecs
import io
from collections.abc import Callable, Iterator
from itertools import chain

from heedful._errors import DataError

BYTES_PER_READ = 1 << 16
LOOKED_AT = 1 << 16
# those of UTF-32 first: that of UTF-16 is the beginning of one
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32LE",
    codecs.BOM_UTF32_BE: "UTF-32BE",
    codecs.BOM_UTF16_LE: "UTF-16LE",
    codecs.BOM_UTF16_BE: "UTF-16BE",
    codecs.BOM_UTF8: "UTF-8",
}
_LONGEST_MARK = 4
# what a code unit that is no character becomes: a byte that no UTF-8 has there, so that its line is reported as invalid
_NO_CHARACTER = "heedful.no_character"
codecs.register_error(_NO_CHARACTER, lambda error: ("\udc80", error.end))  # pyright: ignore[reportAttributeAccessIssue]

Read = Callable[[int], bytes]


def as_utf8(read: Read, name: str) -> io.BufferedReader:
    r"""A file of UTF-8 without a byte-order mark, of lines that end at "\n", from one in any Unicode encoding.

    What is no character there is no UTF-8 here. Reading never waits for more than what makes the next character.

    Args:
        read: gives at most so many bytes, as soon as there are any; none at the end.
        name: of the file, for messages.

    Raises:
        DataError: when read, where it is UTF-16 or UTF-32 without a byte-order mark.

    >>> text = io.BytesIO("Où ?\rIci.\r".encode("utf-16"))
    >>> as_utf8(text.read1, "a.txt").read().decode()
    'Où ?\nIci.\n'
    """
    return io.BufferedReader(_Pieces(_with_line_feeds(_decoded(read, name))), BYTES_PER_READ)


class _Pieces(io.RawIOBase):
    """A file made of pieces of bytes, none of them empty."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _decoded(read: Read, name: str) -> Iterator[bytes]:
    """The text as UTF-8, piece by piece, without its byte-order mark."""
    start = _start(read)
    mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
    if not mark and (guess := guess_encoding(start)):
        raise DataError(
            f"{name} is {guess} without a byte-order mark; save it as UTF-8, or convert it: iconv -f {guess} -t UTF-8."
        )
    pieces = chain([start[len(mark) :]], iter(lambda: read(BYTES_PER_READ), b""))
    encoding = _MARKS.get(mark, "UTF-8")
    if encoding == "UTF-8":
        yield from filter(None, pieces)
        return
    decoder = codecs.getincrementaldecoder(encoding)(_NO_CHARACTER)
    decoded = chain(map(decoder.decode, pieces), map(decoder.decode, [b""], [True]))
    yield from filter(None, (text.encode("utf-8", "surrogateescape") for text in decoded))


def _start(read: Read) -> bytes:
    """At least the four bytes that a byte-order mark can have; fewer of a short file or first line."""
    start = b""
    while len(start) < _LONGEST_MARK and (start[:1] in b"\xff\xfe\xef\0" or b"\n" not in start):
        piece = read(BYTES_PER_READ)
        if not piece:
            break
        start += piece
    return start


def guess_encoding(start: bytes) -> str | None:
    r"""UTF-16 or UTF-32 by the positions of NUL bytes, where at least half of the characters are below U+0100.

    >>> guess_encoding("Où est-il ?".encode("utf-16-be")), guess_encoding("Où est-il ?\0".encode())
    ('UTF-16BE', None)
    """
    units = [start[place::4] for place in range(4)]
    if not units[3]:
        return None
    # of the four bytes of every four, the part that is NUL
    first, second, third, fourth = (unit.count(0) / len(unit) for unit in units)
    few, many, nearly_all = 0.1, 0.5, 0.9
    if min(third, fourth) > nearly_all and first < few:
        return "UTF-32LE"
    if min(first, second) > nearly_all and fourth < few:
        return "UTF-32BE"
    if min(second, fourth) >= many and max(first, third) < few:
        return "UTF-16LE"
    if min(first, third) >= many and max(second, fourth) < few:
        return "UTF-16BE"
    return None


def _with_line_feeds(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""The same text; where its lines end at "\r", with "\n" in its place."""
    start = b""
    for piece in pieces:
        start += piece
        if b"\n" in start or len(start) >= LOOKED_AT:
            break
    # the choice depends on the text alone and not on the pieces it comes in
    looked_at = start[:LOOKED_AT]
    if b"\n" in looked_at or b"\r" not in looked_at:
        if start:
            yield start
        yield from pieces
        return
    held = b""
    for piece in chain([start], pieces):
        # what follows a "\r" at the end of a piece may be the "\n" that belongs to it
        text = held + piece
        held = b"\r" if text.endswith(b"\r") else b""
        if text := text.removesuffix(b"\r"):
            yield text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if held:
        yield b"\n"
