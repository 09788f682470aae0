"""Sine score: additive in form, computed as a dot product (heedful 2026; features as in Rahimi and Recht 2007)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful import _refusals
from heedful.attention.source import HEEDFUL_2026
from heedful.functional import widen

from .base import Score, check_sizes
from .dot import dot_attention, dot_scores


def _phases(projected: Tensor, harmonics: int) -> Tensor:
    """`1 x, 2 x, .. harmonics x` of every unit, `[batch, steps, harmonics, units]`, in float32 or wider."""
    counts = torch.arange(1, harmonics + 1, device=projected.device)
    return widen(projected).unsqueeze(-2) * counts[:, None]


def query_features(
    query: Float[Tensor, "batch queries units"], energy: Float[Tensor, "harmonics units"]
) -> Float[Tensor, "batch queries features"]:
    """`[energy sin m a, energy cos m a]` of the projected query a; their product with `key_features` is the score.

    >>> query_features(torch.zeros(1, 1, 1), torch.tensor([[2.0]]))
    tensor([[[0., 2.]]])
    """
    phase = _phases(query, energy.shape[0])
    return torch.cat((phase.sin() * energy, phase.cos() * energy), -1).flatten(-2).to(query.dtype)


def key_features(
    key: Float[Tensor, "batch keys units"], bias: Float[Tensor, "harmonics units"]
) -> Float[Tensor, "batch keys features"]:
    """`[cos(m b + bias), sin(m b + bias)]` of the projected key b: `sin(x + y) = sin x cos y + cos x sin y`.

    >>> key_features(torch.zeros(1, 1, 1), torch.zeros(1, 1))
    tensor([[[1., 0.]]])
    """
    phase = _phases(key, bias.shape[0]) + bias
    return torch.cat((phase.cos(), phase.sin()), -1).flatten(-2).to(key.dtype)


class SineScore(Score):
    """`scores[q, k] = energy . sin(W query[q] + U key[k] + b)`, which is a dot product of bounded features.

    The additive score with sine in place of tanh. Nothing of the size queries x keys x units is computed, and the fused
    kernels of dot-product attention apply. A score is at most `sum |energy|` in size.

    With `harmonics` M, each unit x of `W query + U key` gives `sum over m = 1..M of energy_m sin(m x + b_m)`: any
    periodic function of so many terms, cosines included, since a bias turns one into the other. A frequency for each
    unit would add nothing that the rows of W and U do not say already.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: units.
        harmonics: sines of each unit; `2 x harmonics x hidden_dim` features are compared.
        frequency: what the first W and U are multiplied by: larger, and keys must be closer to look alike.

    Parameters: `query_proj [hidden_dim, query_dim]` and `key_proj [hidden_dim, key_dim]`, Glorot uniform times
    `frequency`; `energy [harmonics, hidden_dim]`, normal with standard deviation `hidden_dim ** -0.5 / m`;
    `bias [harmonics, hidden_dim]`, 0.

    Cost: time queries * keys * 2 hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for scores or
    weights.

    Raises:
        ValueError: a size or the frequency is not positive.

    >>> score = SineScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> score(torch.ones(1, 4, 2), score.remember(torch.ones(1, 7, 3)))[0].shape
    torch.Size([1, 4, 7])
    """

    source = HEEDFUL_2026(place="section 1")
    fused = True

    def __init__(
        self, query_dim: int, key_dim: int, hidden_dim: int, harmonics: int = 1, frequency: float = 1.0
    ) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(hidden_dim=hidden_dim, harmonics=harmonics)
        _refusals.check_numbers(frequency=frequency)
        if not 0 < frequency < math.inf:
            raise ValueError(f"frequency is {frequency}; expected a positive number. Leave it out for 1.")
        self.query_proj = nn.Parameter(torch.empty(hidden_dim, query_dim))
        self.key_proj = nn.Parameter(torch.empty(hidden_dim, key_dim))
        self.energy = nn.Parameter(torch.empty(harmonics, hidden_dim))
        self.bias = nn.Parameter(torch.zeros(harmonics, hidden_dim))
        for matrix in (self.query_proj, self.key_proj):
            nn.init.xavier_uniform_(matrix, gain=frequency)
        nn.init.normal_(self.energy, std=hidden_dim**-0.5)
        self.energy.data.div_(torch.arange(1, harmonics + 1)[:, None])

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys features"]:
        """`[cos, sin]` of the projected keys, computed once per memory."""
        return key_features(linear(key, self.key_proj), self.bias)

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
