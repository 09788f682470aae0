"""Sine score: additive in form, a dot product in fact (heedful 2026; features as in Rahimi and Recht 2007)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import HEEDFUL_2026
from heedful.functional import widen

from .base import Score, check_sizes
from .dot import dot_attention, dot_scores


def query_features(
    query: Float[Tensor, "batch queries units"], energy: Float[Tensor, " units"]
) -> Float[Tensor, "batch queries features"]:
    """`[energy sin a, energy cos a]` of the projected query a; their product with `key_features` is the score.

    >>> query_features(torch.zeros(1, 1, 1), torch.tensor([2.0]))
    tensor([[[0., 2.]]])
    """
    phase = widen(query)
    return (torch.cat((phase.sin(), phase.cos()), -1) * energy.repeat(2)).to(query.dtype)


def key_features(key: Float[Tensor, "batch keys units"]) -> Float[Tensor, "batch keys features"]:
    """`[cos b, sin b]` of the projected key b, since `sin(a + b) = sin a cos b + cos a sin b`.

    >>> key_features(torch.zeros(1, 1, 1))
    tensor([[[1., 0.]]])
    """
    phase = widen(key)
    return torch.cat((phase.cos(), phase.sin()), -1).to(key.dtype)


class SineScore(Score):
    """`scores[q, k] = energy . sin(W query[q] + U key[k] + b)`, which is a dot product of bounded features.

    The additive score with sine in place of tanh. Nothing of the size queries x keys x units is computed, and the fused
    kernels of dot-product attention apply. A score is at most `sum |energy|` in size.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: units; twice as many features are compared.
        bias: add the vector `b`.

    Parameters: `query_proj [hidden_dim, query_dim]` and `key_proj [hidden_dim, key_dim]`, Glorot uniform;
    `energy [hidden_dim]`, normal with standard deviation `hidden_dim ** -0.5`; `bias [hidden_dim]`, 0.

    Raises:
        ValueError: a size is not positive.

    >>> score = SineScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> score(torch.ones(1, 4, 2), score.remember(torch.ones(1, 7, 3)))[0].shape
    torch.Size([1, 4, 7])
    """

    source = HEEDFUL_2026(place="section 1")
    fused = True

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, bias: bool = True) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim)
        self.query_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.key_proj = nn.Parameter(torch.empty(hidden_dim, key_dim))
        self.energy = nn.Parameter(torch.empty(hidden_dim))
        self.bias = nn.Parameter(torch.zeros(hidden_dim)) if bias else None
        for matrix in (self.query_proj, self.key_proj):
            nn.init.xavier_uniform_(matrix)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys features"]:
        """`[cos b, sin b]` of the projected keys, computed once per memory."""
        return key_features(linear(key, self.key_proj, self.bias))

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return dot_scores(query_features(linear(query, self.query_proj), self.energy), key), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(query_features(linear(query, self.query_proj), self.energy), key, value, mask), None
