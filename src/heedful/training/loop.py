"""The training loop: lightning_fabric for device and precision, under one loop of our own because resume must be exact.
The order is a pure function of (seed, epoch), and random state is reseeded from (seed, step) before every step.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from heedful._errors import DataError, HeedfulError, ModelFolderError, RecipeError
from heedful._files import make_folder

from .averaging import average_weights
from .checkpoint import WeightFiles, clear_unfinished, load, save
from .feed import Batches
from .interruption import Interruption, TrainingInterrupted
from .losses import Loss, sequence_loss
from .options import TrainingOptions
from .progress import Display
from .records import Records
from .schedules import SCHEDULES, Progress

FLUSH_SECONDS = 1.0
# A run may go on with other values of these; every other option must be as it was.
LIMITS = frozenset({"max_epochs", "max_steps", "max_seconds", "patience"})
FREE_OPTIONS = LIMITS | {"average_last", "checkpoint_minutes", "device", "tensorboard"}

Validate = Callable[[nn.Module], Mapping[str, float]]


@runtime_checkable
class Callback(Protocol):
    """What `train` calls besides."""

    def on_validation(self, step: int, model: nn.Module, metrics: Mapping[str, float]) -> None:
        """Called after each validation, the model in evaluation mode and without gradients."""
        ...


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Args:
        stopped: The limit that ended it: "max_epochs", "max_steps", "max_seconds" or "patience".
        step: Updates made.
        epoch: Whole epochs made.
        seconds: Time taken, validation included, over all resumed runs.
        best_step: The validated step with the best metric.
        averaged: Whether the mean of the last checkpoints beat it; the model then holds that mean.
        metrics: The validation metrics of the weights that the model now holds.
    """

    stopped: str
    step: int
    epoch: int
    seconds: float
    best_step: int
    averaged: bool
    metrics: dict[str, float]


def train(
    model: nn.Module,
    batches: Batches,
    validate: Validate,
    options: TrainingOptions,
    folder: Path,
    *,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    loss: Callable[..., Loss] = sequence_loss,
) -> TrainingResult:
    """Train a model to the first limit of its options, and leave it with the best weights.

    A folder that holds a checkpoint goes on from it, to the same numbers as a run that was never stopped.

    Args:
        model: Trained in place; moved to the device of the options.
        batches: Gives the batches of an epoch, see `heedful.training.feed.Feed`.
        validate: Maps the model, in evaluation mode, to its metrics; one is named as `options.best_by`.
        options: Every choice of the loop.
        folder: Gets `checkpoint.pt`, `weights/`, `batches.csv`, `epochs.csv`, `validations.csv` and `tensorboard/`.
        seed: Of dropout and whatever else a step draws; the batches have their own.
        callbacks: Called after each validation.
        loss: Called with `(model, batch, smoothing=...)`, and `teacher_forcing=...` where the options set one.

    Raises:
        TrainingInterrupted: After Ctrl-C or SIGTERM, once the step is finished and a checkpoint written.
        RecipeError: If the folder's checkpoint was made with other options or another seed.
        ModelFolderError: If its files cannot be read or do not fit the model.
        OutputError: If the folder cannot be written.
        HeedfulError: If the loss or the gradient is no longer finite.
    """
    run = Run(model, batches, validate, options, Path(folder), seed, callbacks, loss)
    with closing(run), run.interruption:
        while True:
            if run.validation_due():
                run.validate()
            if run.stopped():
                return run.finish()
            run.step()
            if run.interruption.requested:
                run.checkpoint()
                raise run.interrupted()
            if run.checkpoint_due():
                run.checkpoint()


@dataclass
class Place:
    """Where a run stands: all that a checkpoint holds besides the model and the optimiser.

    Args:
        step: Updates made.
        epoch: Whole epochs made.
        offset: Batches of the present epoch used.
        seconds: Time taken.
        sums: Loss, tokens and right tokens of the present epoch so far.
        validated: Step of the last validation; -1 before the first.
        recent: Steps of the last validations whose weights are kept for averaging.
        stale: Validations since the best.
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
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)


def reseed(device: torch.device, seed: int, step: int, purpose: int = 0) -> None:
    """Set the random state from the seed, the step and what the draws are for, hashed so that no two runs meet."""
    number = int(np.random.SeedSequence([seed, step, purpose]).generate_state(1)[0])
    # torch.manual_seed asks every kind of device, which takes as long as a small step.
    torch.default_generator.manual_seed(number)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(number)


class Run:
    """One training in progress; `train` says what its methods do in which order.

    Takes the arguments of `train`.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        validate: Validate,
        options: TrainingOptions,
        folder: Path,
        seed: int,
        callbacks: Sequence[Callback],
        loss: Callable[..., Loss],
    ):
        self.model, self.batches, self.validator, self.loss = model, batches, validate, loss
        self.options, self.folder, self.seed, self.callbacks = options, folder, seed, callbacks
        # loading it takes longer than translating: whoever only reads the options does not wait for it
        from lightning_fabric import Fabric

        precision = "bf16-mixed" if options.precision == "bf16" else "32-true"
        self.fabric = Fabric(accelerator=options.device, devices=1, precision=precision)
        optimizer = torch.optim.AdamW(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=options.learning_rate,
            betas=(options.betas[0], options.betas[1]),
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.prepared, self.optimizer = self.fabric.setup(model, optimizer)
        self.place = Place()
        self.rows: list[dict[str, Any]] = []
        self.weights = WeightFiles(folder / "weights")
        self.interruption = Interruption()
        make_folder(folder)
        clear_unfinished(folder)
        resumed = self.restore()
        self.order = self.batches.epoch(self.place.epoch)
        if not len(self.order):
            raise DataError("the training data make no batch at all; every pair is empty or longer than max_length")
        self.records = Records(folder, self.place.step, options.tensorboard)
        self.display = Display()
        if resumed:
            self.display.say(f"Going on from step {self.place.step} of {self.checkpoint_path}.")
        self.started = time.monotonic() - self.place.seconds
        self.saved = self.flushed = time.monotonic()
        model.train()

    @property
    def checkpoint_path(self) -> Path:
        """The file from which the run can go on."""
        return self.folder / "checkpoint.pt"

    @property
    def seconds(self) -> float:
        """Time taken up to now, over all resumed runs."""
        return time.monotonic() - self.started

    def close(self) -> None:
        """End the records and the display."""
        self.records.close()
        self.display.close()

    # --- one step ---

    def fraction(self) -> float:
        """The part of the run that is done: of epochs, steps or seconds, whichever is nearest to its limit."""
        place, options, parts = self.place, self.options, [0.0]
        if options.max_epochs:
            parts.append((place.epoch + place.offset / len(self.order)) / options.max_epochs)
        if options.max_steps:
            parts.append(place.step / options.max_steps)
        if options.max_seconds:
            parts.append(self.seconds / options.max_seconds)
        return min(1.0, max(parts))

    def step(self) -> None:
        """Update the weights on the next batch."""
        begun, place, options = time.monotonic(), self.place, self.options
        progress = Progress(place.step + 1, self.fraction())
        rate = options.learning_rate * SCHEDULES[options.schedule](progress, options.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        forcing = {"teacher_forcing": options.teacher_forcing.at(progress.fraction)} if options.teacher_forcing else {}

        reseed(self.fabric.device, self.seed, progress.step)
        batch = self.order[place.offset].to(self.fabric.device)
        loss = self.loss(self.prepared, batch, smoothing=options.label_smoothing, **forcing)
        self.fabric.backward(loss.total / loss.tokens)
        norm = self.fabric.clip_gradients(
            self.prepared, self.optimizer, max_norm=options.gradient_clip or math.inf, error_if_nonfinite=False
        )
        self.optimizer.step()
        self.optimizer.zero_grad()

        place.step += 1
        self.note({"rate": rate, "begun": begun, "numbers": (loss.total.detach(), loss.tokens, loss.correct, norm)})
        place.offset += 1
        if place.offset == len(self.order):
            self.end_epoch()

    def end_epoch(self) -> None:
        """Record the epoch and go to the next."""
        self.flush()
        place = self.place
        total, tokens, correct = place.sums
        self.records.write(
            "epochs",
            {
                "step": place.step,
                "epoch": place.epoch + 1,
                "loss": total / tokens,
                "accuracy": correct / tokens,
                "tokens": int(tokens),
                "seconds": self.seconds,
            },
        )
        place.epoch, place.offset, place.sums = place.epoch + 1, 0, [0.0, 0.0, 0.0]
        self.order = self.batches.epoch(place.epoch)

    # --- records ---

    def note(self, row: dict[str, Any]) -> None:
        """Keep what a step gave, its numbers still on the device, until there is a second's worth to write."""
        now = time.monotonic()
        self.rows.append({**row, "step": self.place.step, "epoch": self.place.epoch + 1, "ended": now})
        if now - self.flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that were kept, with one wait for the device, and show the last of them."""
        self.flushed = time.monotonic()
        if not self.rows:
            return
        rows, self.rows = self.rows, []
        numbers = torch.stack([torch.stack([number.float() for number in row["numbers"]]) for row in rows]).tolist()
        for row, (total, tokens, correct, norm) in zip(rows, numbers, strict=True):
            if not math.isfinite(total + norm):
                kept = f"; {self.checkpoint_path} is from before" if self.checkpoint_path.exists() else ""
                raise HeedfulError(
                    f"at step {row['step']} the loss was {total / tokens:g} and the gradient's norm {norm:g}; "
                    f"lower the learning rate or set gradient_clip{kept}"
                )
            self.place.sums = [s + n for s, n in zip(self.place.sums, (total, tokens, correct), strict=True)]
            self.records.write(
                "batches",
                {
                    "step": row["step"],
                    "epoch": row["epoch"],
                    "loss": total / tokens,
                    "accuracy": correct / tokens,
                    "learning_rate": row["rate"],
                    "gradient_norm": norm,
                    "tokens": int(tokens),
                    "tokens_per_second": tokens / max(row["ended"] - row["begun"], 1e-9),
                    "seconds": row["ended"] - self.started,
                },
            )
        total, tokens = sum(row[0] for row in numbers), sum(row[1] for row in numbers)
        speed = tokens / max(sum(row["ended"] - row["begun"] for row in rows), 1e-9)
        self.display.update(self.place.step, total / tokens, speed, self.fraction(), self.seconds)

    # --- validation ---

    def validation_due(self) -> bool:
        """Whether the present step is to be validated and has not been."""
        place, every = self.place, self.options.validate_every
        due = place.step % every == 0 if every else place.offset == 0
        return due and place.step > 0 and place.validated != place.step

    def measure(self, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
        """The metrics of the model as it is; a signal meanwhile raises KeyboardInterrupt at once."""
        reseed(self.fabric.device, self.seed, self.place.step, purpose=1)
        self.model.eval()
        try:
            with self.interruption.at_once(), torch.no_grad(), self.fabric.autocast():
                metrics = {name: float(value) for name, value in self.validator(self.model).items()}
                for callback in callbacks:
                    callback.on_validation(self.place.step, self.model, metrics)
        finally:
            self.model.train()
        if self.options.best_by not in metrics:
            raise RecipeError(
                f"training.best_by is {self.options.best_by!r}, but validation gives only {', '.join(metrics)}; "
                "choose one of these"
            )
        return metrics

    def validate(self) -> None:
        """Measure the model, record it, keep its weights if they are wanted, and leave a checkpoint."""
        self.flush()
        try:
            metrics = self.measure(self.callbacks)
        except KeyboardInterrupt:
            self.checkpoint()
            raise self.interrupted() from None
        place, kept = self.place, self.options.average_last
        place.validated = place.step
        better = self.better(metrics)
        if better:
            place.best_step, place.best_metrics, place.stale = place.step, metrics, 0
        else:
            place.stale += 1
        place.recent = [*place.recent, place.step][-kept:] if kept > 1 else []
        if better or place.recent:
            self.weights.save(place.step, self.model.state_dict())
        self.report(metrics, "step", better)
        self.checkpoint()
        self.weights.keep_only({place.best_step, *place.recent})

    def better(self, metrics: Mapping[str, float]) -> bool:
        """Whether these metrics beat the best so far."""
        name, best = self.options.best_by, self.place.best_metrics
        return not best or math.isnan(best[name]) or self.options.is_better(metrics[name], best[name])

    def report(self, metrics: Mapping[str, float], weights: str, better: bool) -> None:
        """Record and show a validation; `weights` says of what: "step" or "average"."""
        place = self.place
        epoch = place.epoch + (place.offset > 0)
        row = {"step": place.step, "epoch": epoch, "seconds": self.seconds, "weights": weights, "best": int(better)}
        self.records.write("validations", {**row, **metrics})
        of = f"step {place.step}" if weights == "step" else f"mean of steps {', '.join(map(str, place.recent))}"
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self.display.say(f"Validation of {of}: {numbers}{'  (best)' if better else ''}")

    # --- checkpoints and the end ---

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self.saved >= 60 * self.options.checkpoint_minutes

    def checkpoint(self) -> None:
        """Write all that is needed to go on from here; first the rows that lead here."""
        self.flush()
        self.records.flush()
        self.place.seconds = self.seconds
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": asdict(self.place),
            "made_with": {"seed": self.seed, **self.options.model_dump()},
        }
        save(content, self.checkpoint_path)
        self.saved = time.monotonic()

    def restore(self) -> bool:
        """Go to where the folder's checkpoint stands, if it holds one."""
        if not self.checkpoint_path.exists():
            return False
        content = load(self.checkpoint_path)
        try:
            made_with = content["made_with"]
            self.place = Place(**content["place"])
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelFolderError(
                f"{self.checkpoint_path} holds another model or is of another version of heedful; "
                "choose another output folder, or delete the file to begin afresh"
            ) from error
        now = {"seed": self.seed, **self.options.model_dump()}
        for name in now:
            if name not in FREE_OPTIONS and made_with.get(name) != now[name]:
                raise RecipeError(
                    f"{name} is {now[name]}, but the run in {self.folder} was begun with {made_with.get(name)}; "
                    "give the same value to go on with it, or choose another output folder"
                )
        return True

    def interrupted(self) -> TrainingInterrupted:
        """What to raise once a checkpoint lies there."""
        message = f"Stopped at step {self.place.step}; the same command goes on from {self.checkpoint_path}."
        self.display.say(message)
        return TrainingInterrupted(message)

    def stopped(self) -> str | None:
        """The limit that has been reached, if any."""
        place, options = self.place, self.options
        reached = {
            "max_epochs": options.max_epochs and place.epoch >= options.max_epochs,
            "max_steps": options.max_steps and place.step >= options.max_steps,
            "max_seconds": options.max_seconds and self.seconds >= options.max_seconds,
            "patience": options.patience and place.stale >= options.patience,
        }
        return next((name for name, is_so in reached.items() if is_so), None)

    def finish(self) -> TrainingResult:
        """Validate the last step if need be, try the mean of the last checkpoints, and load whichever is best."""
        place, stopped = self.place, self.stopped()
        if place.validated != place.step:
            self.validate()
        metrics, averaged = place.best_metrics, False
        if len(place.recent) > 1:
            self.model.load_state_dict(average_weights(self.weights.load(step) for step in place.recent))
            try:
                of_mean = self.measure()
            except KeyboardInterrupt:
                raise self.interrupted() from None
            averaged = self.better(of_mean)
            self.report(of_mean, "average", averaged)
            metrics = of_mean if averaged else metrics
        if not averaged:
            self.model.load_state_dict(self.weights.load(place.best_step))
        self.model.eval()
        kept = "the mean of the last checkpoints" if averaged else f"step {place.best_step}"
        self.display.say(f"Ended by {stopped} at step {place.step} after {self.seconds:.0f} s; kept {kept}.")
        return TrainingResult(str(stopped), place.step, place.epoch, self.seconds, place.best_step, averaged, metrics)
