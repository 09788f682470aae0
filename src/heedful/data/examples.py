"""Sequences that have one answer each (a label, a number), in batches for the training loop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class ExampleBatch:
    """Some examples, as tensors.

    - `inputs` [batch, steps] ids, or [batch, steps, features] numbers; [batch, features] where there are no steps.
    - `lengths` [batch]: real steps.
    - `answers` [batch, ...].
    - `counts` [batch]: whether the example counts; one that only fills a place does not.
    - `index` [batch]: the place of each example in the data set.
    """

    inputs: Shaped[Tensor, "batch ..."]
    lengths: Int[Tensor, "batch"]
    answers: Shaped[Tensor, "batch ..."]
    counts: Bool[Tensor, "batch"]
    index: Int[Tensor, "batch"]

    @property
    def num_target_tokens(self) -> int:
        """Answers that count."""
        return int(self.counts.sum())

    @property
    def num_source_tokens(self) -> int:
        """Real steps of the examples that count."""
        return int((self.lengths * self.counts).sum())

    def to(self, device: torch.device | str) -> "ExampleBatch":
        """The same batch on another device."""
        return ExampleBatch(*(column.to(device) for column in self))

    def part(self, rows: slice, counts: bool = True) -> "ExampleBatch":
        """Some of the examples; with `counts` False they take part but count for nothing."""
        part = ExampleBatch(*(column[rows] for column in self))
        return part if counts else replace(part, counts=torch.zeros_like(part.counts))

    def __iter__(self) -> Iterator[Tensor]:
        return iter(getattr(self, field.name) for field in fields(self))

    def full(self, rows: int) -> "ExampleBatch":
        """So many examples, the first one again and again, without padding."""
        index = torch.zeros(rows, dtype=torch.int64)
        repeated = ExampleBatch(*(column[index] for column in self))
        return replace(repeated, lengths=torch.full_like(repeated.lengths, self.inputs.shape[1]))


class Examples:
    """A data set in memory; `epoch` makes it what `heedful.training.train` learns from.

    - `inputs` [examples, steps, ...], `answers` [examples, ...].
    - `batch_size`: examples of a batch; the last one of an epoch has what is left.
    - `lengths` [examples]: real steps; all of them when left out.
    - `seed`: of the order, which is another in every epoch and the same for the same (seed, epoch).

    >>> examples = Examples(torch.rand(5, 7, 3), torch.rand(5), batch_size=2, seed=1)
    >>> [len(batch.index) for batch in examples.epoch(0)]
    [2, 2, 1]
    """

    def __init__(self, inputs: Tensor, answers: Tensor, batch_size: int, lengths: Tensor | None = None, seed: int = 0):
        if len(inputs) != len(answers):
            raise ValueError(f"there are {len(inputs)} inputs but {len(answers)} answers; give one answer to each.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected at least 1.")
        self.inputs, self.answers, self.batch_size, self.seed = inputs, answers, batch_size, seed
        self.lengths = torch.full((len(inputs),), inputs.shape[1]) if lengths is None else lengths

    def __len__(self) -> int:
        return len(self.inputs)

    def epoch(self, number: int) -> "Order":
        """The batches of epoch `number`."""
        return Order(self, torch.from_numpy(np.random.default_rng([self.seed, number]).permutation(len(self))))

    def in_order(self) -> "Order":
        """The batches as the data stand."""
        return Order(self, torch.arange(len(self)))

    def chosen(self, places: Tensor) -> "Examples":
        """Some of the examples as a data set of their own."""
        return Examples(self.inputs[places], self.answers[places], self.batch_size, self.lengths[places], self.seed)


class Order(Sequence[ExampleBatch]):
    """Batches of a data set in a given order, each made when it is asked for."""

    def __init__(self, examples: Examples, places: Int[Tensor, "examples"]):
        self.examples, self.places = examples, places

    def __len__(self) -> int:
        return -(-len(self.places) // self.examples.batch_size)

    def __getitem__(self, place: int) -> ExampleBatch:
        if not 0 <= place < len(self):
            raise IndexError(f"there is no batch {place}; there are {len(self)}.")
        size, examples = self.examples.batch_size, self.examples
        rows = self.places[place * size : (place + 1) * size]
        counts = torch.ones(len(rows), dtype=torch.bool)
        return ExampleBatch(examples.inputs[rows], examples.lengths[rows], examples.answers[rows], counts, rows)
