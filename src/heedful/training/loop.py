"""The training loop: lightning_fabric for devices and processes, under a loop of our own because resume must be exact.
The order is a pure function of (seed, epoch), and random state is reseeded from (seed, step) before every step.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from heedful._errors import DataError, HeedfulError, ModelFolderError, OutputError, RecipeError
from heedful._files import make_folder

from .averaging import average_weights
from .batches import Batches, Measured
from .checkpoint import WeightFiles, clear_unfinished, load, save
from .checks import check_before_training
from .engine import Engine, ShardedEngine, reseed
from .interruption import Interruption, TrainingInterrupted
from .lock import only_run
from .logger import TrainingLogger
from .losses import Loss, sequence_loss
from .options import FREE_OPTIONS, TrainingOptions
from .processes import start
from .schedules import SCHEDULES, Progress
from .train_state import TrainState

FLUSH_SECONDS = 1.0

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

    A folder that holds a checkpoint goes on from it, to the same numbers as a run that was never stopped. With more
    than one process, each calls this function with the same arguments, and all return the same result.

    Args:
        model: Trained in place; moved to the device of the options.
        batches: Gives the batches of an epoch, see `heedful.training.batches.DatasetBatches`.
        validate: Maps the model, in evaluation mode, to its metrics; one is named as `options.best_by`.
        options: Every choice of the loop.
        folder: Gets `checkpoint.pt`, `weights/`, `batches.csv`, `epochs.csv`, `validations.csv` and `tensorboard/`.
        seed: Of dropout and whatever else a step draws; the batches have their own.
        callbacks: Called after each validation, in the first process.
        loss: Called with `(model, batch, smoothing=...)`, and `teacher_forcing=...` where the options set one; it
            counts every real target token.

    Raises:
        TrainingInterrupted: After Ctrl-C or SIGTERM, once the step is finished and a checkpoint written.
        RecipeError: If the folder's checkpoint was made with other options or another seed, or the machine cannot do
            what the options ask for.
        ModelFolderError: If its files cannot be read or do not fit the model.
        OutputError: If the folder cannot be written, has too little space, or another run is at work in it.
        HeedfulError: If the loss or the gradient is no longer finite.
    """
    folder = Path(folder)
    with start(options) as processes, only_run(folder, processes.first):
        with processes.first_alone():
            make_folder(folder)
            clear_unfinished(folder)
        kind = ShardedEngine if options.strategy == "fsdp" else Engine
        run = Run(kind(processes, model, options, loss, seed), batches, validate, folder, callbacks)
        with closing(run), run.interruption, run.told_what_is_kept():
            while True:
                if run.validation_due():
                    run.validate()
                if run.train_state.limit_reached(options, run.seconds):
                    return run.finish()
                run.step()
                run.look_up()


class Run:
    """One training in progress; `train` says what its methods do in which order.

    Args:
        engine: The model and all that changes it.
        batches, validate, folder, callbacks: As given to `train`.
    """

    def __init__(
        self,
        engine: Engine,
        batches: Batches,
        validate: Validate,
        folder: Path,
        callbacks: Sequence[Callback],
    ):
        self.engine, self.batches, self.validator, self.callbacks = engine, batches, validate, callbacks
        self.model, self.options, self.processes = engine.model, engine.options, engine.processes
        self.checkpoint_path = folder / "checkpoint.pt"
        self.weights = WeightFiles(folder / "weights")
        self.interruption = Interruption()
        self.train_state = TrainState()
        self.kept_step = self.restore()
        self.order = self.batches.epoch(self.train_state.epoch)
        if not len(self.order):
            raise DataError("the training data make no batch at all; every pair is empty or longer than max_length")
        # a run that goes on has had its largest batch, which may be of an epoch long gone
        afresh = self.kept_step is None
        largest = batches.largest() if afresh and isinstance(batches, Measured) else self.order[0]
        warnings = check_before_training(engine, largest, len(self.order), folder) if self.processes.first else []
        self.logger = TrainingLogger(folder, self.train_state.step, self.options, self.processes)
        for warning in warnings:
            self.logger.say(warning)
        if self.kept_step is not None:
            self.logger.say(f"Going on from step {self.kept_step} of {self.checkpoint_path}.")
        self.now, _ = self.processes.agree(time.monotonic(), False)
        self.started = self.now - self.train_state.seconds
        self.saved = self.flushed = self.now

    @property
    def seconds(self) -> float:
        """Time taken up to now, over all resumed runs: the same in all processes."""
        return self.now - self.started

    def close(self) -> None:
        """End the records and the display."""
        self.logger.close()

    # --- one step ---

    def step(self) -> None:
        """Update the weights on the next batches."""
        begun, state, options = time.monotonic(), self.train_state, self.options
        progress = Progress(state.step + 1, state.fraction(options, len(self.order), self.seconds), state.cuts)
        factor = SCHEDULES[options.schedule](progress, options.warmup_steps)
        forcing = {"teacher_forcing": options.teacher_forcing.at(progress.fraction)} if options.teacher_forcing else {}
        end = min(state.offset + options.accumulate, len(self.order))
        batches = [self.order[number] for number in range(state.offset, end)]
        numbers = self.engine.update(batches, progress.step, factor, forcing)
        state.step += 1
        read = sum(batch.num_source_tokens for batch in batches)
        self.logger.note(state, options.learning_rate * factor, begun, numbers, read)
        state.offset = end
        if end == len(self.order):
            self.end_epoch()

    def end_epoch(self) -> None:
        """Record the epoch and go to the next."""
        self.flush()
        state = self.train_state
        self.logger.write_epoch(state, self.seconds)
        state.epoch, state.offset, state.sums = state.epoch + 1, 0, [0.0, 0.0, 0.0]
        self.order = self.batches.epoch(state.epoch)

    def look_up(self) -> None:
        """Check the clock and the stop request, and write what is due."""
        self.now, stop = self.processes.agree(time.monotonic(), self.interruption.requested)
        if stop or self.now - self.saved >= 60 * self.options.checkpoint_minutes:
            self.checkpoint()
        elif self.now - self.flushed >= FLUSH_SECONDS:
            self.flush()
        if stop:
            raise self.interrupted()

    def flush(self) -> None:
        """Write what the last steps gave."""
        self.flushed = self.now
        rows = self.logger.collect()
        if not rows:
            return
        for row in rows:
            self.check_finite(row.note.step, row.total / row.tokens, row.norm)
            self.train_state.sums = [s + n for s, n in zip(self.train_state.sums, row[1:4], strict=True)]
        done = self.train_state.fraction(self.options, len(self.order), self.seconds)
        self.logger.write(rows, self.started, done)

    def check_finite(self, step: int, loss: float, norm: float) -> None:
        """Refuse to continue from a loss or gradient that is not finite; with float16, such a gradient is skipped."""
        if math.isfinite(loss) and (math.isfinite(norm) or self.options.precision == "16"):
            return
        kept = f"; {self.checkpoint_path} is from before" if self.checkpoint_path.exists() else ""
        raise HeedfulError(
            f"at step {step} the loss was {loss:g} and the gradient's norm {norm:g}; "
            f"lower the learning rate or set gradient_clip{kept}"
        )

    # --- validation ---

    def validation_due(self) -> bool:
        """Whether the present step is to be validated and has not been."""
        state, every = self.train_state, self.options.validate_every
        due = state.step % every == 0 if every else state.offset == 0
        return due and state.step > 0 and state.validated != state.step

    def measure(self, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
        """The metrics of the model as it is; with one process, a signal meanwhile raises KeyboardInterrupt at once."""
        reseed(self.engine.device, self.engine.seed, self.train_state.step, 1)
        self.model.eval()
        try:
            alone = self.processes.count == 1
            with self.interruption.at_once(alone), torch.no_grad(), self.engine.fabric.autocast():
                metrics = {name: float(value) for name, value in self.validator(self.model).items()}
                metrics = self.processes.from_first(metrics)
                for callback in callbacks if self.processes.first else ():
                    callback.on_validation(self.train_state.step, self.model, metrics)
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
        self.engine.publish()
        try:
            metrics = self.measure(self.callbacks)
        except KeyboardInterrupt:
            self.checkpoint()
            raise self.interrupted() from None
        self.now, _ = self.processes.agree(time.monotonic(), False)
        state = self.train_state
        state.seconds = self.seconds
        better = state.take(metrics, self.options)
        if self.processes.first and (better or state.recent):
            self.weights.save(state.step, self.model.state_dict())
        self.logger.write_validation(state, metrics, "step", better)
        self.checkpoint()
        if self.processes.first:
            self.weights.keep_only({state.best_step, *state.recent})

    # --- checkpoints and the end ---

    def checkpoint(self) -> None:
        """Write all that is needed to go on from here; first the rows that lead here."""
        self.flush()
        self.train_state.seconds = self.seconds
        content = {
            **self.engine.state(),
            "train_state": asdict(self.train_state),
            "made_with": {"seed": self.engine.seed, **self.options.model_dump()},
        }
        if self.processes.first:
            self.logger.records.flush()
            save(content, self.checkpoint_path)
        self.saved, self.kept_step = self.now, self.train_state.step

    @contextmanager
    def told_what_is_kept(self) -> Iterator[None]:
        """Turn a failed write into an error that says from which checkpoint the run can continue."""
        try:
            yield
        except OSError as error:
            what = (
                str(error) if isinstance(error, OutputError) else f"cannot write {self.checkpoint_path.parent}: {error}"
            )
            if self.kept_step is not None:
                what += f"; the checkpoint of step {self.kept_step} is whole, and the same command goes on from it"
            raise OutputError(what) from error

    def restore(self) -> int | None:
        """Go to where the folder's checkpoint stands, and say at which step, if it holds one."""
        if not self.checkpoint_path.exists():
            return None
        content = load(self.checkpoint_path)
        try:
            made_with = content["made_with"]
            self.check_same(made_with)
            self.train_state = TrainState(**content["train_state"])
            self.engine.load(content)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, RecipeError):
                raise
            raise ModelFolderError(
                f"{self.checkpoint_path} holds another model or is of another version of heedful; "
                "choose another output folder, or delete the file to begin afresh"
            ) from error
        return self.train_state.step

    def check_same(self, made_with: Mapping[str, object]) -> None:
        """Refuse to go on with other options than those the run was begun with."""
        now = {"seed": self.engine.seed, **self.options.model_dump()}
        for name in now:
            if name not in FREE_OPTIONS and made_with.get(name) != now[name]:
                raise RecipeError(
                    f"{name} is {now[name]}, but the run in {self.checkpoint_path.parent} was begun with "
                    f"{made_with.get(name)}; give the same value to go on with it, or choose another output folder"
                )

    def interrupted(self) -> TrainingInterrupted:
        """What to raise once a checkpoint lies there."""
        message = f"Stopped at step {self.train_state.step}; the same command goes on from {self.checkpoint_path}."
        self.logger.say(message)
        return TrainingInterrupted(message)

    def finish(self) -> TrainingResult:
        """Validate the last step if need be, try the mean of the last checkpoints, and load whichever is best."""
        state, stopped = self.train_state, self.train_state.limit_reached(self.options, self.seconds)
        if state.validated != state.step:
            self.validate()
        self.processes.wait()
        metrics, averaged = state.best_metrics, False
        if len(state.recent) > 1:
            self.model.load_state_dict(average_weights(self.weights.load(step) for step in state.recent))
            try:
                of_mean = self.measure()
            except KeyboardInterrupt:
                raise self.interrupted() from None
            averaged = state.is_better(of_mean, self.options)
            self.logger.write_validation(state, of_mean, "average", averaged)
            metrics = of_mean if averaged else metrics
        if not averaged:
            self.model.load_state_dict(self.weights.load(state.best_step))
        self.model.eval()
        kept = "the mean of the last checkpoints" if averaged else f"step {state.best_step}"
        self.logger.records.flush()
        self.logger.say(f"Ended by {stopped} at step {state.step} after {self.seconds:.0f} s; kept {kept}.")
        return TrainingResult(str(stopped), state.step, state.epoch, self.seconds, state.best_step, averaged, metrics)
