"""Loss, schedules, the training loop, checkpoints, records."""

from .averaging import average_weights
from .feed import Batches, Feed
from .interruption import TrainingInterrupted
from .loop import Callback, TrainingResult, train
from .losses import Loss, label_smoothed_cross_entropy, sequence_loss
from .options import Ramp, TrainingOptions
from .validation import validation_loss

__all__ = [
    "Batches",
    "Callback",
    "Feed",
    "Loss",
    "Ramp",
    "TrainingInterrupted",
    "TrainingOptions",
    "TrainingResult",
    "average_weights",
    "label_smoothed_cross_entropy",
    "sequence_loss",
    "train",
    "validation_loss",
]
