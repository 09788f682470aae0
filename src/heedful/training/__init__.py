"""Loss, schedules, the training loop, checkpoints, records."""

from heedful._memory import keep_freed_memory

from .averaging import average_weights
from .batches import Batches, DatasetBatches
from .interruption import TrainingInterrupted
from .latency import expected_delay, latency_loss
from .loop import Callback, TrainingResult, train
from .losses import (
    Loss,
    absolute_loss,
    binary_loss,
    label_loss,
    label_smoothed_cross_entropy,
    next_token_loss,
    sequence_loss,
    squared_loss,
)
from .options import Ramp, TrainingOptions
from .score_function import ScoreFunctionLoss, score_function_loss
from .validation import mean_loss, validation_loss

__all__ = [
    "Batches",
    "Callback",
    "DatasetBatches",
    "Loss",
    "Ramp",
    "ScoreFunctionLoss",
    "TrainingInterrupted",
    "TrainingOptions",
    "TrainingResult",
    "absolute_loss",
    "average_weights",
    "binary_loss",
    "expected_delay",
    "keep_freed_memory",
    "label_loss",
    "label_smoothed_cross_entropy",
    "latency_loss",
    "mean_loss",
    "next_token_loss",
    "score_function_loss",
    "sequence_loss",
    "squared_loss",
    "train",
    "validation_loss",
]
