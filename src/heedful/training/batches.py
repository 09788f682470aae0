"""Batches for the training loop: the order of an epoch as a sequence whose items are made when they are asked for."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from heedful.data.batching import Batch, BatchSampler, Sentence, collate


@runtime_checkable
class TrainingBatch(Protocol):
    """What one update learns from: some examples on one device."""

    @property
    def index(self) -> torch.Tensor:
        """The place of each example in the data set."""
        ...

    @property
    def num_target_tokens(self) -> int:
        """What the loss counts: real tokens of the targets, or answers."""
        ...

    @property
    def num_source_tokens(self) -> int:
        """Real tokens, or steps, that the model reads."""
        ...

    def to(self, device: torch.device | str) -> "TrainingBatch":
        """The same on another device."""
        ...

    def part(self, rows: slice, counts: bool = True) -> "TrainingBatch":
        """Some of its examples; with `counts` False they take part but count for nothing."""
        ...

    def full(self, rows: int) -> "TrainingBatch":
        """So many examples, the first one again and again, as wide as the batch and without padding."""
        ...


@runtime_checkable
class Batches(Protocol):
    """What the loop trains on: any object that gives the batches of epoch `number`, always the same ones."""

    def epoch(self, number: int) -> Sequence[Any]:
        """The batches of one epoch, in order: a pure function of the number and of what the object was made with."""
        ...


@runtime_checkable
class Measured(Protocol):
    """Batches that can tell beforehand what they will need."""

    def largest(self) -> Any:
        """The batch that takes most memory."""
        ...


class Epoch(Sequence[Batch]):
    """The batches of one epoch, each collated when it is indexed, so that a resumed run skips none at any cost.

    Args:
        order: For each batch the places of its pairs in the data set.
        sources: Token ids of every source of the data set, without BOS and EOS.
        targets: Likewise of every target.
    """

    def __init__(self, order: list[list[int]], sources: Sequence[Sentence], targets: Sequence[Sentence]):
        self.order = order
        self.sources = sources
        self.targets = targets

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> Batch:
        return collate(self.sources, self.targets, self.order[place])


class DatasetBatches:
    """A data set in memory and the sampler that orders it.

    Args:
        sampler: Gives the order of each epoch.
        sources: Token ids of every source, without BOS and EOS.
        targets: Likewise of every target.

    Example:
        >>> sources, targets = [[5, 6], [7]], [[8], [9, 4]]
        >>> dataset = DatasetBatches(BatchSampler([2, 1], [1, 2], tokens_per_batch=3, seed=1), sources, targets)
        >>> [batch.num_target_tokens for batch in dataset.epoch(0)], dataset.epoch(0)[0].source.shape
        ([2, 3], torch.Size([1, 2]))
    """

    def __init__(self, sampler: BatchSampler, sources: Sequence[Sentence], targets: Sequence[Sentence]):
        self.sampler = sampler
        self.sources = sources
        self.targets = targets

    def epoch(self, number: int) -> Epoch:
        """The batches of epoch `number`."""
        return Epoch(self.sampler.epoch(number), self.sources, self.targets)

    def largest(self) -> Batch:
        """The batch of the first epoch that needs most memory: rows times source times target, padding included."""
        sources, targets = self.sampler.source_lengths, self.sampler.target_lengths + 1
        order = self.sampler.epoch(0)
        return collate(
            self.sources,
            self.targets,
            max(order, key=lambda places: len(places) * sources[places].max() * targets[places].max()),
        )


def share(batch: TrainingBatch, rank: int, count: int) -> Any:
    """The part of a batch that is one process's: every `count`-th example from `rank` on.

    Where there are fewer examples than processes, those without one get one that counts for nothing: every process must
    take part in every update.

    Args:
        batch: On the CPU; itself when there is one process.
        rank: Of the process, from 0.
        count: Processes.

    Example:
        >>> sources = [[5, 6], [7], [4, 4, 9]]
        >>> [share(collate(sources, sources, [0, 1, 2]), rank, 2).index.tolist() for rank in (0, 1)]
        [[0, 2], [1]]
    """
    if count == 1:
        return batch
    filled = rank < len(batch.index)
    return batch.part(slice(rank, None, count) if filled else slice(0, 1), counts=filled)
