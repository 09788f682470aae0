"""Sigmoid: keys do not compete (Ramapuram et al. 2024)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import RAMAPURAM_2024

from .base import Normalizer, erase, finite_rows


class SigmoidNormalizer(Normalizer):
    """`weights = sigmoid(scores - ln n)`, each key for itself, n the visible keys of the row, which sums to anything.

    The paper's n is the length of the sequence; counting what the row sees, padding and later keys change nothing.

    >>> SigmoidNormalizer()(torch.zeros(1, 1, 3), None)[0]
    tensor([[[0.2500, 0.2500, 0.2500]]])
    """

    source = RAMAPURAM_2024(place="section 3")

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        finite, hidden = finite_rows(scores, mask, below=0.0)
        visible = (~hidden).sum(-1, keepdim=True).clamp_min(1)
        return erase(torch.sigmoid(finite - visible.to(scores.dtype).log()), hidden), state
