"""Scaled dot score: inner product over the square root of its length (Vaswani et al. 2017, equation 1)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.attention.source import VASWANI_2017
from heedful.functional import widen

from .base import Score
from .dot import dot_attention, dot_scores


class ScaledDotScore(Score):
    """`scores[q, k] = scale * query[q] . key[k]`, with `1 / sqrt(dim)` or a learned number for the scale.

    The learned scale is not in the paper; it is the "scaled Luong" of tensorflow/nmt. The query is scaled, not the
    product, so that half precision does not overflow.

    Args:
        dim: features of query and of key.
        scale: the factor; when left out `1 / sqrt(dim)`, or 1 if it is learned.
        learned: make the factor a parameter that starts at `scale`.
        offset: first value of a learned `r` that is added to every score, for normalisers that read scores as log-odds
            (Raffel et al. 2017); none by default, since softmax does not see it.

    Parameters: none, or `scale []` if it is learned, and `offset []` if asked for.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: `dim` is not positive.

    >>> score = ScaledDotScore(dim=4)
    >>> score(torch.ones(1, 1, 4), torch.ones(1, 1, 4))[0]
    tensor([[[2.]]])
    """

    source = VASWANI_2017(place="equation 1")
    fused = True
    compares_directly = True

    def __init__(
        self, dim: int, scale: float | None = None, learned: bool = False, offset: float | None = None
    ) -> None:
        super().__init__(dim, dim)
        if scale is None:
            scale = 1.0 if learned else 1 / math.sqrt(dim)
        self.scale = nn.Parameter(torch.tensor(float(scale))) if learned else scale
        self.offset = None if offset is None else nn.Parameter(torch.tensor(float(offset)))

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        scores = dot_scores(query * self.scale, key)
        return scores if self.offset is None else scores + widen(self.offset), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(query * self.scale, key, value, mask), None
