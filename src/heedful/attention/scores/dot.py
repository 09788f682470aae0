"""Dot score: the plain inner product (Luong, Pham and Manning 2015, section 3.1, "dot")."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import LUONG_2015
from heedful.functional import dot_product_attention, widen

from .base import Score


def dot_scores(
    query: Float[Tensor, "batch queries features"], key: Float[Tensor, "batch keys features"]
) -> Float[Tensor, "batch queries keys"]:
    """`scores[q, k] = query[q] . key[k]`; float32 for half precision, whose range a sum of products soon leaves."""
    return torch.einsum("bqd,bkd->bqk", widen(query), widen(key))


def dot_attention(
    query: Float[Tensor, "batch queries features"],
    key: Float[Tensor, "batch keys features"],
    value: Float[Tensor, "batch keys value_dim"],
    mask: Bool[Tensor, "#batch #queries #keys"] | None,
) -> Float[Tensor, "batch queries value_dim"]:
    """Context of the softmax of `dot_scores`, which torch's fused kernels never hold; they ask for an axis of heads."""
    query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
    mask = None if mask is None else mask.unsqueeze(1)
    return dot_product_attention(query, key, value, mask, scale=1.0).squeeze(1)


class DotScore(Score):
    """`scores[q, k] = query[q] . key[k]`, for query and key of one size.

    Args:
        dim: features of query and of key.

    No parameters.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: `dim` is not positive.

    >>> score = DotScore(dim=2)
    >>> score(torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 4.0]]]))[0]
    tensor([[[11.]]])
    """

    source = LUONG_2015(place="section 3.1, dot")
    fused = True
    compares_directly = True

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
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(query, key, value, mask), None
