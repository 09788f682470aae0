"""Scaled dot score: inner product over the square root of its length (Vaswani et al. 2017, equation 1)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from heedful.attention.source import Source

from .base import Score
from .dot import dot_scores


def scaled_dot_scores(
    query: Float[Tensor, "batch queries features"],
    key: Float[Tensor, "batch keys features"],
    scale: float | Float[Tensor, ""],
) -> Float[Tensor, "batch queries keys"]:
    """`scores[q, k] = scale * query[q] . key[k]`; the query is scaled first, so that float16 does not overflow."""
    return dot_scores(query * scale, key)


class ScaledDotScore(Score):
    """Inner product times a constant, or times a learned number.

    Args:
        dim: features of query and of key.
        scale: the factor; `1 / sqrt(dim)` when left out.
        learned: make the factor a parameter that starts at `scale` (or at 1, when that is left out).

    >>> ScaledDotScore(4)(torch.ones(1, 1, 4), torch.ones(1, 1, 4))[0]
    tensor([[[2.]]])
    """

    source = Source("Vaswani et al.: Attention Is All You Need", "equation 1", 2017)
    fused = True

    def __init__(self, dim: int, scale: float | None = None, learned: bool = False) -> None:
        super().__init__(dim, dim)
        start = scale if scale is not None else (1.0 if learned else 1 / math.sqrt(dim))
        self.scale = nn.Parameter(torch.tensor(start)) if learned else start

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return scaled_dot_scores(query, key, self.scale), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries keys"] | None,
    ) -> Float[Tensor, "batch queries value_dim"]:
        return scaled_dot_product_attention(query * self.scale, key, value, attn_mask=mask, scale=1.0)
