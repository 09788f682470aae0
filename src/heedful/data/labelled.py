"""Texts with one label each, in batches of about equal length for the training loop."""

from collections.abc import Sequence

import numpy as np
import torch

from .batching import BatchSampler, pad
from .examples import ExampleBatch
from .ids import Ids


def collate_labelled(texts: Sequence[np.ndarray], answers: np.ndarray, index: Sequence[int]) -> ExampleBatch:
    """The texts at the places `index` as one batch, as wide as the longest of them.

    - `texts`: the ids of all texts of the data set.
    - `answers` [texts]: the place of each one's label, from 0.

    >>> batch = collate_labelled([np.array([5, 6]), np.array([7])], np.array([1, 0]), [1, 0])
    >>> batch.inputs.tolist(), batch.lengths.tolist(), batch.answers.tolist()
    ([[7, 0], [5, 6]], [1, 2], [0, 1])
    """
    inputs, lengths = pad([texts[place] for place in index])
    places = torch.tensor(index, dtype=torch.int64)
    right = torch.from_numpy(np.asarray(answers, dtype=np.int64))[places]
    return ExampleBatch(inputs, lengths, right, torch.ones(len(places), dtype=torch.bool), places)


class LabelledEpoch(Sequence[ExampleBatch]):
    """The batches of one epoch, each made when it is indexed.

    - `order`: for each batch the places of its texts in the data set.
    - `texts`, `answers`: see `collate_labelled`.
    """

    def __init__(self, order: list[list[int]], texts: Ids, answers: np.ndarray):
        self.order, self.texts, self.answers = order, texts, answers

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> ExampleBatch:
        return collate_labelled(self.texts, self.answers, self.order[place])


class LabelledBatches:
    """A data set in memory; `epoch` makes it what `heedful.training.train` learns from.

    A batch holds at most `tokens_per_batch` tokens, with one more for each text; see `BatchSampler` for the order.

    - `texts`, `answers`: see `collate_labelled`; no text is empty.
    - `seed`: of the order, which is another in every epoch and the same for the same (seed, epoch).

    >>> batches = LabelledBatches(Ids.pack([[5, 6], [7], [8, 9]]), np.array([1, 0, 1]), tokens_per_batch=5, seed=1)
    >>> sorted(batch.answers.tolist() for batch in batches.epoch(0)), batches.largest().inputs.shape
    ([[0, 1], [1]], torch.Size([2, 2]))
    """

    def __init__(self, texts: Ids, answers: np.ndarray, tokens_per_batch: int, seed: int = 0):
        if len(texts) != len(answers):
            raise ValueError(f"there are {len(texts)} texts but {len(answers)} answers; give one answer to each.")
        self.texts, self.answers = texts, answers
        self.sampler = BatchSampler(texts.lengths, texts.lengths, tokens_per_batch, seed)

    def epoch(self, number: int) -> LabelledEpoch:
        """The batches of epoch `number`."""
        return LabelledEpoch(self.sampler.epoch(number), self.texts, self.answers)

    def largest(self) -> ExampleBatch:
        """The batch of the first epoch that needs most memory: texts times length, padding included."""
        lengths = self.texts.lengths
        order = self.sampler.epoch(0)
        largest = max(order, key=lambda places: len(places) * lengths[places].max())
        return collate_labelled(self.texts, self.answers, largest)
