"""A stand-in for an encoder-decoder, a dataset of made-up pairs, and options for a run of a few steps."""

import random

import torch
from torch import Tensor, nn

from heedful.data.batching import Batch, BatchSampler
from heedful.training import DatasetBatches, TrainingOptions, validation_loss

VOCABULARY = 11


class TinyModel(nn.Module):
    """Mean of the source's embeddings and the previous token, with dropout."""

    def __init__(self, dropout: float = 0.3):
        super().__init__()
        self.source = nn.Embedding(VOCABULARY, 5, padding_idx=0)
        self.target = nn.Embedding(VOCABULARY, 5)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(5, VOCABULARY)
        self.forcing: list[float] = []

    def forward(self, source: Tensor, lengths: Tensor, target_in: Tensor, teacher_forcing: float = 1.0) -> Tensor:
        self.forcing.append(teacher_forcing)
        mean = self.source(source).sum(1) / lengths.unsqueeze(1)
        return self.out(self.dropout(torch.tanh(self.target(target_in) + mean.unsqueeze(1))))


def tiny_model(dropout: float = 0.3) -> TinyModel:
    torch.manual_seed(7)
    return TinyModel(dropout)


def tiny_dataset(pairs: int = 23, seed: int = 3) -> DatasetBatches:
    """Pairs whose target is their source, of 1 to 6 tokens."""
    draw = random.Random(seed)
    sources = [[draw.randint(4, VOCABULARY - 1) for _ in range(draw.randint(1, 6))] for _ in range(pairs)]
    lengths = [len(source) for source in sources]
    return DatasetBatches(BatchSampler(lengths, lengths, tokens_per_batch=15, seed=seed), sources, sources)


class WatchedFeed:
    """A dataset before each of whose batches something happens: `before_batch`."""

    def __init__(self, dataset: DatasetBatches):
        self.dataset = dataset

    def before_batch(self) -> None:
        raise NotImplementedError

    def largest(self) -> Batch:
        return self.dataset.largest()

    def epoch(self, number: int) -> "WatchedFeed":
        self.batches = self.dataset.epoch(number)
        return self

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int) -> Batch:
        self.before_batch()
        return self.batches[place]


def held_out(model: nn.Module) -> dict[str, float]:
    """The metrics of a held-out set."""
    return validation_loss(model, tiny_dataset(pairs=13, seed=5).epoch(0))


def options(**changes) -> TrainingOptions:
    return TrainingOptions(**{"max_steps": 20, "learning_rate": 0.02, "device": "cpu", "tensorboard": False, **changes})
