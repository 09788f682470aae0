"""What a training run can be told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOWER_IS_BETTER = frozenset({"loss", "perplexity", "ter", "wer", "cer"})


class Ramp(BaseModel):
    """A number that moves in a straight line from `start` to `end` over the whole training; both in [0, 1].

    >>> Ramp(start=1.0, end=0.5).at(fraction=0.5)
    0.75
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    start: float = Field(default=1.0, ge=0, le=1)
    end: float = Field(default=1.0, ge=0, le=1)

    def at(self, fraction: float) -> float:
        """The number after `fraction`, in [0, 1], of the training."""
        return self.start + (self.end - self.start) * fraction


class TrainingOptions(BaseModel):
    """Every choice of the training loop; `heedful.training.train` reads it.

    A run ends at the first limit it reaches of `max_epochs`, `max_steps`, `max_seconds` and `patience`; at least one
    must be set. Time counts validation, and adds up over resumed runs.

    Args:
        tokens_per_batch: Real target tokens in a batch; whoever makes the batches reads it, the loop does not.
        learning_rate: Peak learning rate of AdamW.
        schedule: How the rate moves, see `heedful.training.schedules`.
        warmup_steps: Steps in which the rate rises from 0 to its peak.
        betas: AdamW's two decay rates, of the mean and of the mean square of the gradient.
        weight_decay: AdamW's decoupled decay.
        gradient_clip: Largest norm of the whole gradient; None leaves it as it is.
        label_smoothing: Probability spread over the vocabulary in the training loss, in [0, 1).
        teacher_forcing: Probability that the decoder is fed the right token and not its own; None: always.
        validate_every: Steps between validations; None validates at the end of each epoch.
        best_by: The metric of the validation that picks the best checkpoint: "loss", "bleu" or another of its names.
        patience: Validations without improvement after which the run ends.
        average_last: Number of last validated checkpoints whose mean is tried at the end; 0 or 1 tries none.
        precision: "32", or "bf16" for bfloat16 products beside float32 weights.
        checkpoint_minutes: Minutes between checkpoints; each validation writes one besides.
        device: "auto", "cpu", "cuda" or "mps".
        tensorboard: Whether the records are also written for TensorBoard.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    tokens_per_batch: int = Field(default=4000, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "inverse_sqrt", "cosine", "linear"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float | None = Field(default=1.0, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    teacher_forcing: Ramp | None = None
    max_epochs: int | None = Field(default=None, gt=0)
    max_steps: int | None = Field(default=None, gt=0)
    max_seconds: float | None = Field(default=None, gt=0)
    validate_every: int | None = Field(default=None, gt=0)
    best_by: str = "loss"
    patience: int | None = Field(default=None, gt=0)
    average_last: int = Field(default=0, ge=0)
    precision: Literal["32", "bf16"] = "32"
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    tensorboard: bool = True

    @model_validator(mode="after")
    def _ends(self) -> "TrainingOptions":
        if self.max_epochs is self.max_steps is self.max_seconds is self.patience is None:
            raise ValueError("nothing would ever end it; set max_epochs, max_steps, max_seconds or patience")
        if self.schedule in ("cosine", "linear") and self.max_epochs is self.max_steps is self.max_seconds is None:
            raise ValueError(f"schedule {self.schedule!r} falls to its limit; set max_epochs, max_steps or max_seconds")
        return self

    def is_better(self, value: float, best: float) -> bool:
        """Whether a value of the metric `best_by` beats the best so far; NaN beats nothing."""
        return value < best if self.best_by in LOWER_IS_BETTER else value > best
