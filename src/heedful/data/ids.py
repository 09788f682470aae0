"""Many sentences of ids in little memory: four bytes a token, where lists take nine times as much."""

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np


class Ids(Sequence[np.ndarray]):
    """Sentences of ids, one after another in one array; each is an int32 array of its own length.

    - `flat`: the ids of all sentences.
    - `ends`: where each sentence ends in `flat`.

    >>> ids = Ids.pack([[5, 6], [], [7]])
    >>> len(ids), ids[2].tolist(), ids.lengths.tolist(), ids.take([2, 0]).flat.tolist()
    (3, [7], [2, 0, 1], [7, 5, 6])
    """

    def __init__(self, flat: np.ndarray, ends: np.ndarray):
        self.flat = flat
        self.ends = ends

    @classmethod
    def pack(cls, sentences: Iterable[Sequence[int] | np.ndarray]) -> "Ids":
        """The same ids without the lists."""
        parts = [np.asarray(sentence, dtype=np.int32) for sentence in sentences]
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int32), *parts]), np.cumsum(lengths))

    @classmethod
    def join(cls, parts: Sequence["Ids"]) -> "Ids":
        """All sentences of the first, then those of the second, and so on."""
        starts = np.cumsum([0, *(len(part.flat) for part in parts)])
        ends = [part.ends + start for part, start in zip(parts, starts[:-1], strict=True)]
        return cls(
            np.concatenate([np.empty(0, np.int32), *(part.flat for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *ends]),
        )

    @property
    def lengths(self) -> np.ndarray:
        """How many ids each sentence has: [sentences]."""
        return np.diff(self.ends, prepend=0)

    def take(self, places: Sequence[int] | np.ndarray) -> "Ids":
        """The sentences at some places, in that order."""
        return Ids.pack([self[int(place)] for place in places])

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, place: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, place: slice) -> "Ids": ...
    def __getitem__(self, place: int | slice) -> "np.ndarray | Ids":
        if isinstance(place, slice):
            return self.take(range(len(self))[place])
        place = range(len(self))[place]
        return self.flat[self.ends[place - 1] if place else 0 : self.ends[place]]
