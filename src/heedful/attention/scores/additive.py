"""Additive score: two projections, tanh, one vector (Bahdanau, Cho and Bengio 2015, section 3.1 and appendix A.1.2)."""

from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import BAHDANAU_2015
from heedful.functional import AdditiveMemory, additive_attention, additive_scores, remember_keys, remember_values

from .base import Score, check_sizes


def look(
    query: Tensor, key: Tensor | AdditiveMemory, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Context, and weights if asked for."""
    if need_weights:
        return additive_attention(query, key, value, energy, mask, need_weights=True)
    return additive_attention(query, key, value, energy, mask), None


class AdditiveScore(Score):
    """`scores[q, k] = energy . tanh(W query[q] + U key[k] + b)`, one layer over two projections.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        bias: add the vector `b` (a bias on each projection is the same thing; one on the energy would not matter).
        init: "glorot" (W and U Glorot uniform, energy normal with standard deviation `hidden_dim ** -0.5`), or "paper"
            (W and U normal with standard deviation 0.001, energy 0: the first look is uniform).

    Parameters: `query_proj [hidden_dim, query_dim]`, `key_proj [hidden_dim, key_dim]`, `energy [hidden_dim]`,
    `bias [hidden_dim]` if asked for, which starts at 0.

    Cost: time queries * keys * hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size is not positive, or `init` is unknown.

    >>> score = AdditiveScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> memory = score.remember(torch.ones(1, 7, 3))
    >>> score(torch.ones(1, 4, 2), memory)[0].shape
    torch.Size([1, 4, 7])
    """

    source = BAHDANAU_2015(place="section 3.1, appendix A.1.2")
    fused = weighs = True

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        hidden_dim: int,
        bias: bool = False,
        init: Literal["glorot", "paper"] = "glorot",
    ) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim)
        if init not in ("glorot", "paper"):
            raise ValueError(f"init is {init!r}; expected 'glorot' or 'paper'.")
        self.query_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.key_proj = nn.Parameter(torch.empty(hidden_dim, key_dim))
        self.energy = nn.Parameter(torch.empty(hidden_dim))
        self.bias = nn.Parameter(torch.zeros(hidden_dim)) if bias else None
        for matrix in (self.query_proj, self.key_proj):
            nn.init.xavier_uniform_(matrix) if init == "glorot" else nn.init.normal_(matrix, std=0.001)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5 if init == "glorot" else 0.0)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys hidden_dim"]:
        """`U key + b`, computed once per memory."""
        return linear(key, self.key_proj, self.bias)

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
        return additive_scores(linear(query, self.query_proj), key, self.energy), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"] | AdditiveMemory,
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"] | None]:
        return look(linear(query, self.query_proj), key, value, self.energy, mask, need_weights)
