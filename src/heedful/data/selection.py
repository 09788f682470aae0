"""Which pairs stay: duplicates go, and a validation set is held out so that no source sentence is on both sides."""

import unicodedata
from array import array
from hashlib import blake2b

import numpy as np

_PARTITIONS = 16


def sentence_key(sentence: str) -> str:
    """The normal form by which two sentences count as equal: Unicode NFKC, case folded, single spaces.

    >>> sentence_key("Ｈéllo\u00a0 World ") == sentence_key("he\u0301llo world")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", sentence).casefold().split())


def number_of(text: str) -> int:
    """A number in [0, 2^64) that depends on the text alone, on every machine."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Selection:
    """Reads every pair of a training set once, in order, and decides at the end which to keep.

    Held out are the pairs of those `hold_out` source sentences whose hashes are the smallest: a choice that depends on
    the sentences alone, neither on their order nor on a seed. Of equal pairs the first stays. Both compare sentences by
    `sentence_key`. Takes 8 bytes a pair for `deduplicate`, nothing that grows for `hold_out`.

    - `deduplicate`: whether equal pairs count once.
    - `hold_out`: sources to hold out; never more than a tenth of the pairs.

    >>> selection = Selection(deduplicate=True, hold_out=1)
    >>> for number in range(20):
    ...     selection.see(f"sentence {number % 15}", "phrase")
    >>> kept, held_out = selection.finish()
    >>> int(kept.sum()), len(held_out)
    (14, 1)
    """

    def __init__(self, deduplicate: bool = False, hold_out: int = 0):
        self.deduplicate = deduplicate
        self.hold_out = hold_out
        self.count = 0
        self._pairs = array("Q")
        self._limit = 1 << 64
        self._near: list[tuple[int, int]] = []

    def see(self, source: str, target: str) -> None:
        """Take note of the next pair."""
        if self.deduplicate or self.hold_out:
            key = sentence_key(source)
            if self.deduplicate:
                self._pairs.append(number_of(f"{key}\n{sentence_key(target)}"))
            if self.hold_out and (number := number_of(key)) < self._limit:
                self._near.append((number, self.count))
                if len(self._near) > 8 * self.hold_out:
                    self._narrow(self.hold_out)
        self.count += 1

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each pair stays [pairs], and the places of the pairs that are held out, in their order."""
        kept = np.ones(self.count, dtype=bool)
        if self.deduplicate:
            kept[_repeated(np.frombuffer(self._pairs, dtype=np.uint64))] = False
        if not self.hold_out:
            return kept, np.empty(0, dtype=np.int64)
        self._narrow(min(self.hold_out, self.count // 10))
        held_out = np.array(sorted(place for _, place in self._near), dtype=np.int64)
        first = held_out[kept[held_out]]
        kept[held_out] = False
        return kept, first

    def _narrow(self, sources: int) -> None:
        """Keep the pairs of the smallest hashes only."""
        smallest = sorted({number for number, _ in self._near})[:sources]
        self._limit = smallest[-1] + 1 if len(smallest) == sources and sources else self._limit if sources else 0
        self._near = [(number, place) for number, place in self._near if number < self._limit]


def _repeated(numbers: np.ndarray) -> np.ndarray:
    """The places of numbers that stood there before; one part after another, since sorting takes memory."""
    found = []
    for part in range(_PARTITIONS):
        places = np.flatnonzero(numbers % _PARTITIONS == part)
        order = places[np.argsort(numbers[places], kind="stable")]
        found.append(order[1:][numbers[order[1:]] == numbers[order[:-1]]])
    return np.concatenate(found)
