"""Learning-rate schedules: pure functions of how far a run has come, so that none has a state of its own to restore.

Each returns the factor by which the peak learning rate is multiplied. Warm-up is linear in steps and multiplies the
decay, which runs over the whole training; the inverse square root is that of Vaswani et al. 2017, section 5.3, scaled
to 1 at the end of the warm-up.
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a training has come.

    Args:
        step: Number of the coming update, from 1.
        fraction: Part of the whole training already done, in [0, 1]: of its steps, epochs or seconds, whichever is
            nearest to its limit; 0 where there is no limit.
        cuts: What the plateaus met so far have multiplied the rate by.
    """

    step: int
    fraction: float
    cuts: float = 1.0


def warmup(progress: Progress, warmup_steps: int) -> float:
    """Linear rise that reaches 1 at step `warmup_steps`, then 1.

    >>> warmup(Progress(step=5, fraction=0.0), warmup_steps=20)
    0.25
    """
    return min(1.0, progress.step / warmup_steps) if warmup_steps else 1.0


def constant(progress: Progress, warmup_steps: int = 0) -> float:
    """Warm-up, then the peak rate to the end.

    >>> constant(Progress(step=900, fraction=0.9))
    1.0
    """
    return warmup(progress, warmup_steps)


def inverse_sqrt(progress: Progress, warmup_steps: int = 0) -> float:
    """Warm-up, then a fall with one over the square root of the step.

    >>> inverse_sqrt(Progress(step=400, fraction=0.1), warmup_steps=100)
    0.5
    """
    peak = max(1, warmup_steps)
    return min(progress.step / peak, math.sqrt(peak / progress.step))


def cosine(progress: Progress, warmup_steps: int = 0) -> float:
    """Half a cosine over the whole training, down to zero at its end, times the warm-up.

    >>> round(cosine(Progress(step=500, fraction=0.5), warmup_steps=100), 6)
    0.5
    """
    return warmup(progress, warmup_steps) * (1 + math.cos(math.pi * min(1.0, progress.fraction))) / 2


def linear(progress: Progress, warmup_steps: int = 0) -> float:
    """A straight line over the whole training, down to zero at its end, times the warm-up.

    >>> linear(Progress(step=500, fraction=0.75), warmup_steps=100)
    0.25
    """
    return warmup(progress, warmup_steps) * (1 - min(1.0, progress.fraction))


def plateau(progress: Progress, warmup_steps: int = 0) -> float:
    """Warm-up, then the peak rate, cut wherever the validations stop getting better.

    >>> plateau(Progress(step=900, fraction=0.9, cuts=0.25))
    0.25
    """
    return warmup(progress, warmup_steps) * progress.cuts


SCHEDULES: dict[str, Callable[[Progress, int], float]] = {
    "constant": constant,
    "inverse_sqrt": inverse_sqrt,
    "cosine": cosine,
    "linear": linear,
    "plateau": plateau,
}
