"""Fusedmax: a sparse distribution that is flat along runs of neighbouring keys (Niculae and Blondel 2017)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from heedful import _refusals
from heedful.attention.source import NICULAE_2017

from ._runs import levels_by_cuts
from .base import Normalizer, erase, finite_rows
from .sparsemax import sparsemax


def lowest(
    sums: Float[Tensor, "*batch places"], strength: Float[Tensor, "*batch places"]
) -> Float[Tensor, "*batch keys"]:
    """The least value that each key can take, as far as the keys up to it can tell.

    Where all keys up to one take the same value `b`, their pull on the next key is a walk with steps `b - score`, held
    at each key between minus its strength and its strength; the least `b` is the one at which it ends at minus its
    strength. A walk between two walls is the smallest, over its last touch of the upper wall, of the largest, over
    later touches of the lower one, of the steps since then; so that `b` is the largest of the smallest of means.

    Args:
        sums: of the scores before each place, and of all.
        strength: of the tie between the two keys at each place; 0 at both ends.
    """
    place = torch.arange(sums.shape[-1], device=sums.device)
    # from each key back to each place where the walk touches a wall
    steps = place[1:].unsqueeze(-1) - place[:-1]
    total = sums[..., 1:, None] - sums[..., None, :-1] - strength[..., 1:, None]
    upper = (total - strength[..., None, :-1]) / steps
    lower = ((total + strength[..., None, :-1]) / steps).masked_fill(steps <= 0, torch.inf)
    later = pad(lower.flip(-1).cummin(-1).values.flip(-1), (0, 1), value=torch.inf)[..., 1:]
    return upper.minimum(later).masked_fill(steps <= 0, -torch.inf).amax(-1)


def levels_in_graphs(
    scores: Float[Tensor, "*batch keys"], strength: Float[Tensor, "*batch places"]
) -> Float[Tensor, "*batch keys"]:
    """`levels_by_cuts` by a formula of keys x keys numbers, without a loop whose end depends on the scores.

    >>> double = torch.float64
    >>> levels_in_graphs(torch.tensor([0.0, 1.0, 5.0], dtype=double), torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=double))
    tensor([1., 1., 4.], dtype=torch.float64)
    """
    sums = pad(scores.cumsum(-1), (1, 0))
    low, high = lowest(sums, strength), -lowest(-sums, strength)
    # from the last key to the first, each takes the value of the next one, within its own bounds
    place = torch.arange(scores.shape[-1], device=scores.device)
    before = place < place.unsqueeze(-1)
    bound = high.unsqueeze(-2).masked_fill(before, torch.inf).cummin(-1).values
    bound = pad(bound, (1, 0), value=torch.inf)[..., :-1]
    return low.unsqueeze(-2).minimum(bound).masked_fill(before, -torch.inf).amax(-1)


@torch.no_grad()
def levels(
    scores: Float[Tensor, "*batch keys"], strength: Float[Tensor, "*batch places"]
) -> Float[Tensor, "*batch keys"]:
    """The values of the runs, in float64: small differences of large sums tell where a run ends."""
    scores, strength = scores.double(), strength.double()
    if torch.compiler.is_compiling():
        return levels_in_graphs(scores, strength)
    return levels_by_cuts(*(rows.reshape(-1, rows.shape[-1]) for rows in (scores, strength))).view(scores.shape)


def fuse(
    scores: Float[Tensor, "*batch keys"], strength: Float[Tensor, "*batch places"]
) -> Float[Tensor, "*batch keys"]:
    """`levels` with its gradient: the mean of each run, moved by the strength at both its ends.

    >>> fuse(torch.tensor([0.0, 1.0, 5.0]), torch.tensor([0.0, 1.0, 1.0, 0.0]))
    tensor([1., 1., 4.])
    """
    step = pad(levels(scores, strength), (1, 1)).diff()
    pull = step.sign().to(scores.dtype) * strength
    moved = scores + pull[..., 1:] - pull[..., :-1]
    # keys without a tie are no run, whatever they hold
    run = ((step != 0) | (strength == 0))[..., :-1].cumsum(-1) - 1
    total = torch.zeros_like(moved).scatter_add(-1, run, moved)
    size = torch.zeros_like(moved).scatter_add(-1, run, torch.ones_like(moved))
    return (total / size.clamp_min(1)).gather(-1, run)


class FusedmaxNormalizer(Normalizer):
    """`weights = argmin 0.5 sum (w - scores)^2 + strength sum |w[k + 1] - w[k]|` over the distributions.

    It is sparse, and neighbouring keys whose scores differ little get one weight together: whole phrases. The keys that
    a query may see are one chain, in their order; what is hidden between two of them is left out. The scores are
    smoothed first, then sparsemax is taken; the gradient is the mean over each run. The runs are sought in float64, all
    queries at once: in as many rounds as cuts lie inside each other, a logarithm of the keys but for scores that grow
    from key to key; in compiled code by a formula that needs keys x keys numbers for each query.

    Args:
        strength: what a step between neighbours costs, from 0 (`SparsemaxNormalizer`) up.

    Cost: time queries * keys * log(keys)^2; memory queries * keys.

    Raises:
        ValueError: the strength is negative or no number.

    >>> FusedmaxNormalizer(strength=0.1)(torch.tensor([[[1.0, 2.1, 1.9]]]), None)[0]
    tensor([[[0.0000, 0.5000, 0.5000]]])
    """

    source = NICULAE_2017(place="section on fusedmax")

    def __init__(self, strength: float = 0.1) -> None:
        super().__init__()
        _refusals.check_numbers(strength=strength)
        if not 0 <= strength < torch.inf:
            raise ValueError(f"strength is {strength}; expected what a step between neighbours costs, from 0 up.")
        self.strength = strength

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        finite, hidden = finite_rows(scores, mask, below=0.0)
        if not scores.shape[-1]:
            return finite, state
        # the visible keys first, in their order; those behind them have no ties
        order = hidden.byte().sort(dim=-1, stable=True).indices
        seen = ~hidden.gather(-1, order)
        strength = (pad(seen, (0, 1)) & pad(seen, (1, 0))).to(scores.dtype) * self.strength
        smooth = torch.zeros_like(finite).scatter(-1, order, fuse(finite.gather(-1, order), strength))
        # a value more than 1 below the largest has no weight
        smooth, _ = finite_rows(smooth, ~hidden, below=2.0)
        return erase(sparsemax(smooth), hidden), state
