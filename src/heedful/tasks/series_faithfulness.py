"""Whether the rows that a forecaster looked at are what it needed: they take the mean of the window."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from heedful._errors import DataError
from heedful._pytree import repeat
from heedful.metrics.faithfulness import faithfulness, rank_agreement
from heedful.models import DualStageForecaster
from heedful.models.seq2seq import mean_of_heads

from .faithfulness import ATTENTION, GRADIENT, LEFT_OUT, Faithful, has_values, mean_faithful, scaled
from .forecasting import Forecaster
from .looking import evaluated

# steps to come that are measured, spread evenly from the first to the last
STEPS = 12
# what the numbers are
OF_FORECASTS = "by how much the forecast changes, in deviations"


def forecaster_faithfulness(
    forecaster: Forecaster, inputs: Float[Tensor, "window series"], draws: int = 10
) -> dict[str, Faithful]:
    """Measure attention and gradient x attention over the rows of one window.

    What is erased is what the decoder looks at: a row, or a patch of rows where the encoder reads them so. Every series
    takes its mean over the window there, and nothing of the network reads what stood there, nor does the attention to
    the series. The simple forecast that the network adds to, and the last values that the encoder takes out, look at
    nothing and keep the whole window.

    A forecast has no chance to lose. What is measured is by how much the forecast of a step to come changes, the
    absolute difference, mean over the series, in units of the deviation in training: comprehensiveness is the change
    without the rows of the largest scores (large where they were needed), sufficiency that with these alone (small
    where they were enough), and what agreement compares with is the change without each alone. Gradient x attention is
    the mean over the series of `|w * d forecast / d w|`; where a look is fed to the next step, it counts there, too.

    Args:
        forecaster: with attention to the rows.
        inputs: the window in the forecaster's unit, `[window, series]`.
        draws: random orders beside which the scores stand.

    Returns:
        The measures by name of the scores, means over up to 12 steps to come, from the first to the last; the last are
        those of erasing one row alone, for comparison.

    Raises:
        DataError: there is no attention.
    """
    model = forecaster.model
    gaps = (inputs - inputs[-1:]).unsqueeze(0).to(model.mean.device)
    with evaluated(model):
        looked = model.say(model.read(gaps)[0], need_weights=True).weights
    if looked is None:
        raise DataError("The model has no attention to measure; give one that looks at the rows, model.attention.")
    steps = np.unique(np.linspace(0, model.horizon - 1, min(STEPS, model.horizon)).round().astype(int))
    attention = mean_of_heads(looked)[0].double().cpu().numpy()[steps]
    kinds = {ATTENTION: attention, GRADIENT: _gradients(model, gaps, steps)}
    changes, places = _Changes(model, gaps), range(attention.shape[1])
    alone = changes([[other for other in places if other != place] for place in places])
    found: dict[str, list[Faithful]] = {}
    for number, step in enumerate(steps):
        # what differs by rounding alone is equal
        worth = alone[:, step].round(5)
        own = {name: scores[number] for name, scores in kinds.items() if scores is not None}
        for name, scores in (own | {LEFT_OUT: worth}).items():
            one = faithfulness(lambda rows, step=step: -changes(rows)[:, step, None], places, scores, draws=draws)
            measured = Faithful(one.comprehensiveness, one.sufficiency, rank_agreement(scores, worth))
            found.setdefault(name, []).append(measured)
    return {name: mean_faithful(measured) for name, measured in found.items()}


@dataclass(frozen=True)
class _Changes:
    """By how much each step to come changes where some patches alone are left: `[sets, horizon]`."""

    model: DualStageForecaster
    gaps: Float[Tensor, "1 window series"]
    # the random orders are those of every step to come
    known: dict[frozenset[int], np.ndarray] = field(default_factory=dict)

    def __call__(self, kept: list[list[int]]) -> np.ndarray:
        rows = [frozenset(row) for row in kept]
        new = [row for row in dict.fromkeys(rows) if row not in self.known]
        if new:
            patch = self.model.encoder.patch
            whole = self.gaps.unflatten(1, (-1, patch))
            left = torch.zeros(1 + len(new), whole.shape[1], dtype=torch.bool, device=whole.device)
            left[0] = True
            for number, row in enumerate(new, start=1):
                left[number, list(row)] = True
            seen = torch.where(left[..., None, None], whole, self.gaps.mean(1)[:, None, None])
            with evaluated(self.model):
                said = self.model.output(self.model.say(self.model.read(seen.flatten(1, 2))[0]).features).double()
            self.known.update(zip(new, (said[1:] - said[:1]).abs().mean(2).cpu().numpy(), strict=True))
        return np.stack([self.known[row] for row in rows])


def _gradients(model: DualStageForecaster, gaps: Tensor, steps: np.ndarray) -> np.ndarray | None:
    """That of each patch for each step, `[steps, patches]`, as the gradient by a factor on its value, if it has any."""
    series, count = torch.arange(gaps.shape[2]), len(steps)
    with evaluated(model, gradients=True):
        with torch.no_grad():
            encoded, _ = model.read(gaps)
        if not has_values(encoded.memory):
            return None
        # a batch item for each number that is forecast, with a factor of its own
        encoded = repeat(encoded, count * len(series))
        keys = gaps.shape[1] // model.encoder.patch
        factor = torch.ones(count * len(series), keys, 1, device=gaps.device, requires_grad=True)
        encoded = replace(encoded, memory=scaled(encoded.memory, factor))
        said = model.output(model.say(encoded).features).unflatten(0, (count, -1))
        picked = said[torch.arange(count)[:, None], series, torch.from_numpy(steps)[:, None], series]
        (gradient,) = torch.autograd.grad(picked.sum(), factor)
    return gradient[..., 0].unflatten(0, (count, -1)).abs().mean(1).double().cpu().numpy()
