"""Two simple forecasts that every other must beat: the last value, and one linear map for all series.

The linear map goes from the differences to the last value to those of the steps to come, as NLinear does (Zeng et al.
2023, "Are Transformers effective for time series forecasting?", section 4, https://arxiv.org/abs/2205.13504), but is
solved in closed form: least squares with a ridge.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

# by how much of the mean square of an input the ridge is; validation chooses
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)


def last_value(inputs: Float[Tensor, "batch window series"], horizon: int) -> Float[Tensor, "batch horizon series"]:
    """The last value of each series, again and again.

    >>> last_value(torch.tensor([[[1.0], [4.0]]]), horizon=3).flatten().tolist()
    [4.0, 4.0, 4.0]
    """
    return inputs[:, -1:].expand(-1, horizon, -1)


def linear_forecast(
    inputs: Float[Tensor, "batch window series"], weight: Float[Tensor, "window horizon"]
) -> Float[Tensor, "batch horizon series"]:
    """`last + weight^T (inputs - last)` of each series.

    >>> linear_forecast(torch.tensor([[[1.0], [4.0]]]), torch.tensor([[2.0], [9.0]])).item()  # 4 + 2 (1 - 4)
    -2.0
    """
    last = inputs[:, -1:]
    return last + torch.einsum("bws,wh->bhs", inputs - last, weight)


def fit_linear(
    learn: Iterable[tuple[Tensor, Tensor]],
    choose: Sequence[tuple[Tensor, Tensor]],
    ridges: Sequence[float] = RIDGES,
) -> Float[Tensor, "window horizon"]:
    """The weight of `linear_forecast` with the least squared error, under the ridge that is best on other windows.

    Args:
        learn: inputs `[batch, window, series]` and answers `[batch, horizon, series]`, batch after batch.
        choose: likewise, to choose the ridge by.
        ridges: to choose from, as parts of the mean square of an input.

    Returns:
        `[window, horizon]`, float64.

    Raises:
        ValueError: there is nothing to learn from.

    >>> rows = torch.sin(torch.arange(50.0)).unfold(0, 4, 1).unsqueeze(-1)
    >>> weight = fit_linear([(rows[:, :3], rows[:, 3:])], [(rows[:, :3], rows[:, 3:])])
    >>> bool((linear_forecast(rows[:, :3].double(), weight) - rows[:, 3:]).abs().max() < 1e-3)
    True
    """
    gram, moment, count = None, None, 0
    for seen, answers in learn:
        own, ahead = _differences(seen, answers)
        if gram is None or moment is None:
            gram, moment = own.new_zeros(own.shape[1], own.shape[1]), own.new_zeros(own.shape[1], ahead.shape[1])
        gram += own.T @ own
        moment += own.T @ ahead
        count += len(own)
    if gram is None or moment is None:
        raise ValueError("there is no window to learn from; give at least one")
    mean = gram.diagonal().mean().clamp_min(1e-12)
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    found = [torch.linalg.solve(gram + ridge * mean * identity, moment) for ridge in ridges]
    return min(found, key=lambda weight: _squared_error(weight, choose))


def _differences(seen: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """To the last value, a row for each window and series: `[batch * series, window]` and `[.., horizon]`."""
    last = seen[:, -1:].double()
    both = (seen.double() - last, answers.double() - last)
    own, ahead = (one.transpose(1, 2).flatten(0, 1) for one in both)
    return own, ahead


def _squared_error(weight: Tensor, windows: Sequence[tuple[Tensor, Tensor]]) -> float:
    return sum(float((own @ weight - ahead).square().sum()) for own, ahead in (_differences(*one) for one in windows))
