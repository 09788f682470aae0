"""Forecasters as one graph: rows of a table to the rows that come, both in its units, and what was looked at."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful.models import DualStageForecaster
from heedful.models.seq2seq import mean_of_heads

from .programs import Graphs, one_graph


class ForecastGraph(nn.Module):
    """`rows [batch, window, series]` to `forecast [batch, horizon, series]` and the weights of both looks.

    Args:
        model: what is exported.
    """

    def __init__(self, model: DualStageForecaster) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Float[Tensor, "batch window series"]) -> dict[str, Tensor]:
        # in float64: a large level would leave few digits for what moves
        mean, deviation = self.model.mean.double(), self.model.deviation.double()
        found = self.model(((rows - mean) / deviation).float(), need_weights=True)
        looks = {} if found.weights is None else {"weights": mean_of_heads(found.weights)}
        looks |= {} if found.input_weights is None else {"input_weights": found.input_weights}
        return {"forecast": found.answer.double() * deviation + mean, **looks}


def forecaster_graph(model: DualStageForecaster) -> Graphs:
    """The graph of a forecaster, in evaluation."""
    window, series = model.window, model.encoder.num_series
    rows = torch.ones(2, window, series, dtype=torch.float64), ("batch", window, series)
    return one_graph(ForecastGraph(model), {"rows": rows})
