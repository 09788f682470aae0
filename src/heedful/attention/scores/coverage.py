"""Coverage score: additive, with each key's sum of earlier weights (See, Liu and Manning 2017; Tu et al. 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful.attention.source import SEE_2017
from heedful.functional import additive_scores

from .additive import AdditiveScore
from .base import Score
from .history import fit_keys


class CoverageScore(Score):
    """`scores[k] = energy . tanh(W query + U key[k] + w c[k] + b)`, c[k] the sum of the weights that key k received.

    One query at a time: a call over many scans them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        coverage_enabled: read the coverage. The paper trains without it at first: the parameters are the same, so that
            such weights load.

    Parameters: those of `AdditiveScore` with its bias, under `additive`, and `coverage_proj [hidden_dim]`, normal with
    standard deviation `hidden_dim ** -0.5` (not from the paper).

    State: `[batch, 1, keys]`, the coverage, 0 to begin.

    Cost: time queries * keys * hidden_dim; memory keys * hidden_dim, and queries * keys.

    Raises:
        ValueError: a size is not positive.

    >>> score = CoverageScore(query_dim=2, key_dim=3, hidden_dim=5)
    >>> scores, state = score(torch.ones(1, 1, 2), score.remember(torch.ones(1, 7, 3)))
    >>> score.update(state, torch.full((1, 1, 7), 1 / 7)).sum()
    tensor(1.)
    """

    source = SEE_2017(place="section 2.3")
    stateful = True

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, coverage_enabled: bool = True) -> None:
        super().__init__(query_dim, key_dim)
        self.additive = AdditiveScore(query_dim, key_dim, hidden_dim, bias=True)
        self.coverage_proj = nn.Parameter(torch.empty(hidden_dim))
        nn.init.normal_(self.coverage_proj, std=hidden_dim**-0.5)
        self.coverage_enabled = coverage_enabled

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys hidden_dim"]:
        """`U key + b`, computed once per memory."""
        return self.additive.remember(key)

    def begin(self, key: Float[Tensor, "batch keys hidden_dim"]) -> Float[Tensor, "batch 1 keys"]:
        """Zeros: nothing was looked at."""
        return fit_keys(None, key, 1)

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: Float[Tensor, "batch keys hidden_dim"],
        state: Float[Tensor, "batch 1 earlier_keys"] | None = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Float[Tensor, "batch 1 keys"]]:
        coverage = fit_keys(state, key, 1)
        if self.coverage_enabled:
            key = key + coverage.to(key.dtype).transpose(1, 2) * self.coverage_proj
        return additive_scores(linear(query, self.additive.query_proj), key, self.additive.energy), coverage

    def update(
        self, state: Float[Tensor, "batch 1 keys"], weights: Float[Tensor, "batch 1 keys"]
    ) -> Float[Tensor, "batch 1 keys"]:
        """What each key received so far, this query included."""
        return state + weights
