"""Gumbel-softmax: a nearly one-hot sample with a gradient (Jang, Gu and Poole 2017; Maddison, Mnih and Teh 2017)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import JANG_2017
from heedful.functional import masked_softmax

from .base import Normalizer
from .hard import hardmax


def gumbel_like(scores: Float[Tensor, "*batch keys"]) -> Float[Tensor, "*batch keys"]:
    """Standard Gumbel noise `-log(-log U)`; scores with it are largest at key `k` with chance `softmax(scores)[k]`.

    >>> _ = torch.manual_seed(0)
    >>> best = (torch.tensor([2.0, 0.0]) + gumbel_like(torch.zeros(10_000, 2))).argmax(-1)
    >>> 0.86 < (best == 0).float().mean() < 0.9  # softmax says 0.88
    tensor(True)
    """
    # -log U is exponential
    return -torch.empty_like(scores).exponential_().clamp_min(torch.finfo(scores.dtype).tiny).log()


class GumbelSoftmaxNormalizer(Normalizer):
    """`weights = softmax((scores + g) / temperature)`, with Gumbel noise g; nearly one-hot at a low temperature.

    In training mode only; in evaluation mode `softmax(scores)`, or with `hard` the best key. The noise is drawn for
    all queries of a call together, so that one call and step after step agree in distribution, not in the draw; it
    comes from torch's own generator, so that `torch.manual_seed` repeats it.

    Args:
        temperature: of the noisy softmax; lower it while training (`normalizer.temperature = ...`).
        hard: the one key of the largest noisy score, with the gradient of the noisy softmax (straight-through).

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: the temperature is not a positive number.

    >>> normalizer = GumbelSoftmaxNormalizer(hard=True)
    >>> normalizer(torch.zeros(1, 1, 3), torch.tensor([[[False, True, False]]]))[0]
    tensor([[[0., 1., 0.]]])
    """

    source = JANG_2017(place="section 2.1 and 2.2")
    chooses = True

    def __init__(self, temperature: float = 1.0, hard: bool = False) -> None:
        super().__init__()
        _refusals.check_numbers(temperature=temperature)
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature is {temperature}; expected a number above 0 (1 to begin with).")
        self.temperature, self.hard = temperature, hard

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        if not self.training:
            return hardmax(scores, mask) if self.hard else masked_softmax(scores, mask), state
        noisy = scores + gumbel_like(scores)
        soft = masked_softmax(noisy / self.temperature, mask)
        # the bracket is exactly 0, so that the value stays exactly 0 or 1
        return hardmax(noisy, mask) + (soft - soft.detach()) if self.hard else soft, state
