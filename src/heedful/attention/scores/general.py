"""General score: a bilinear form (Luong, Pham and Manning 2015, section 3.1, "general")."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import LUONG_2015

from .base import Score
from .dot import dot_attention, dot_scores


class GeneralScore(Score):
    """`scores[q, k] = query[q] . W key[k]`, so that query and key may have different sizes.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        learned_scale: multiply by a learned number, the "scaled Luong" of tensorflow/nmt, which is not in the paper.

    Parameters: `weight [query_dim, key_dim]`, Glorot uniform; no bias; with `learned_scale`, `scale []`, 1.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: a size is not positive.

    >>> score = GeneralScore(query_dim=4, key_dim=5)
    >>> memory = score.remember(torch.ones(1, 3, 5))
    >>> score(torch.ones(1, 2, 4), memory)[0].shape
    torch.Size([1, 2, 3])
    """

    source = LUONG_2015(place="section 3.1, general")
    fused = True

    def __init__(self, query_dim: int, key_dim: int, learned_scale: bool = False) -> None:
        super().__init__(query_dim, key_dim)
        self.weight = nn.Parameter(torch.empty(query_dim, key_dim))
        self.scale = nn.Parameter(torch.ones(())) if learned_scale else None
        nn.init.xavier_uniform_(self.weight)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys query_dim"]:
        """`W key`, computed once per memory."""
        return linear(key, self.weight)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys query_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return dot_scores(self._scaled(query), key), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys query_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(self._scaled(query), key, value, mask), None

    def _scaled(self, query: Tensor) -> Tensor:
        return query if self.scale is None else query * self.scale
