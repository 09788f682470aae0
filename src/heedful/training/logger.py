"""Moves the numbers of a run from the device to its tables and its display."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from .engine import Numbers
from .options import TrainingOptions
from .processes import Processes
from .progress import Display
from .records import Records, Silence
from .train_state import TrainState


class Note(NamedTuple):
    """The facts of an update that are known before its numbers arrive from the device."""

    step: int
    epoch: int
    rate: float
    begun: float
    ended: float
    numbers: Numbers
    read: int


class Row(NamedTuple):
    """An update with its numbers, summed over all processes."""

    note: Note
    total: float
    tokens: float
    correct: float
    norm: float


class TrainingLogger:
    """Tables and display of a run; those of the first process alone are real.

    Args:
        folder: Of the run.
        step: The one that the run goes on from.
        options: Say whether TensorBoard is wanted.
        processes: Those of the run.
    """

    def __init__(self, folder: Path, step: int, options: TrainingOptions, processes: Processes):
        self.processes = processes
        self.records = Records(folder, step, options.tensorboard) if processes.first else Silence()
        self.display = Display(None if processes.first else Console(quiet=True, force_terminal=False))
        self.notes: list[Note] = []

    def note(self, state: TrainState, rate: float, begun: float, numbers: Numbers, read: int) -> None:
        """Keep what an update gave, its numbers still on the device, and how many tokens of the sources it read."""
        self.notes.append(Note(state.step, state.epoch + 1, rate, begun, time.monotonic(), numbers, read))

    def collect(self) -> list[Row]:
        """The updates since the last call, with one wait for the device."""
        notes, self.notes = self.notes, []
        if not notes:
            return []
        numbers = (
            torch.stack([torch.stack([number.float() for number in note.numbers]) for note in notes]).cpu().double()
        )
        # the norm is that of the common gradient, the same in every process
        numbers[:, :3] = self.processes.total(numbers[:, :3].contiguous())
        return [Row(note, *row) for note, row in zip(notes, numbers.tolist(), strict=True)]

    def write(self, rows: list[Row], started: float, fraction: float) -> None:
        """Record updates and show where they lead."""
        for row in rows:
            note = row.note
            self.records.write(
                "batches",
                {
                    "step": note.step,
                    "epoch": note.epoch,
                    "loss": row.total / row.tokens,
                    "accuracy": row.correct / row.tokens,
                    "learning_rate": note.rate,
                    "gradient_norm": row.norm,
                    "tokens": int(row.tokens),
                    "source_tokens": note.read,
                    "tokens_per_second": row.tokens / max(note.ended - note.begun, 1e-9),
                    "seconds": note.ended - started,
                },
            )
        tokens, last = sum(row.tokens for row in rows), rows[-1].note
        speed = tokens / max(sum(row.note.ended - row.note.begun for row in rows), 1e-9)
        loss = sum(row.total for row in rows) / tokens
        self.display.update(last.step, loss, speed, fraction, last.ended - started)

    def write_epoch(self, state: TrainState, seconds: float) -> None:
        """Record the epoch that ends here."""
        total, tokens, correct = state.sums
        row = {"step": state.step, "epoch": state.epoch + 1, "loss": total / tokens, "accuracy": correct / tokens}
        self.records.write("epochs", {**row, "tokens": int(tokens), "seconds": seconds})

    def write_validation(self, state: TrainState, metrics: Mapping[str, float], weights: str, better: bool) -> None:
        """Record and show a validation; `weights` says of what: "step" or "average"."""
        epoch = state.epoch + (state.offset > 0)
        row: dict[str, Any] = {"step": state.step, "epoch": epoch, "seconds": state.seconds}
        self.records.write("validations", {**row, "weights": weights, "best": int(better), **metrics})
        of = f"step {state.step}" if weights == "step" else f"mean of steps {', '.join(map(str, state.recent))}"
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.say(f"Validation of {of}: {numbers}{'  (best)' if better else ''}")

    def say(self, text: str) -> None:
        """Show a line that stays."""
        self.display.say(text)

    def close(self) -> None:
        """End the tables and the display."""
        self.records.close()
        self.display.close()
