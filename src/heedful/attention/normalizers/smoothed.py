"""Smoothed: several keys share the mass (Chorowski et al. 2015, section 2.3, "smoothing")."""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from heedful.attention.source import CHOROWSKI_2015
from heedful.functional import masked_softmax

from .base import Normalizer, finite_rows


class SmoothedNormalizer(Normalizer):
    """`weights = sigmoid(scores) / sum sigmoid(scores)` over the visible keys: large scores saturate.

    Computed as a softmax of `ln sigmoid(scores)`, which is the same and does not underflow.

    Cost: time queries * keys; memory queries * keys.

    >>> import torch
    >>> SmoothedNormalizer()(torch.tensor([[[30.0, 20.0]]]), None)[0]
    tensor([[[0.5000, 0.5000]]])
    """

    source = CHOROWSKI_2015(place="section 2.3")

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        finite, hidden = finite_rows(scores, mask, below=0.0)
        return masked_softmax(logsigmoid(finite), ~hidden), state
