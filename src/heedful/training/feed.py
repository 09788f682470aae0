"""Batches for the training loop: the order of an epoch as a sequence whose items are made when they are asked for."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from heedful.data.batching import Batch, BatchSampler, collate


@runtime_checkable
class Batches(Protocol):
    """What the loop trains on: any object that gives the batches of epoch `number`, always the same ones."""

    def epoch(self, number: int) -> Sequence[Batch]:
        """The batches of one epoch, in order: a pure function of the number and of what the object was made with."""
        ...


class Epoch(Sequence[Batch]):
    """The batches of one epoch, each collated when it is indexed, so that a resumed run skips none at any cost.

    Args:
        order: For each batch the places of its pairs in the data set.
        sources: Token ids of every source of the data set, without BOS and EOS.
        targets: Likewise of every target.
    """

    def __init__(self, order: list[list[int]], sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]):
        self.order = order
        self.sources = sources
        self.targets = targets

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Batch:
        return collate(self.sources, self.targets, self.order[place])


class Feed:
    """A data set in memory and the sampler that orders it.

    Args:
        sampler: Gives the order of each epoch.
        sources: Token ids of every source, without BOS and EOS.
        targets: Likewise of every target.

    Example:
        >>> sources, targets = [[5, 6], [7]], [[8], [9, 4]]
        >>> feed = Feed(BatchSampler([2, 1], [1, 2], tokens_per_batch=3, seed=1), sources, targets)
        >>> [batch.num_target_tokens for batch in feed.epoch(0)], feed.epoch(0)[0].source.shape
        ([2, 3], torch.Size([1, 2]))
    """

    def __init__(self, sampler: BatchSampler, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]):
        self.sampler = sampler
        self.sources = sources
        self.targets = targets

    def epoch(self, number: int) -> Epoch:
        """The batches of epoch `number`."""
        return Epoch(self.sampler.epoch(number), self.sources, self.targets)
