"""Batches of about equal numbers of target tokens, made of sentences of about equal length."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from heedful.data.vocabulary import BOS, EOS, PAD

# the ids of one
Sentence = Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Batch:
    """Sentence pairs as padded tensors of ids (int64, `PAD` after the end of each sentence).

    - `source` [batch, source_len], of regions of pictures [batch, source_len, features]; `source_lengths` [batch].
    - `target_in` [batch, target_len]: BOS and the sentence, what the decoder is fed.
    - `target_out` [batch, target_len]: the sentence and EOS, what it should answer.
    - `target_lengths` [batch]: real tokens of `target_out`, EOS included.
    - `index` [batch]: the place of each pair in the data set.
    """

    source: Shaped[Tensor, "batch source_len ..."]
    source_lengths: Int[Tensor, "batch"]
    target_in: Int[Tensor, "batch target_len"]
    target_out: Int[Tensor, "batch target_len"]
    target_lengths: Int[Tensor, "batch"]
    index: Int[Tensor, "batch"]

    @property
    def num_target_tokens(self) -> int:
        """Real target tokens, EOS included."""
        return int(self.target_lengths.sum())

    @property
    def num_source_tokens(self) -> int:
        """Real source tokens."""
        return int(self.source_lengths.sum())

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return Batch(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})

    def part(self, rows: slice, counts: bool = True) -> "Batch":
        """Some of the pairs, without padding that none needs; with `counts` False, all of their targets are padding."""
        sources, targets = self.source_lengths[rows], self.target_lengths[rows]
        source_len, target_len = int(sources.max()), int(targets.max())
        target_out = self.target_out[rows, :target_len]
        if not counts:
            target_out, targets = torch.full_like(target_out, PAD), torch.zeros_like(targets)
        return Batch(
            self.source[rows, :source_len],
            sources,
            self.target_in[rows, :target_len],
            target_out,
            targets,
            self.index[rows],
        )

    def full(self, rows: int) -> "Batch":
        """So many pairs, the first one again and again, as wide as the batch and without padding."""
        width, height = self.source.shape[1], self.target_out.shape[1]
        index = torch.zeros(rows, dtype=torch.int64)
        one = torch.full_like(index, 1)
        return Batch(
            self.source[index].clamp_min(1),
            one * width,
            self.target_in[index].clamp_min(1),
            self.target_out[index].clamp_min(1),
            one * height,
            self.index[index],
        )


class BatchSampler:
    """Which sentences go together, anew in every epoch and the same for the same (seed, epoch).

    The data are shuffled, cut into windows, sorted by length inside each window and cut into batches, which are
    shuffled again. A batch holds at most `tokens_per_batch` real target tokens, EOS included; a sentence longer than
    that is a batch of its own.

    - `source_lengths`, `target_lengths`: tokens of each sentence, without BOS and EOS.
    - `window`: sentences sorted together. Wider windows pad less, narrower ones mix more.

    >>> sampler = BatchSampler([2, 3, 2, 5], [1, 4, 2, 4], tokens_per_batch=10, seed=1)
    >>> sorted(index for batch in sampler.epoch(0) for index in batch)
    [0, 1, 2, 3]
    >>> sampler.epoch(7) == sampler.epoch(7)
    True
    """

    def __init__(
        self,
        source_lengths: Sequence[int] | np.ndarray,
        target_lengths: Sequence[int] | np.ndarray,
        tokens_per_batch: int,
        seed: int = 0,
        window: int = 50_000,
    ):
        if len(source_lengths) != len(target_lengths):
            raise ValueError(
                f"source_lengths has {len(source_lengths)} entries but target_lengths has {len(target_lengths)}; "
                "give one of each per pair."
            )
        if tokens_per_batch < 1 or window < 1:
            raise ValueError(f"tokens_per_batch and window must be at least 1; got {tokens_per_batch} and {window}.")
        self.source_lengths = np.asarray(source_lengths, dtype=np.int64)
        self.target_lengths = np.asarray(target_lengths, dtype=np.int64)
        self.tokens_per_batch = tokens_per_batch
        self.seed = seed
        self.window = window

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of an epoch, each a list of places in the data set; every place occurs once."""
        random = np.random.default_rng([self.seed, number])
        order = random.permutation(len(self.target_lengths))
        batches = []
        for start in range(0, len(order), self.window):
            batches += self._cut(self._sort(order[start : start + self.window]))
        return [batches[place].tolist() for place in random.permutation(len(batches))]

    def _sort(self, places: np.ndarray) -> np.ndarray:
        source, target = self.source_lengths[places], self.target_lengths[places]
        # up and down in turn, so that long sources meet long ones where the target length changes
        return places[np.lexsort((np.where(target % 2, source, -source), target))]

    def _cut(self, places: np.ndarray) -> list[np.ndarray]:
        """Neighbours, as many as fit into one batch."""
        ends = np.cumsum(self.target_lengths[places] + 1)
        batches, first, used = [], 0, 0
        while first < len(places):
            last = max(first + 1, int(np.searchsorted(ends, used + self.tokens_per_batch, side="right")))
            batches.append(places[first:last])
            first, used = last, ends[last - 1]
        return batches


def pad(
    sentences: Sequence[Sentence], before: Sequence[int] = (), after: Sequence[int] = ()
) -> tuple[Shaped[Tensor, "batch length ..."], Int[Tensor, "batch"]]:
    """Sentences of ids as one tensor with `PAD` after the end of each, and their lengths; of vectors, with zeros.

    - `before`, `after`: ids to put around every sentence; they count in its length.

    >>> pad([[5, 6], [7]], after=[EOS])
    (tensor([[5, 6, 3],
            [7, 3, 0]]), tensor([3, 2]))
    """
    if len(sentences) and np.ndim(sentences[0]) == 2:
        return _pad_vectors([np.asarray(one, dtype=np.float32) for one in sentences])
    first = len(before)
    lengths = np.array([first + len(sentence) + len(after) for sentence in sentences], dtype=np.int64)
    padded = np.full((len(sentences), lengths.max(initial=0)), PAD, dtype=np.int64)
    padded[:, :first] = before
    for row, sentence, length in zip(padded, sentences, lengths, strict=True):
        row[first : first + len(sentence)] = sentence
        row[length - len(after) : length] = after
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def _pad_vectors(
    pictures: Sequence[np.ndarray],
) -> tuple[Float[Tensor, "batch length features"], Int[Tensor, "batch"]]:
    """Vectors [steps, features] of several as one tensor."""
    lengths = np.array([len(one) for one in pictures], dtype=np.int64)
    padded = np.zeros((len(pictures), lengths.max(), pictures[0].shape[1]), dtype=np.float32)
    for row, one in zip(padded, pictures, strict=True):
        row[: len(one)] = one
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def collate(sources: Sequence[Sentence], targets: Sequence[Sentence], index: Sequence[int]) -> Batch:
    """The pairs at the places `index` as one `Batch`.

    - `sources`, `targets`: the ids of all sentences of the data set, without BOS and EOS.

    Raises `ValueError` for an empty source: there would be nothing to look at.

    >>> collate([[5, 6], [7]], [[8], [9, 4]], [1]).target_out
    tensor([[9, 4, 3]])
    """
    for place in index:
        if not len(sources[place]):
            raise ValueError(f"The source of pair {place} has no tokens; leave empty sentences out.")
    ours, theirs = ([side[place] for place in index] for side in (sources, targets))
    source, source_lengths = pad(ours)
    target_in, target_lengths = pad(theirs, before=[BOS])
    target_out, _ = pad(theirs, after=[EOS])
    return Batch(source, source_lengths, target_in, target_out, target_lengths, torch.tensor(index, dtype=torch.int64))
