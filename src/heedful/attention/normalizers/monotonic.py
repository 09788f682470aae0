"""Monotonic attention: left to right, stop or go on; expected in training, hard at evaluation (Raffel et al. 2017)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from heedful.attention.source import RAFFEL_2017

from ._alignment import first_place, grown, kept_where_empty, one_hot, readable
from .base import Normalizer


def monotonic_weights(
    energy: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    previous: Float[Tensor, "batch keys"],
) -> Float[Tensor, "batch keys"]:
    """`weights[j] = p[j] q[j]`, `q[j] = (1 - p[j - 1]) q[j - 1] + previous[j]`, with `p = sigmoid(energy)`.

    All keys at once by doubling: only products and sums of numbers from 0 to 1, so that neither long memories nor large
    energies cost digits (in log space, float32 loses three of them at 2,000 keys). A hidden key is passed.

    >>> always = torch.full((1, 3), 100.0)
    >>> monotonic_weights(always, torch.tensor([[False, True, True]]), torch.tensor([[1.0, 0.0, 0.0]]))
    tensor([[0., 1., 0.]])
    """
    keys = energy.shape[1]
    # what arrives at key j from key j - 1, and the arrivals at j of all that began up to `reach` keys before
    passing = pad(torch.where(visible, torch.sigmoid(-energy), 1.0), (1, 0))[:, :keys]
    arriving, reach = previous, 1
    while reach < keys:
        arriving = arriving + passing * pad(arriving, (reach, 0))[:, :keys]
        passing = passing * pad(passing, (reach, 0))[:, :keys]
        reach *= 2
    return torch.where(visible, torch.sigmoid(energy) * arriving, 0.0)


def first_stop(
    energy: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], start: Int[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """The first visible key from `start` on with `p >= 0.5`, that is `energy >= 0`; the number of keys if none.

    >>> first_stop(torch.tensor([[1.0, -1.0, 2.0]]), torch.tensor([[True, True, True]]), torch.tensor([1]))
    tensor([2])
    """
    keys = energy.shape[1]
    places = torch.arange(keys, device=energy.device)
    stops = visible & (energy >= 0) & (places >= start.unsqueeze(1))
    return pad(torch.where(stops, places, keys), (0, 1), value=keys).amin(1)


def stop_online(score_of: Callable[[int], float], keys: int, start: int = 0) -> int | None:
    """`first_stop` for keys that arrive one by one: each is scored when its turn comes, none after the stop.

    Args:
        score_of: the score of the key of a number.
        keys: how many keys there are.
        start: where the last call stopped.

    Returns:
        the key chosen, `None` if there is none. Over a whole target that makes at most queries + keys scores when each
        query finds its key.

    >>> stop_online([-1.0, 2.0, 3.0].__getitem__, keys=3)
    1
    """
    return next((key for key in range(start, keys) if score_of(key) >= 0), None)


class MonotonicNormalizer(Normalizer):
    """`weights[q, j] = p[j] sum_{k <= j} weights[q - 1, k] prod_{k <= l < j} (1 - p[l])`, with `p = sigmoid(scores)`.

    Scores are log-odds of stopping: they need an offset that can be learned, as `NormalizedAdditiveScore` has, below 0
    where memories are long. Rows sum to at most 1: what reaches the end without a stop is gone, as in the paper. In
    training mode the weights are the expectation over noisy choices; in evaluation mode, with `hard`, each query takes
    the first key with `p >= 0.5` from the last stop on, weight 1, or none, weight 0. A query without a stop leaves the
    next one where it began; the paper does not say. One query at a time: a call over many scans them.

    Args:
        noise: standard deviation of the normal noise on the scores, in training mode only.
        hard: choose one key in evaluation mode; otherwise the expectation there, too, without noise.
        lost: after a query without a stop, choose nothing any more (in evaluation mode), as in tensorflow's code.

    State: in evaluation mode with `hard`, the place of the last stop `[batch]`; otherwise the last weights
    `[batch, keys]`.

    Raises:
        ValueError: the noise is negative.

    >>> normalizer = MonotonicNormalizer().eval()
    >>> weights, state = normalizer(torch.tensor([[[-1.0, 2.0, 3.0]]]), None)
    >>> normalizer(torch.tensor([[[5.0, -1.0, 3.0]]]), None, state)
    (tensor([[[0., 0., 1.]]]), tensor([2]))
    """

    source = RAFFEL_2017(place="equations 9 to 14")
    stateful = True
    reads_log_odds = True

    def __init__(self, noise: float = 1.0, hard: bool = True, lost: bool = False) -> None:
        super().__init__()
        if not noise >= 0:
            raise ValueError(f"noise is {noise}; expected a standard deviation from 0 (no noise) up.")
        self.noise, self.hard, self.lost = noise, hard, lost

    def forward(
        self,
        scores: Float[Tensor, "batch 1 keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        energy, visible = readable(scores, mask)
        if self.hard and not self.training:
            return self._choose(energy, visible, state)
        if self.training and self.noise:
            energy = energy + self.noise * torch.randn_like(energy)
        previous = one_hot(first_place(visible), energy) if state is None else grown(state, energy.shape[1])
        weights = monotonic_weights(energy, visible, previous)
        return weights.unsqueeze(1), kept_where_empty(weights, previous, visible)

    def _choose(self, energy: Tensor, visible: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        keys = energy.shape[1]
        start = energy.new_zeros(energy.shape[0], dtype=torch.long) if state is None else state
        place = first_stop(energy, visible, start)
        after = place if self.lost else torch.where(place < keys, place, start)
        return one_hot(place, energy).unsqueeze(1), kept_where_empty(after, start, visible)
