"""Neural coverage: a recurrent cell for each key reads its weights (Tu et al. 2016)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from heedful import _refusals
from heedful.attention.source import TU_2016
from heedful.functional import additive_scores

from .additive import AdditiveScore
from .base import Score
from .history import fit_keys

Projected = tuple[Float[Tensor, "batch keys hidden_dim"], Float[Tensor, "batch keys gates"]]


class NeuralCoverageScore(Score):
    """`scores[k] = energy . tanh(W query + U key[k] + V c[k] + b)`, `c[k] = GRU(c[k], [weights[k]; key[k]; query])`.

    The cell is `torch.nn.GRUCell`, one for all keys; what it reads of the keys is computed once per memory. A key that
    joins the memory later starts at 0; one that a window hides is read with a weight of 0. One query at a time: a call
    over many scans them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        hidden_dim: features of the tanh layer.
        coverage_dim: features of the coverage of a key.

    Parameters: those of `AdditiveScore` with its bias, under `additive`; `coverage_proj [hidden_dim, coverage_dim]`,
    Glorot (not from the paper); those of the cell, under `cell`, where the weight's column is 0 at first, as in the
    authors' code.

    State: `[batch, coverage_dim, keys]`, the coverage, 0 to begin; between `forward` and `update` also what the cell
    is to read of keys and query.

    Cost: time queries * keys * (hidden_dim + coverage_dim^2); memory keys * (hidden_dim + 3 coverage_dim), and
    queries * keys.

    Raises:
        ValueError: a size is not positive.

    >>> score = NeuralCoverageScore(query_dim=2, key_dim=3, hidden_dim=5, coverage_dim=4)
    >>> scores, state = score(torch.ones(1, 1, 2), score.remember(torch.ones(1, 7, 3)))
    >>> score.update(state, torch.full((1, 1, 7), 1 / 7)).shape
    torch.Size([1, 4, 7])
    """

    source = TU_2016(place="section 3.1.2, neural network based coverage")
    stateful = True

    def __init__(self, query_dim: int, key_dim: int, hidden_dim: int, coverage_dim: int = 10) -> None:
        super().__init__(query_dim, key_dim)
        _refusals.check_sizes(coverage_dim=coverage_dim)
        self.additive = AdditiveScore(query_dim, key_dim, hidden_dim, bias=True)
        self.coverage_proj = nn.Parameter(torch.empty(hidden_dim, coverage_dim))
        nn.init.xavier_uniform_(self.coverage_proj)
        self.cell = nn.GRUCell(1 + key_dim + query_dim, coverage_dim)
        with torch.no_grad():
            self.cell.weight_ih[:, 0].zero_()

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Projected:
        """`U key + b`, and what the gates of the cell read of the keys, computed once per memory."""
        _, of_key, _ = self._inputs()
        return self.additive.remember(key), linear(key, of_key, self.cell.bias_ih)

    def begin(self, key: Projected) -> Float[Tensor, "batch coverage_dim keys"]:
        """Zeros: nothing was looked at."""
        return fit_keys(None, key[0], self.cell.hidden_size)

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        key: Projected,
        state: Float[Tensor, "batch coverage_dim earlier_keys"] | None = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], tuple[Tensor, Tensor]]:
        projected, gates = key
        coverage = fit_keys(state, projected, self.cell.hidden_size)
        features = linear(coverage.transpose(1, 2).to(projected.dtype), self.coverage_proj)
        asked = linear(query, self.additive.query_proj)
        scores = additive_scores(asked, projected + features, self.additive.energy)
        return scores, (coverage, gates + linear(query, self._inputs()[2]))

    def update(self, state: tuple[Tensor, Tensor], weights: Float[Tensor, "batch 1 keys"]) -> Tensor:
        """The coverage once the cell has read this query's weights."""
        coverage, gates = state
        before = coverage.transpose(1, 2)
        gates = gates + weights.transpose(1, 2).to(gates.dtype) * self._inputs()[0].squeeze(1)
        own = linear(before.to(gates.dtype), self.cell.weight_hh, self.cell.bias_hh)
        # torch's order of the gates: reset, update, candidate
        reset, keep, candidate = gates.chunk(3, -1)
        own_reset, own_keep, own_candidate = own.chunk(3, -1)
        keep = torch.sigmoid(keep + own_keep)
        candidate = torch.tanh(candidate + torch.sigmoid(reset + own_reset) * own_candidate)
        return (candidate + keep * (before - candidate)).transpose(1, 2)

    def _inputs(self) -> tuple[Tensor, ...]:
        """The cell's input matrix in its three parts: of the weight, the key and the query."""
        return self.cell.weight_ih.split((1, self.key_dim, self.query_dim), 1)
