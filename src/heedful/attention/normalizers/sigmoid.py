"""Sigmoid: keys do not compete (Ramapuram et al. 2024)."""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import RAMAPURAM_2024

from .base import Normalizer, erase, finite_rows

Count = Literal["visible", "all"]


class SigmoidNormalizer(Normalizer):
    """`weights = sigmoid(scores + b)`, `b = -ln n`, each key for itself: a row sums to anything between 0 and n.

    The paper's n is the length of the sequence. Counting what a row sees, which is the default, padding and later keys
    change nothing; the number of all keys of the call is the paper's.

    Args:
        count: of which keys n is the number, "visible" or "all".
        learned: add a learned number to b.

    Parameters: none, or `bias []`, 0 to begin, if it is learned.

    Raises:
        ValueError: an unknown count.

    >>> SigmoidNormalizer()(torch.zeros(1, 1, 3), None)[0]
    tensor([[[0.2500, 0.2500, 0.2500]]])
    """

    source = RAMAPURAM_2024(place="section 3")

    def __init__(self, count: Count = "visible", learned: bool = False) -> None:
        super().__init__()
        if count not in get_args(Count):
            raise _refusals.unknown_choice("count", count, get_args(Count))
        self.count = count
        self.bias = nn.Parameter(torch.zeros(())) if learned else None

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        finite, hidden = finite_rows(scores, mask, below=0.0)
        number = (~hidden if self.count == "visible" else torch.ones_like(hidden)).sum(-1, keepdim=True).clamp_min(1)
        shifted = finite - number.to(scores.dtype).log()
        return erase(torch.sigmoid(shifted if self.bias is None else shifted + self.bias), hidden), state
