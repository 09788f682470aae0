"""Bilinear score: the general score with a bias and an activation (Gardner et al. 2018, BilinearAttention)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful import _refusals
from heedful.attention.source import GARDNER_2018
from heedful.functional import widen

from .base import Score
from .dot import dot_attention, dot_scores

Activation = Callable[[Tensor], Tensor]


class BilinearScore(Score):
    """`scores[q, k] = activation(query[q] . W key[k] + b)`, the general score of matching models.

    Without an activation, the bias is the same for every key: softmax does not see it, and it does not learn.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        activation: of one number, such as `torch.tanh`; none when left out.

    Parameters: `weight [query_dim, key_dim]`, Glorot uniform; `bias []`, 0.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: a size is not positive.

    >>> score = BilinearScore(query_dim=4, key_dim=5, activation=torch.tanh)
    >>> score(torch.ones(1, 2, 4), score.remember(torch.ones(1, 3, 5)))[0].shape
    torch.Size([1, 2, 3])
    """

    source = GARDNER_2018(place="BilinearAttention, function _forward_internal")

    def __init__(self, query_dim: int, key_dim: int, activation: Activation | None = None) -> None:
        super().__init__(query_dim, key_dim)
        self.fused = activation is None
        if activation is not None and not callable(activation):
            raise _refusals.WrongTypeError(f"activation is {activation!r}; expected a function, such as torch.tanh.")
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(query_dim, key_dim))
        self.bias = nn.Parameter(torch.zeros(()))
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
        scores = dot_scores(query, key) + widen(self.bias)
        return scores if self.activation is None else self.activation(scores), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys query_dim"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(query, key, value, mask), None
