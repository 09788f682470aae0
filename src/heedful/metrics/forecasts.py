"""How wrong forecasts are: mean squared and mean absolute error over windows, by the step that is forecast."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

import heedful

from .translation import Score

METRICS = ("mse", "mae")


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of the forecasts of all windows and series, by the step that is forecast.

    Attributes:
        squared: `[horizon]`, mean squares.
        absolute: `[horizon]`, mean magnitudes.
        windows: how many windows they are a mean over.
    """

    squared: np.ndarray
    absolute: np.ndarray
    windows: int

    def score(self, metric: str, of: str = "", facts: str = "") -> Score:
        """One number, the mean over all steps.

        Args:
            metric: "mse" or "mae".
            of: what made the forecasts, if not the model itself.
            facts: what else the signature says.

        >>> errors = Errors(np.array([1.0, 3.0]), np.array([1.0, 2.0]), windows=5)
        >>> errors.score("mae", of="the last value").name, errors.score("mse").value
        ('MAE of the last value', 2.0)
        """
        values = self.squared if metric == "mse" else self.absolute
        name = metric.upper() + (f" of {of}" if of else "")
        return Score(name, float(values.mean()), f"{facts}windows:{self.windows}|version:{heedful.__version__}")


def measure_errors(pairs: Iterable[tuple[Float[Tensor, "batch horizon series"], Tensor]]) -> Errors:
    """The errors of forecasts.

    Args:
        pairs: forecasts and what came, `[batch, horizon, series]` each, batch after batch.

    Raises:
        ValueError: there is none.

    >>> import torch
    >>> errors = measure_errors([(torch.zeros(1, 2, 1), torch.tensor([[[1.0], [3.0]]]))])
    >>> errors.squared.tolist(), errors.absolute.tolist()
    ([1.0, 9.0], [1.0, 3.0])
    """
    squared, absolute, count = np.zeros(()), np.zeros(()), 0
    for found, came in pairs:
        gaps = (found.double() - came.double()).cpu().numpy()
        squared = squared + (gaps**2).mean(2).sum(0)
        absolute = absolute + np.abs(gaps).mean(2).sum(0)
        count += len(gaps)
    if not count:
        raise ValueError("there is no forecast to measure; give at least one window")
    return Errors(squared / count, absolute / count, count)
