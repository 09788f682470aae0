"""Monotonic attention: left to right, stop or go on; expected in training, hard at evaluation (Raffel et al. 2017)."""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import RAFFEL_2017
from heedful.functional import widen

from ._alignment import arrivals, as_place, first_place, grown, kept_where_empty, moved, one_hot, readable
from ._stops import first_stop, first_stop_online
from .base import Ask, Normalizer

Method = Literal["exact", "classic"]


def monotonic_weights(
    energy: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    previous: Float[Tensor, "batch keys"],
) -> Float[Tensor, "batch keys"]:
    """`weights[j] = p[j] q[j]`, `q[j] = (1 - p[j - 1]) q[j - 1] + previous[j]`, with `p = sigmoid(energy)`.

    A hidden key is passed.

    >>> always = torch.full((1, 3), 100.0)
    >>> monotonic_weights(always, torch.tensor([[False, True, True]]), torch.tensor([[1.0, 0.0, 0.0]]))
    tensor([[0., 1., 0.]])
    """
    # to key j from key j - 1
    passing = moved(torch.where(visible, torch.sigmoid(-energy), 1.0))
    return torch.where(visible, torch.sigmoid(energy) * arrivals(previous, passing), 0.0)


def classic_monotonic_weights(
    energy: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    previous: Float[Tensor, "batch keys"],
) -> Float[Tensor, "batch keys"]:
    """`weights = p c cumsum(previous / clip(c, 1e-10, 1))`, `c[j] = prod_{l < j} (1 - p[l])`: as tensorflow has it.

    Wrong where `c` falls below 1e-10: some 35 keys on with `p = 0.5`. For weights that were trained with it.

    >>> always = torch.full((1, 3), 100.0)
    >>> classic_monotonic_weights(always, torch.tensor([[False, True, True]]), torch.tensor([[1.0, 0.0, 0.0]]))
    tensor([[0., 1., 0.]])
    """
    # in float32 or wider: 1e-10 is 0 in float16
    energy, previous = widen(energy), widen(previous)
    passed = moved(torch.where(visible, torch.sigmoid(-energy), 1.0), 1.0).cumprod(1)
    arriving = passed * (previous / passed.clamp(1e-10, 1)).cumsum(1)
    return torch.where(visible, torch.sigmoid(energy) * arriving, 0.0)


_METHODS = {"exact": monotonic_weights, "classic": classic_monotonic_weights}


class MonotonicNormalizer(Normalizer):
    """`weights[q, j] = p[j] sum_{k <= j} weights[q - 1, k] prod_{k <= l < j} (1 - p[l])`, with `p = sigmoid(scores)`.

    Scores are log-odds of stopping: they need an offset that can be learned, as `NormalizedAdditiveScore` has, below 0
    where memories are long. Rows sum to at most 1: what reaches the end without a stop is gone, as in the paper. In
    training mode the weights are the expectation over noisy choices; in evaluation mode, with `hard`, each query takes
    the first key with `p >= 0.5` from the last stop on, weight 1, or none, weight 0. A query without a stop leaves the
    next one where it began; the paper does not say. One query at a time: a call over many scans them. Hard decoding
    takes linear time: in a long memory no key is scored before the last stop, and few after the next one. The sum is
    computed without the paper's division by a cumulative product, which loses all weight where that underflows: from
    some 35 keys on with `p = 0.5`.

    Args:
        noise: standard deviation of the normal noise on the scores, in training mode only.
        hard: choose one key in evaluation mode; otherwise the expectation there, too, without noise.
        lost: after a query without a stop, choose nothing any more (in evaluation mode), as in tensorflow's code.
        method: "exact", or "classic", the paper's division with tensorflow's limits: for comparison with it alone.

    State: in evaluation mode with `hard`, the place of the last stop `[batch]`; otherwise the last weights
    `[batch, keys]`.

    Cost: time queries * keys, one query after another; memory queries * keys.

    Raises:
        ValueError: the noise is negative, or the method is unknown.

    >>> normalizer = MonotonicNormalizer().eval()
    >>> weights, state = normalizer(torch.tensor([[[-1.0, 2.0, 3.0]]]), None)
    >>> normalizer(torch.tensor([[[5.0, -1.0, 3.0]]]), None, state)
    (tensor([[[0., 0., 1.]]]), tensor([2]))
    """

    source = RAFFEL_2017(place="equations 9 to 14")
    stateful = True
    reads_log_odds = True

    def __init__(self, noise: float = 1.0, hard: bool = True, lost: bool = False, method: Method = "exact") -> None:
        super().__init__()
        if method not in get_args(Method):
            raise _refusals.unknown_choice("method", method, get_args(Method))
        _refusals.check_numbers(noise=noise)
        if not noise >= 0:
            raise ValueError(f"noise is {noise}; expected a standard deviation from 0 (no noise) up.")
        self.noise, self.hard, self.lost, self.method = noise, hard, lost, method

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """The first place, or all weight on the first visible key."""
        if self.hard and not self.training:
            return visible.new_zeros(visible.shape[0], dtype=torch.long)
        return one_hot(first_place(visible), visible.to(dtype))

    def forward(
        self,
        scores: Float[Tensor, "batch 1 keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        energy, visible = readable(scores, mask)
        state = self.begin(visible, energy.dtype) if state is None else state
        if self.hard and not self.training:
            return self._choose(energy, visible, as_place(state))
        if self.training and self.noise:
            energy = energy + self.noise * torch.randn_like(energy)
        previous = grown(state, energy.shape[1])
        weights = _METHODS[self.method](energy, visible, previous)
        return weights.unsqueeze(1), kept_where_empty(weights, previous, visible)

    @property
    def online(self) -> bool:
        return self.hard and not self.training

    def choose(
        self, ask: Ask, visible: Bool[Tensor, "batch keys"], state: Any = None
    ) -> tuple[Int[Tensor, "batch 1"], Float[Tensor, "batch 1"], Any]:
        start = self.begin(visible) if state is None else as_place(state)
        place = first_stop_online(ask, visible, start)
        found = place < visible.shape[1]
        weights = found.to(torch.get_default_dtype()).unsqueeze(1)
        return torch.where(found, place, 0).unsqueeze(1), weights, self._after(place, start, visible)

    def _choose(self, energy: Tensor, visible: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        place = first_stop(energy, visible, start)
        return one_hot(place, energy).unsqueeze(1), self._after(place, start, visible)

    def _after(self, place: Tensor, start: Tensor, visible: Tensor) -> Tensor:
        after = place if self.lost else torch.where(place < visible.shape[1], place, start)
        return kept_where_empty(after, start, visible)
