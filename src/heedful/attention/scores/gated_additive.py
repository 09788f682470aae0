"""Gated additive score: a tanh layer times a sigmoid layer (Ilse, Tomczak and Welling 2018, section 2.4)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import ILSE_2018
from heedful.functional import widen

from .base import Score, check_sizes


class GatedAdditiveScore(Score):
    """`scores[q, k] = energy . (tanh(V key[k] + W query[q] + b) * sigmoid(U key[k] + G query[q] + c))`, a gated layer.

    The paper weighs the parts of a bag and has no query: here `W` and `G` are those of the query. Unlike the additive
    score, it holds a tensor of batch x queries x keys x hidden_dim.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of both layers.

    Parameters: `query_proj [hidden_dim, query_dim]` and `query_gate`, `key_proj [hidden_dim, key_dim]` and `key_gate`,
    Glorot uniform; `proj_bias [hidden_dim]` and `gate_bias [hidden_dim]`, 0; `energy [hidden_dim]`, normal with
    standard deviation `hidden_dim ** -0.5`.

    Cost: time queries * keys * hidden_dim; memory queries * keys * hidden_dim.

    Raises:
        ValueError: a size is not positive.

    >>> score = GatedAdditiveScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> score(torch.ones(1, 4, 2), score.remember(torch.ones(1, 7, 3)))[0].shape
    torch.Size([1, 4, 7])
    """

    source = ILSE_2018(place="section 2.4")

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim)
        self.query_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.query_gate = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.key_proj = nn.Parameter(torch.empty(hidden_dim, key_dim))
        self.key_gate = nn.Parameter(torch.empty(hidden_dim, key_dim))
        self.proj_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.gate_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.energy = nn.Parameter(torch.empty(hidden_dim))
        for matrix in (self.query_proj, self.query_gate, self.key_proj, self.key_gate):
            nn.init.xavier_uniform_(matrix)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5)

    def remember(
        self, key: Float[Tensor, "batch keys key_dim"]
    ) -> tuple[Float[Tensor, "batch keys hidden_dim"], Float[Tensor, "batch keys hidden_dim"]]:
        """`V key + b` and `U key + c`, computed once per memory."""
        return linear(key, self.key_proj, self.proj_bias), linear(key, self.key_gate, self.gate_bias)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: tuple[Float[Tensor, "batch keys hidden_dim"], Float[Tensor, "batch keys hidden_dim"]],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        layer, gate = (widen(part).unsqueeze(1) for part in key)
        layer = torch.tanh(layer + widen(linear(query, self.query_proj)).unsqueeze(2))
        gate = torch.sigmoid(gate + widen(linear(query, self.query_gate)).unsqueeze(2))
        return (layer * gate) @ widen(self.energy), state
