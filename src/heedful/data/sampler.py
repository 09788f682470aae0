"""Which pairs an epoch takes from one corpus or several: a pure function of (seed, epoch)."""

import math
from collections.abc import Sequence

import numpy as np

from .readers import Pairs
from .storage import Storage


class PairSampler:
    """Takes from each corpus its next blocks, epoch after epoch.

    The blocks of a corpus are shuffled anew for every pass through it, and laid end to end; epoch n takes the n-th
    stretch of that endless row. So every pair comes once in each pass, whatever the length of an epoch, and an epoch
    far ahead is found without those before it.

    - `storages`: the corpora.
    - `weights`: what part of an epoch each gives, relative to the others; their sizes when left out.
    - `epoch_pairs`: pairs of an epoch, nearly; those of all corpora when left out.
    - `seed`: of the order of blocks.

    >>> from heedful.data.storage import MemoryStorage
    >>> storage = MemoryStorage(Pairs(["a", "b", "c"], ["A", "B", "C"], {}, "here"))
    >>> sampler = PairSampler([storage], epoch_pairs=2, seed=1)
    >>> sorted(sampler.epoch(0).source + sampler.epoch(1).source[:1])
    ['a', 'b', 'c']
    """

    def __init__(
        self,
        storages: Sequence[Storage],
        weights: Sequence[float] | None = None,
        epoch_pairs: int | None = None,
        seed: int = 0,
    ):
        sizes = [storage.num_pairs for storage in storages]
        if weights is not None and (len(weights) != len(storages) or min(weights) <= 0):
            raise ValueError(f"weights must be {len(storages)} numbers above 0, one for each corpus; got {weights}.")
        if epoch_pairs is not None and epoch_pairs < 1:
            raise ValueError(f"epoch_pairs must be at least 1; got {epoch_pairs}.")
        self.storages = storages
        self.seed = seed
        self.whole = weights is None and epoch_pairs is None
        wanted = epoch_pairs or sum(sizes)
        parts = sizes if weights is None else weights
        # blocks of each corpus in an epoch, not whole numbers; one at least gives a block to every epoch
        blocks = [storage.num_blocks / storage.num_pairs * part for part, storage in zip(parts, storages, strict=True)]
        scale = max(wanted / sum(parts), 1 / max(blocks))
        self._shares = [scale * count for count in blocks]

    def epoch(self, number: int) -> Pairs:
        """The pairs of an epoch; in the order of the corpora where it takes all of them once."""
        found = [
            storage.read(range(storage.num_blocks) if self.whole else self._blocks(place, number))
            for place, storage in enumerate(self.storages)
        ]
        return join(found)

    def sample(self, most: int) -> Pairs:
        """About `most` pairs at random in the proportions of an epoch, or all pairs where there are fewer."""
        total = sum(storage.num_pairs for storage in self.storages)
        if total <= most:
            return join([storage.read(range(storage.num_blocks)) for storage in self.storages])
        return PairSampler(self.storages, self._shares_of_pairs(), most, self.seed + 1).epoch(0)

    def _shares_of_pairs(self) -> list[float]:
        pairs = zip(self._shares, self.storages, strict=True)
        return [share * storage.num_pairs / storage.num_blocks for share, storage in pairs]

    def _blocks(self, corpus: int, number: int) -> list[int]:
        """The blocks that epoch `number` takes from a corpus, ascending within a pass."""
        size, share = self.storages[corpus].num_blocks, self._shares[corpus]
        first, last = math.floor(number * share + 0.5), math.floor((number + 1) * share + 0.5)
        blocks: list[int] = []
        for turn in range(first // size, -(-last // size)):
            order = np.random.default_rng([self.seed, corpus, turn]).permutation(size)
            part = order[max(first - turn * size, 0) : last - turn * size]
            blocks += np.sort(part).tolist()
        return blocks


def join(parts: Sequence[Pairs]) -> Pairs:
    """The pairs of several corpora as one."""
    if len(parts) == 1:
        return parts[0]
    skipped: dict[str, int] = {}
    for part in parts:
        for reason, count in part.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return Pairs(
        [sentence for part in parts for sentence in part.source],
        [sentence for part in parts for sentence in part.target],
        skipped,
        ", ".join(dict.fromkeys(part.origin for part in parts)),
    )
