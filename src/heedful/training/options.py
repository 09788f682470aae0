"""Options of a training run."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# A run may go on with other values of these: where it ends, and where and how fast it runs.
LIMITS = frozenset({"max_epochs", "max_steps", "max_seconds", "patience"})
FREE_OPTIONS = LIMITS | {
    "average_last",
    "checkpoint_minutes",
    "compile",
    "device",
    "devices",
    "nodes",
    "tensorboard",
}
# YAML reads 32 without quotes as a number
Precision = Annotated[
    Literal["32", "bf16", "16"], BeforeValidator(lambda given: str(given) if type(given) is int else given)
]
LOWER_IS_BETTER = frozenset({"loss", "mae", "mse", "perplexity", "ter", "wer", "per", "cer"})


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
        tokens_per_batch: Real target tokens in a batch, of forecasts rows that are seen and forecast; the code that
            makes batches reads it, the loop does not. With more processes, each takes its share of every batch.
        accumulate: Batches whose gradients make one update; the last update of an epoch may have fewer.
        optimizer: "adamw", "adam" (whose weight decay is part of the gradient), "rmsprop" or "sgd".
        learning_rate: Peak learning rate.
        decoder_learning_rate: Peak rate of all that is not the encoder; None: the same.
        schedule: How the rates move, see `heedful.training.schedules`.
        warmup_steps: Steps in which the rates rise from 0 to their peak.
        plateau_patience: Validations without improvement after which the schedule "plateau" lowers the rates.
        plateau_factor: What it multiplies them by.
        betas: Decay rates of Adam, of the mean and of the mean square of the gradient; RMSprop has the second alone.
        momentum: Of SGD.
        weight_decay: Decay of the weights, as the optimiser means it.
        gradient_clip: Largest norm of the whole gradient; None leaves it as it is.
        ema: Decay of the exponential moving average of the weights, such as 0.999; that average is then what is
            validated and kept. None: the weights themselves.
        label_smoothing: Probability spread over the vocabulary in the training loss, in [0, 1).
        teacher_forcing: Probability that the decoder is fed the right token and not its own, which moves from `start`
            to `end` over the training: scheduled sampling (Bengio et al. 2015, section 2.4). None: always the right
            one.
        validate_every: Steps between validations; None validates at the end of each epoch.
        best_by: The metric of the validation that picks the best checkpoint: "loss", "bleu" or another of its names.
        patience: Validations without improvement after which the run ends.
        average_last: Number of last validated checkpoints whose mean is tried at the end; 0 or 1 tries none.
        checkpoint_minutes: Minutes between checkpoints; each validation writes one besides.
        tensorboard: Whether the records are also written for TensorBoard.
        device: "auto", "cpu", "cuda" or "mps".
        precision: "32"; "bf16" or "16" for products in bfloat16 or float16 beside float32 weights. "16" needs a GPU.
        compile: Whether `torch.compile` makes the model faster, for a slow start.
        devices: Processes on this machine, one for each device.
        nodes: Machines that take part, each with as many devices.
        strategy: "ddp": every process holds the model; "fsdp": the weights, gradients and moments are shared out.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    tokens_per_batch: int = Field(default=4000, gt=0)
    accumulate: int = Field(default=1, gt=0)
    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    decoder_learning_rate: float | None = Field(default=None, gt=0)
    schedule: Literal["constant", "inverse_sqrt", "cosine", "linear", "plateau"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    plateau_patience: int = Field(default=1, gt=0)
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip: float | None = Field(default=1.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    teacher_forcing: Ramp | None = None
    max_epochs: int | None = Field(default=None, gt=0)
    max_steps: int | None = Field(default=None, gt=0)
    max_seconds: float | None = Field(default=None, gt=0)
    validate_every: int | None = Field(default=None, gt=0)
    best_by: str = "loss"
    patience: int | None = Field(default=None, gt=0)
    average_last: int = Field(default=0, ge=0)
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    tensorboard: bool = True
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Precision = "32"
    compile: bool = False
    devices: int = Field(default=1, gt=0)
    nodes: int = Field(default=1, gt=0)
    strategy: Literal["ddp", "fsdp"] = "ddp"

    @model_validator(mode="after")
    def _ends(self) -> "TrainingOptions":
        if self.max_epochs is self.max_steps is self.max_seconds is self.patience is None:
            raise ValueError("nothing would ever end it; set max_epochs, max_steps, max_seconds or patience")
        if self.schedule in ("cosine", "linear") and self.max_epochs is self.max_steps is self.max_seconds is None:
            raise ValueError(f"schedule {self.schedule!r} falls to its limit; set max_epochs, max_steps or max_seconds")
        if self.precision == "16" and self.device == "cpu":
            raise ValueError("precision '16' needs a GPU; set precision: bf16, or another device")
        if self.strategy == "fsdp" and (self.ema or self.precision == "16"):
            raise ValueError(
                "strategy 'fsdp' goes neither with ema nor with precision '16'; take them out, or use 'ddp'"
            )
        return self

    def is_better(self, value: float, best: float) -> bool:
        """Whether a value of the metric `best_by` beats the best so far; NaN beats nothing."""
        return value < best if self.best_by in LOWER_IS_BETTER else value > best
