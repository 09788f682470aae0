"""Changes to what is right, chosen by bytes: the way behind a parser that random bytes never pass."""

import copy
import json
from collections.abc import Iterator
from typing import Any

BYTES_PER_EDIT, MOST_EDITS = 4, 8
VALUES = (
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**400,
    0.5,
    float("nan"),
    "",
    "a",
    "<unk>",
    "\ud800",
    "\x1b[2J\n",
    "(a*)*$",
    "F32",
    "I64",
    [],
    {},
    [0, 4],
    [2**40, 2**40],
    [[]],
    [["a", "b"]],
    {"a": 0},
    {"type": "Sequence"},
)


def edited(values: Any, data: bytes) -> Any:
    """A copy of plain values with up to eight changes; four bytes say where (two), what and how.

    >>> edited({"a": [1, 2]}, bytes([0, 0, 11, 0]))
    {'a': ''}
    """
    values = copy.deepcopy(values)
    for first in range(0, min(len(data), BYTES_PER_EDIT * MOST_EDITS), BYTES_PER_EDIT):
        high, low, what, how = data[first : first + BYTES_PER_EDIT].ljust(BYTES_PER_EDIT, b"\0")
        if spots := list(_spots(values)):
            container, key = spots[(256 * high + low) % len(spots)]
            _edit(container, key, what, how, spots)
    return values


def edited_weights(content: bytes, data: bytes) -> bytes:
    """A safetensors file whose header is edited likewise; its numbers stay."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(edited(json.loads(content[8 : 8 + size]), data)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def edited_bytes(content: bytes, data: bytes) -> bytes:
    """Bytes of which up to eight are others; three say where (two) and what to add.

    >>> edited_bytes(b"abc", bytes([0, 1, 2]))
    b'adc'
    """
    changed = bytearray(content)
    for first in range(0, min(len(data), 3 * MOST_EDITS), 3):
        high, low, what = data[first : first + 3].ljust(3, b"\0")
        place = (256 * high + low) % len(changed)
        changed[place] = (changed[place] + what) % 256
    return bytes(changed)


def _spots(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every place within plain values: what holds it, and its key or index there."""
    keys = list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    for key in keys:
        yield values, key
        yield from _spots(values[key])


def _edit(container: Any, key: Any, what: int, how: int, spots: list[tuple[Any, Any]]) -> None:
    """Put another value there, delete it, call it otherwise, or put there what stands elsewhere."""
    kind = what % (len(VALUES) + 4)
    if kind < len(VALUES):
        container[key] = copy.deepcopy(VALUES[kind])
    elif kind == len(VALUES):
        del container[key]
    elif kind == len(VALUES) + 1 and isinstance(container, dict):
        container[chr(how)] = container.pop(key)
    elif kind == len(VALUES) + 2:
        other, place = spots[how % len(spots)]
        container[key] = copy.deepcopy(other[place])
    else:
        container[key] = how
