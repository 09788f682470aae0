"""The loop: exact resume, limits, the best checkpoint and the mean of the last, records."""

import csv
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from heedful.training import TrainingInterrupted, train
from tests.training.tiny import held_out, options, tiny_feed, tiny_model

CLOCKS = {"seconds", "tokens_per_second"}
FULL = {"average_last": 3, "label_smoothing": 0.1, "weight_decay": 0.01, "schedule": "cosine", "warmup_steps": 4}


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file without what depends on the clock."""
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in CLOCKS} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path, model: nn.Module, other_model: nn.Module):
    for name in ("batches.csv", "epochs.csv", "validations.csv"):
        assert rows(one / name) == rows(other / name), name
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other_model.state_dict()[name]), name
    optimizers = [torch.load(folder / "checkpoint.pt", weights_only=True)["optimizer"] for folder in (one, other)]
    torch.testing.assert_close(*optimizers, rtol=0, atol=0)


class SignalAt:
    """Batches that send this process a signal while the batch of a step is fetched."""

    def __init__(self, step: int, number: int = signal.SIGINT):
        self.feed, self.number, self.left = tiny_feed(), number, step

    def epoch(self, number: int) -> "SignalAt":
        self.batches = self.feed.epoch(number)
        return self

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)
        return self.batches[place]


@pytest.mark.parametrize("step", [1, 5, 7, 8, 13, 16, 19])
@pytest.mark.parametrize("validate_every", [None, 3])
def test_an_interrupted_run_goes_on_to_the_same_weights_and_rows(tmp_path, step, validate_every):
    how = options(**FULL, validate_every=validate_every)
    whole, halved = tiny_model(), tiny_model()
    result = train(whole, tiny_feed(), held_out, how, tmp_path / "whole", seed=5)
    with pytest.raises(TrainingInterrupted, match=f"Stopped at step {step}; the same command goes on"):
        train(halved, SignalAt(step), held_out, how, tmp_path / "halved", seed=5)
    halved = tiny_model()
    again = train(halved, tiny_feed(), held_out, how, tmp_path / "halved", seed=5)
    assert (again.step, again.metrics, again.best_step) == (result.step, result.metrics, result.best_step)
    assert_same_run(tmp_path / "whole", tmp_path / "halved", whole, halved)
