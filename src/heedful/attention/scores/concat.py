"""Concat score: one layer over the joined vectors (Luong, Pham and Manning 2015, section 3.1, "concat")."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import LUONG_2015
from heedful.functional import AdditiveMemory, additive_scores, remember_keys, remember_values

from .additive import look
from .base import Score, check_sizes


class ConcatScore(Score):
    """`scores[q, k] = energy . tanh(W [query[q]; key[k]])`, one layer over query and key side by side.

    It is the additive score with its two matrices in one, and computed as such: no two vectors are ever joined.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.

    Parameters: `weight [hidden_dim, query_dim + key_dim]`, Glorot uniform; `energy [hidden_dim]`, normal with standard
    deviation `hidden_dim ** -0.5`; no bias.

    Cost: time queries * keys * hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size is not positive.

    >>> score = ConcatScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> memory = score.remember(torch.ones(1, 7, 3))
    >>> score(torch.ones(1, 4, 2), memory)[0].shape
    torch.Size([1, 4, 7])
    """

    source = LUONG_2015(place="section 3.1, concat")
    fused = weighs = True

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim)
        self.weight = nn.Parameter(torch.empty(hidden_dim, query_dim + key_dim))
        self.energy = nn.Parameter(torch.empty(hidden_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys hidden_dim"]:
        """The key's half of the layer, computed once per memory."""
        return linear(key, self.weight[:, self.query_dim :])

    def keep(
        self, key: Float[Tensor, "batch keys hidden_dim"], value: Float[Tensor, "batch keys value_dim"]
    ) -> tuple[AdditiveMemory, Float[Tensor, "batch keys value_dim"]]:
        """With the exponentials that every step needs; gradients of all steps are computed together."""
        return remember_keys(key), remember_values(value)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"] | AdditiveMemory,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return additive_scores(self._query_half(query), key, self.energy), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"] | AdditiveMemory,
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"] | None]:
        return look(self._query_half(query), key, value, self.energy, mask, need_weights)

    def _query_half(self, query: Tensor) -> Tensor:
        return linear(query, self.weight[:, : self.query_dim])
