"""Stepwise monotonic attention: each query stays at its key or moves on by exactly one (He, Deng and He 2019)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import HE_2019

from ._alignment import as_place, first_place, grown, kept_where_empty, last_place, moved, one_hot, readable
from .base import Ask, Normalizer


def stepwise_weights(
    energy: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    previous: Float[Tensor, "batch keys"],
    absorb: bool = False,
) -> Float[Tensor, "batch keys"]:
    """`weights[j] = previous[j] p[j] + previous[j - 1] (1 - p[j - 1])`, `p = sigmoid(energy)` the chance to stay.

    >>> stepwise_weights(torch.zeros(1, 3), torch.tensor([[True, True, True]]), torch.tensor([[0.0, 1.0, 0.0]]))
    tensor([[0.0000, 0.5000, 0.5000]])
    """
    stay, go = torch.sigmoid(energy), torch.sigmoid(-energy)
    if absorb:
        last = one_hot(last_place(visible), energy).bool()
        stay, go = torch.where(last, 1.0, stay), torch.where(last, 0.0, go)
    return torch.where(visible, previous * stay + moved(previous * go), 0.0)


class StepwiseNormalizer(Normalizer):
    """`weights[q, j] = weights[q - 1, j] p[j] + weights[q - 1, j - 1] (1 - p[j - 1])`, with `p = sigmoid(scores)`.

    Here `p` is the chance to stay, in `MonotonicNormalizer` that to stop. It begins at the first visible key, before
    the first query stays or moves. What moves past the last visible key, or onto a hidden one, is gone: rows sum to at
    most 1. In evaluation mode, with `hard`, each query stays at `p >= 0.5` and otherwise moves by one, at the last
    visible key not at all; in a long memory no other key is scored. One query at a time: a call over many scans them.

    Args:
        noise: standard deviation of the normal noise on the scores, in training mode only.
        hard: choose one key in evaluation mode; otherwise the expectation there, too, without noise.
        absorb: keep at the last visible key what would leave it; not in the paper.

    State: in evaluation mode with `hard`, the place of the last choice `[batch]`; otherwise the last weights
    `[batch, keys]`.

    Cost: time queries * keys, one query after another; memory queries * keys.

    Raises:
        ValueError: the noise is negative.

    >>> normalizer = StepwiseNormalizer().eval()
    >>> weights, state = normalizer(torch.tensor([[[-1.0, 2.0, 3.0]]]), None)
    >>> normalizer(torch.tensor([[[5.0, 1.0, 3.0]]]), None, state)
    (tensor([[[0., 1., 0.]]]), tensor([1]))
    """

    source = HE_2019(place="equation 8")
    stateful = True
    reads_log_odds = True

    def __init__(self, noise: float = 2.0, hard: bool = True, absorb: bool = False) -> None:
        super().__init__()
        _refusals.check_numbers(noise=noise)
        if not noise >= 0:
            raise ValueError(f"noise is {noise}; expected a standard deviation from 0 (no noise) up.")
        self.noise, self.hard, self.absorb = noise, hard, absorb

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """The first visible place, or all weight there."""
        place = first_place(visible)
        return place if self.hard and not self.training else one_hot(place, visible.to(dtype))

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
        weights = stepwise_weights(energy, visible, previous, self.absorb)
        return weights.unsqueeze(1), kept_where_empty(weights, previous, visible)

    @property
    def online(self) -> bool:
        return self.hard and not self.training

    def choose(
        self, ask: Ask, visible: Bool[Tensor, "batch keys"], state: Any = None
    ) -> tuple[Int[Tensor, "batch 1"], Float[Tensor, "batch 1"], Any]:
        start = self.begin(visible) if state is None else as_place(state)
        here = start.unsqueeze(1)
        energy = ask(torch.arange(len(start), device=start.device), here)[:, 0]
        goes = (visible.gather(1, here) & (energy < 0)).squeeze(1) & (start != last_place(visible))
        place = kept_where_empty(start + goes, start, visible)
        return place.unsqueeze(1), visible.gather(1, place.unsqueeze(1)).to(energy.dtype), place

    @staticmethod
    def _choose(energy: Tensor, visible: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        moves = (one_hot(start, energy).bool() & (energy < 0)).any(1) & (start != last_place(visible))
        place = kept_where_empty(start + moves, start, visible)
        weights = torch.where(visible, one_hot(place, energy), 0.0)
        return weights.unsqueeze(1), place
