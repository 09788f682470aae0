"""Hard choices: the best key alone, with or without a gradient (Bengio, Léonard and Courville 2013)."""

import math
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import BENGIO_2013
from heedful.functional import masked_softmax

from .base import Normalizer, erase, finite_rows


def hardmax(
    scores: Float[Tensor, "batch queries keys"], mask: Bool[Tensor, "#batch #queries #keys"] | None
) -> Float[Tensor, "batch queries keys"]:
    """1 at the first visible key of the largest score, 0 elsewhere; without a gradient.

    >>> import torch
    >>> hardmax(torch.tensor([[[1.0, 3.0, 3.0]]]), None)
    tensor([[[0., 1., 0.]]])
    """
    if not scores.shape[-1]:
        return scores.detach()
    finite, hidden = finite_rows(scores.detach(), mask, below=1.0)
    best = finite == finite.amax(-1, keepdim=True)
    # ties go to the lowest place on every device
    first = best & (best.cumsum(-1) == 1)
    return erase(first.to(scores.dtype), hidden)


class HardmaxNormalizer(Normalizer):
    """`weights = 1` at the first visible key of the largest score, 0 elsewhere; no gradient reaches the scores.

    Cost: time queries * keys; memory queries * keys.

    >>> import torch
    >>> HardmaxNormalizer()(torch.tensor([[[1.0, 3.0, 2.0]]]), None)[0]
    tensor([[[0., 1., 0.]]])
    """

    source = BENGIO_2013(place="section 1")
    chooses = True

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return hardmax(scores, mask), state


class StraightThroughNormalizer(Normalizer):
    """`weights = hardmax(scores)`, with the gradient of `softmax(scores / temperature)`.

    In evaluation mode, too, where the gradient may be asked for.

    Args:
        temperature: of the softmax that lends its gradient.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: the temperature is not a positive number.

    >>> import torch
    >>> scores = torch.tensor([[[1.0, 3.0, 2.0]]], requires_grad=True)
    >>> StraightThroughNormalizer()(scores, None)[0].detach()
    tensor([[[0., 1., 0.]]])
    """

    source = BENGIO_2013(place="section 3, straight-through estimator")
    chooses = True

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        _refusals.check_numbers(temperature=temperature)
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; expected a number above 0 (1 changes nothing).")
        self.temperature = temperature

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        soft = masked_softmax(scores / self.temperature, mask)
        # the bracket is exactly 0, so that the value stays exactly 0 or 1
        return hardmax(scores, mask) + (soft - soft.detach()), state
