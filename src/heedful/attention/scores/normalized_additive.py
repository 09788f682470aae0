"""Additive score whose energy is weight-normalised (Salimans and Kingma 2016, equation 2)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import SALIMANS_2016
from heedful.functional import AdditiveMemory, additive_scores, remember_keys, remember_values

from .additive import AdditiveScore, look
from .base import Score


class NormalizedAdditiveScore(Score):
    """`scores[q, k] = g energy / ||energy|| . tanh(W query[q] + U key[k] + b)`, weight normalisation of the energy.

    The paper normalises any weight vector; for attention it is an addition of tensorflow/nmt ("normed Bahdanau").

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        offset: first value of a learned `r` that is added to every score, for normalisers that read scores as log-odds
            (Raffel et al. 2017); none by default, since softmax does not see it.

    Parameters: those of `AdditiveScore` with its bias, under `additive` (of its energy only the direction matters),
    `gain []`, which starts at `hidden_dim ** -0.5`, and `offset []` if asked for.

    Cost: time queries * keys * hidden_dim; memory (queries + keys) * hidden_dim, and queries * keys for weights.

    Raises:
        ValueError: a size is not positive.

    >>> score = NormalizedAdditiveScore(query_dim=2, key_dim=3, hidden_dim=4)
    >>> score.normalized_energy().detach().norm()
    tensor(0.5000)
    """

    source = SALIMANS_2016(place="equation 2")
    fused = weighs = True

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, offset: float | None = None) -> None:
        super().__init__(query_dim, key_dim)
        self.additive = AdditiveScore(query_dim, key_dim, hidden_dim, bias=True)
        self.gain = nn.Parameter(torch.tensor(hidden_dim**-0.5))
        self.offset = None if offset is None else nn.Parameter(torch.tensor(float(offset)))

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys hidden_dim"]:
        """`U key + b`, computed once per memory."""
        return self.additive.remember(key)

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
        scores = additive_scores(linear(query, self.additive.query_proj), key, self.normalized_energy())
        return scores if self.offset is None else scores + self.offset, state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"] | AdditiveMemory,
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"] | None]:
        query = linear(query, self.additive.query_proj)
        return look(query, key, value, self.normalized_energy(), mask, need_weights)

    def normalized_energy(self) -> Float[Tensor, " hidden_dim"]:
        """`g energy / ||energy||`; an energy of zeros stays zeros."""
        energy = self.additive.energy
        norm = torch.linalg.vector_norm(energy)
        return self.gain * energy / torch.where(norm > 0, norm, 1.0)
