"""Dot score: the plain inner product (Luong, Pham and Manning 2015, section 3.1, "dot")."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from heedful.attention.source import Source

from .base import Score


def dot_scores(
    query: Float[Tensor, "batch queries features"], key: Float[Tensor, "batch keys features"]
) -> Float[Tensor, "batch queries keys"]:
    """`scores[q, k] = query[q] . key[k]`"""
    return torch.einsum("bqd,bkd->bqk", query, key)


class DotScore(Score):
    """Inner product of query and key, which therefore have one size; no parameters.

    Args:
        dim: features of query and of key.

    >>> DotScore(2)(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 4.0]]]))[0]
    tensor([[[11.]]])
    """

    source = Source("Luong, Pham and Manning: Effective Approaches to Attention-based NMT", "section 3.1, dot", 2015)
    fused = True

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return dot_scores(query, key), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries keys"] | None,
    ) -> Float[Tensor, "batch queries value_dim"]:
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)
