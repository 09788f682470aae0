"""Linguistic coverage: the weights that each key received over its predicted fertility (Tu et al. 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful import _refusals
from heedful.attention.source import TU_2016
from heedful.functional import additive_scores, widen

from .additive import AdditiveScore
from .base import Score
from .history import fit_keys

# Least fertility that the received weights are divided by (not from the paper, where a fertility near 0 is no bound).
LEAST_FERTILITY = 0.01

Projected = tuple[Float[Tensor, "batch keys hidden_dim"], Float[Tensor, "batch keys 1"]]


class LinguisticCoverageScore(Score):
    """`scores[k] = energy . tanh(W query + U key[k] + w c[k] + b)`, c[k] what key k received over its fertility.

    `c[k] = (sum of the weights of earlier queries) / fertility[k]`, `fertility[k] = N sigmoid(u . key[k])`: 1 when the
    key was read as often as predicted. `heedful.attention.regularizers.fertility_loss` trains the
    prediction towards what is read in the end. One query at a time: a call over many scans them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        max_fertility: N, the most that a key may be predicted to receive.

    Parameters: those of `AdditiveScore` with its bias, under `additive`; `coverage_proj [hidden_dim]`, normal with
    standard deviation `hidden_dim ** -0.5` (not from the paper); `fertility_proj [1, key_dim]`, 0 at first, so that
    each key begins with half of the most.

    State: `[batch, 1, keys]`, the sum of the weights of each key, 0 to begin.

    Cost: time queries * keys * hidden_dim; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size or `max_fertility` is not positive.

    >>> score = LinguisticCoverageScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> score.fertility(torch.ones(1, 4, 3)).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    source = TU_2016(place="section 3.1.1, linguistic coverage")
    stateful = True

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, max_fertility: float = 2.0) -> None:
        super().__init__(query_dim, key_dim)
        _refusals.check_numbers(max_fertility=max_fertility)
        if not max_fertility > 0:
            raise ValueError(
                f"max_fertility is {max_fertility}; expected the most that a key may receive, above 0: the paper has 2."
            )
        self.additive = AdditiveScore(query_dim, key_dim, hidden_dim, bias=True)
        self.coverage_proj = nn.Parameter(torch.empty(hidden_dim))
        nn.init.normal_(self.coverage_proj, std=hidden_dim**-0.5)
        self.fertility_proj = nn.Parameter(torch.zeros(1, key_dim))
        self.max_fertility = max_fertility

    def fertility(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys"]:
        """`N sigmoid(u . key)`: how much each key should receive in all, for `fertility_loss`."""
        return self.max_fertility * torch.sigmoid(linear(key, self.fertility_proj)).squeeze(-1)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Projected:
        """`U key + b` and the fertility, computed once per memory."""
        return self.additive.remember(key), self.fertility(key).unsqueeze(-1).clamp_min(LEAST_FERTILITY)

    def begin(self, key: Projected) -> Float[Tensor, "batch 1 keys"]:
        """Zeros: nothing was looked at."""
        return fit_keys(None, key[0], 1)

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: Projected,
        state: Float[Tensor, "batch 1 earlier_keys"] | None = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Float[Tensor, "batch 1 keys"]]:
        projected, fertility = key
        received = fit_keys(state, projected, 1)
        coverage = (received.transpose(1, 2) / widen(fertility)).to(projected.dtype)
        asked = linear(query, self.additive.query_proj)
        return additive_scores(asked, projected + coverage * self.coverage_proj, self.additive.energy), received

    def update(
        self, state: Float[Tensor, "batch 1 keys"], weights: Float[Tensor, "batch 1 keys"]
    ) -> Float[Tensor, "batch 1 keys"]:
        """What each key received so far, this query included."""
        return state + weights
