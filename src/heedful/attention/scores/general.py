"""General score: a bilinear form (Luong, Pham and Manning 2015, section 3.1, "general")."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from heedful.attention.source import Source

from .base import Score
from .dot import dot_scores


def general_scores(
    query: Float[Tensor, "batch queries query_dim"],
    key: Float[Tensor, "batch keys key_dim"],
    weight: Float[Tensor, "query_dim key_dim"],
) -> Float[Tensor, "batch queries keys"]:
    """`scores[q, k] = query[q] . weight key[k]`"""
    return dot_scores(query, linear(key, weight))


class GeneralScore(Score):
    """Inner product after a learned matrix; query and key may have different sizes.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.

    Parameters: `weight [query_dim, key_dim]`, Glorot uniform; no bias.

    >>> GeneralScore(query_dim=4, key_dim=5)(torch.ones(1, 2, 4), torch.ones(1, 3, 4))[0].shape
    torch.Size([1, 2, 3])
    """

    source = Source("Luong, Pham and Manning: Effective Approaches to Attention-based NMT", "section 3.1, general", 2015)
    fused = True

    def __init__(self, query_dim: int, key_dim: int) -> None:
        super().__init__(query_dim, key_dim)
        self.weight = nn.Parameter(torch.empty(query_dim, key_dim))
        nn.init.xavier_uniform_(self.weight)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys query_dim"]:
        """`weight key`, computed once per memory."""
        return linear(key, self.weight)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys query_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return dot_scores(query, key), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys query_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries keys"] | None,
    ) -> Float[Tensor, "batch queries value_dim"]:
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)
