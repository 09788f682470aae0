"""Monotonic chunkwise attention: soft attention over the keys up to a monotonic stop (Chiu and Raffel 2018)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from heedful import _refusals
from heedful.attention.source import CHIU_2018
from heedful.functional import masked_softmax

from ._alignment import arrivals
from .base import Ask, Normalizer
from .monotonic import MonotonicNormalizer


def chunk_weights(
    stops: Float[Tensor, "batch keys"],
    energy: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    width: int,
) -> Float[Tensor, "batch keys"]:
    """`weights[j] = sum_k stops[k] share[k, j]`, share[k] the softmax of `energy` over the `width` keys that end at k.

    >>> chunk_weights(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool), 2)
    tensor([[0.0000, 0.5000, 0.5000]])
    """
    if not energy.shape[1]:
        return energy
    # row k: the keys k - width + 1 .. k, hidden before the first
    chunks, seen = (pad(each, (width - 1, 0)).unfold(1, width, 1) for each in (energy, visible))
    read = stops.unsqueeze(-1) * masked_softmax(chunks, seen)
    # key j is the last of chunk j, the last but one of chunk j + 1, ...
    later = pad(read.flip(-1), (0, 0, 0, width - 1)).unfold(1, width, 1)
    return later.diagonal(dim1=-2, dim2=-1).sum(-1)


def lookback_weights(
    stops: Float[Tensor, "batch keys"], energy: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"]
) -> Float[Tensor, "batch keys"]:
    """`chunk_weights` whose chunks begin at the first key (Arivazhagan et al. 2019), without a square of keys.

    >>> lookback_weights(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1, 3), torch.tensor([[False, True, True]]))
    tensor([[0.0000, 0.5000, 0.5000]])
    """
    # finite: the gradient of minus infinity would be NaN
    logits = torch.where(visible, energy, torch.finfo(energy.dtype).min / 4)
    total = torch.logcumsumexp(logits, 1)
    # of the share that key j has at stop k, so much is left at stop k + 1
    left = pad((total[:, :-1] - total[:, 1:]).exp(), (0, 1)) if energy.shape[1] else total
    arriving = arrivals(stops.flip(1), left.flip(1)).flip(1)
    return torch.where(visible, (logits - total).exp() * arriving, 0.0)


def behind_stop(
    stops: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], width: int | None
) -> Bool[Tensor, "batch keys"]:
    """The visible ones of the `width` keys, or of all, that end at the one stop of each row; none without a stop.

    >>> behind_stop(torch.tensor([[0.0, 0.0, 1.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool), 2)
    tensor([[False,  True,  True, False]])
    """
    reached = stops.flip(1).cumsum(1).flip(1) > 0
    if width is not None:
        reached = reached & ~pad(reached, (0, width))[:, width:]
    return visible & reached


class ChunkwiseNormalizer(Normalizer):
    """`weights[j] = sum_{j <= k < j + width} a[k] exp u[j] / sum_{k - width < l <= k} exp u[l]`, a: monotonic stops.

    Reads two scores of each key, as `PairedScore` gives them: log-odds of stopping there, from which
    `MonotonicNormalizer` has the chances a, and u, how alike. Rows sum to the sum of a. In evaluation mode, with
    `hard`, it stops at one key or none, and what is left is a softmax over one chunk. One query at a time: a call over
    many scans them.

    Args:
        width: keys of a chunk; `None` reaches back to the first key (monotonic infinite lookback, Arivazhagan 2019).
        noise: standard deviation of the normal noise on the log-odds, in training mode only.
        hard: stop at one key in evaluation mode; otherwise the expectation there, too, without noise.

    State: that of `MonotonicNormalizer`, in training the chances a of the last query `[batch, keys]`.

    Cost: time queries * keys * width, one query after another; memory queries * keys * width.

    Raises:
        ValueError: the noise is negative, or `width` is not a whole number from 1 up.

    >>> scores = torch.tensor([[[-1.0, -1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0]]])
    >>> ChunkwiseNormalizer(width=2).eval()(scores, None)
    (tensor([[[0.0000, 0.5000, 0.5000, 0.0000]]]), tensor([2]))
    """

    source = CHIU_2018(place="equations 14 to 26, algorithm 1")
    stateful = True
    energies = 2
    reads_log_odds = True

    def __init__(self, width: int | None = 2, noise: float = 1.0, hard: bool = True) -> None:
        super().__init__()
        if width is not None and (not isinstance(width, int) or isinstance(width, bool) or width < 1):
            raise _refusals.no_size("width", width)
        self.width = width
        self.monotonic = MonotonicNormalizer(noise, hard)

    @property
    def online(self) -> bool:
        return self.monotonic.online and self.width is not None

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """That of `MonotonicNormalizer`."""
        return self.monotonic.begin(visible, dtype)

    def forward(
        self,
        scores: Float[Tensor, "batch 2 keys"],
        mask: Bool[Tensor, "#batch 1 #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        seen = (scores != -torch.inf).all(1, keepdim=True)
        seen = seen if mask is None else seen & mask
        stops, state = self.monotonic(scores[:, :1], seen, state)
        visible, stops = seen.squeeze(1), stops.squeeze(1)
        energy = torch.where(visible, scores[:, 1], 0.0)
        if self.monotonic.hard and not self.training:
            weights = masked_softmax(energy, behind_stop(stops, visible, self.width))
        elif self.width is None:
            weights = lookback_weights(stops, energy, visible)
        else:
            weights = chunk_weights(stops, energy, visible, self.width)
        return weights.unsqueeze(1), state

    def choose(
        self, ask: Ask, visible: Bool[Tensor, "batch keys"], state: Any = None
    ) -> tuple[Int[Tensor, "batch some"], Float[Tensor, "batch some"], Any]:
        stop, found, state = self.monotonic.choose(ask, visible, state)
        places = stop + torch.arange(1 - (self.width or 1), 1, device=stop.device)
        inside, places = places >= 0, places.clamp_min(0)
        energy = ask(torch.arange(len(stop), device=stop.device), places)[:, 1:]
        seen = inside & visible.gather(1, places) & (found > 0)
        return places, masked_softmax(energy, seen.unsqueeze(1)).squeeze(1), state
