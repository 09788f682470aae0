"""The progress of a run, as plain numbers: all that a checkpoint holds besides the model and the optimiser."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .options import TrainingOptions


@dataclass
class TrainState:
    """Progress of a run.

    Args:
        step: Updates made.
        epoch: Whole epochs made.
        offset: Batches of the present epoch used.
        seconds: Time taken.
        sums: Loss, tokens and right tokens of the present epoch so far.
        validated: Step of the last validation; -1 before the first.
        recent: Steps of the last validations whose weights are kept for averaging.
        stale: Validations since the best.
        cuts: What the plateaus so far have multiplied the learning rate by.
        waited: Validations since the best or the last cut.
        best_step: Step of the best validation.
        best_metrics: Its metrics; empty before the first.
    """

    step: int = 0
    epoch: int = 0
    offset: int = 0
    seconds: float = 0.0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    validated: int = -1
    recent: list[int] = field(default_factory=list)
    stale: int = 0
    cuts: float = 1.0
    waited: int = 0
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)

    def is_better(self, metrics: Mapping[str, float], options: TrainingOptions) -> bool:
        """Whether these metrics beat the best so far."""
        name, best = options.best_by, self.best_metrics
        return not best or math.isnan(best[name]) or options.is_better(metrics[name], best[name])

    def take(self, metrics: dict[str, float], options: TrainingOptions) -> bool:
        """Count a validation of the present step, and say whether it is the best so far."""
        better = self.is_better(metrics, options)
        self.validated = self.step
        self.stale, self.waited = (0, 0) if better else (self.stale + 1, self.waited + 1)
        if better:
            self.best_step, self.best_metrics = self.step, metrics
        elif self.waited >= options.plateau_patience:
            self.cuts, self.waited = self.cuts * options.plateau_factor, 0
        kept = options.average_last
        self.recent = [*self.recent, self.step][-kept:] if kept > 1 else []
        return better

    def limit_reached(self, options: TrainingOptions, seconds: float) -> str | None:
        """The limit that ends the run here, if any."""
        reached = {
            "max_epochs": options.max_epochs and self.epoch >= options.max_epochs,
            "max_steps": options.max_steps and self.step >= options.max_steps,
            "max_seconds": options.max_seconds and seconds >= options.max_seconds,
            "patience": options.patience and self.stale >= options.patience,
        }
        return next((name for name, is_so in reached.items() if is_so), None)

    def fraction(self, options: TrainingOptions, epoch_len: int, seconds: float) -> float:
        """The part of the run that is done: of epochs, steps or seconds, whichever is nearest to its limit."""
        parts = [0.0]
        if options.max_epochs:
            parts.append((self.epoch + self.offset / epoch_len) / options.max_epochs)
        if options.max_steps:
            parts.append(self.step / options.max_steps)
        if options.max_seconds:
            parts.append(seconds / options.max_seconds)
        return min(1.0, max(parts))
