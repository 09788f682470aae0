"""Additive score with a rectifier in the place of tanh, as tutorials of visual attention have it (Xu et al. 2015)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from heedful.functional import linear, widen

from .scores import AdditiveScore, Score
from .source import XU_2015


class RectifiedScore(Score):
    """`scores[q, k] = energy . relu(W query[q] + U key[k] + b)`, with the parameters of an additive score.

    Args:
        additive: whose parameters it takes.

    >>> score = RectifiedScore(AdditiveScore(2, 3, 5, bias=True))
    >>> score(torch.ones(1, 4, 2), score.remember(torch.ones(1, 7, 3)))[0].shape
    torch.Size([1, 4, 7])
    """

    source = XU_2015(place="section 4.2")

    def __init__(self, additive: AdditiveScore) -> None:
        super().__init__(additive.query_dim, additive.key_dim)
        self.additive = additive

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys hidden_dim"]:
        """`U key + b`, computed once per memory."""
        return self.additive.remember(key)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        asked = linear(query, self.additive.query_proj)
        inner = torch.relu(asked.unsqueeze(2) + key.unsqueeze(1))
        return widen(inner) @ widen(self.additive.energy), state
