"""Linear score: one weight vector over query and key side by side (Gardner et al. 2018, LinearAttention)."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import GARDNER_2018
from heedful.functional import widen

from .base import Score
from .biaffine import with_one
from .dot import dot_attention, dot_scores

Feature = Literal["query", "key", "product", "sum", "difference"]


class LinearScore(Score):
    """`scores[q, k] = w . features + b`, features any of query, key, query * key, query + key and query - key.

    The features are never joined: all of them come down to a product and a linear form of either side, of which softmax
    does not see that of the query.

    Args:
        query_dim: features of a query.
        key_dim: features of a key; equal to `query_dim` unless only "query" and "key" are asked for.
        features: what the weights are for, in this order: "query", "key", "product", "sum", "difference".
        bias: add `b`.

    Parameters: `weight`, as long as all features together, uniform up to `sqrt(6 / (its length + 1))`; `bias []`, 0.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: a size is not positive, a feature is unknown, none of them has the key in it, or the sizes cannot be
            multiplied or added.

    >>> score = LinearScore(query_dim=4, key_dim=5)
    >>> score(torch.ones(1, 2, 4), score.remember(torch.ones(1, 3, 5)))[0].shape
    torch.Size([1, 2, 3])
    """

    source = GARDNER_2018(place="LinearAttention, function _forward_internal")
    fused = True

    def __init__(
        self, query_dim: int, key_dim: int, features: Sequence[Feature] = ("query", "key"), bias: bool = True
    ) -> None:
        super().__init__(query_dim, key_dim)
        for feature in features:
            if feature not in get_args(Feature):
                raise _refusals.unknown_choice("a feature", feature, get_args(Feature))
        if not set(features) - {"query"}:
            raise ValueError(f"features are {list(features)}; expected one that has the key in it, such as 'key'.")
        if query_dim != key_dim and set(features) - {"query", "key"}:
            raise _refusals.no_direct_comparison(
                key_dim, query_dim, "a feature of both sides", 'features=("query", "key")'
            )
        self.features = tuple(features)
        sizes = [key_dim if feature == "key" else query_dim for feature in features]
        self.weight = nn.Parameter(torch.empty(sum(sizes)))
        self.bias = nn.Parameter(torch.zeros(())) if bias else None
        bound = math.sqrt(6 / (len(self.weight) + 1))
        nn.init.uniform_(self.weight, -bound, bound)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys features"]:
        """The weighted key, where a product is asked for, and the key's linear form, computed once per memory."""
        _, weight, product = self._weights()
        form = (key @ weight).unsqueeze(-1)
        return form if product is None else torch.cat((key * product, form), -1)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        scores = dot_scores(self._joined(query), key)
        scores = scores + (widen(query) @ widen(self._weights()[0])).unsqueeze(-1)
        return scores if self.bias is None else scores + widen(self.bias), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(self._joined(query), key, value, mask), None

    def _joined(self, query: Tensor) -> Tensor:
        return with_one(query if "product" in self.features else query[..., :0])

    def _weights(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Of the query, of the key, and of their product."""
        sizes = [self.key_dim if feature == "key" else self.query_dim for feature in self.features]
        parts = list(zip(self.features, self.weight.split(sizes), strict=True))
        query, key = self.weight.new_zeros(self.query_dim), self.weight.new_zeros(self.key_dim)
        product = None
        for feature, part in parts:
            if feature in ("query", "sum", "difference"):
                query = query + part
            if feature in ("key", "sum"):
                key = key + part
            if feature == "difference":
                key = key - part
            if feature == "product":
                product = part if product is None else product + part
        return query, key, product
