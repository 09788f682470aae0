"""Constrained sparsemax: each key has a budget (Malaviya et al. 2018)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from heedful.attention.source import MALAVIYA_2018

from ._budget import ConstrainedNormalizer

# halvings after which the threshold of the sparse form stands between two neighbouring numbers of float64
HALVINGS = 64


@torch.no_grad()
def threshold(
    scores: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], budget: Float[Tensor, "batch keys"]
) -> Float[Tensor, "batch 1"]:
    """`tau` with `sum_k min(max(scores[k] - tau, 0), budget[k]) = 1`, by halving; the smallest tried if budgets lack.

    >>> threshold(torch.zeros(1, 2), torch.tensor([[True, True]]), torch.ones(1, 2))
    tensor([[-0.5000]])
    """
    limit = torch.where(visible, budget, 0.0).clamp_max(1)
    high = pad(scores.masked_fill(~visible, -torch.inf), (0, 1), value=-torch.inf).amax(1, keepdim=True)
    low = pad((scores - limit).masked_fill(~visible, torch.inf), (0, 1), value=torch.inf).amin(1, keepdim=True)
    empty = ~visible.any(1, keepdim=True)
    high, low = high.masked_fill(empty, 0.0), low.masked_fill(empty, 0.0)
    for _ in range(HALVINGS):
        middle = (high + low) / 2
        enough = (scores - middle).clamp_min(0).minimum(limit).sum(1, keepdim=True) >= 1
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return low


def constrained_sparsemax(
    scores: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], budget: Float[Tensor, "batch keys"]
) -> Float[Tensor, "batch keys"]:
    """The distribution nearest to the scores in Euclidean distance with no weight above its budget.

    >>> every = torch.tensor([[True, True, True]])
    >>> constrained_sparsemax(torch.tensor([[3.0, 1.0, 0.9]]), every, torch.tensor([[0.5, 1.0, 1.0]]))
    tensor([[0.5000, 0.3000, 0.2000]])
    """
    tau = threshold(scores, visible, budget)
    full = visible & (budget < 1) & (scores - budget >= tau)
    some = visible & ~full & (scores > tau)
    left = 1 - torch.where(full, budget, 0.0).sum(1, keepdim=True)
    # the threshold once more, as a function of scores and budgets that gradients flow through
    tau = (torch.where(some, scores, 0.0).sum(1, keepdim=True) - left) / some.sum(1, keepdim=True).clamp_min(1)
    weights = torch.where(full, budget, torch.where(some, scores - tau, 0.0).clamp_min(0))
    return torch.where(weights > budget, budget, weights)


class ConstrainedSparsemaxNormalizer(ConstrainedNormalizer):
    """`weights[q, k] = min(max(scores[q, k] - tau, 0), fertility - sum_{j < q} weights[j, k])`.

    Each row sums to 1, by its `tau`, while the budgets of its visible keys do; then it takes what is left. Gradients
    reach the earlier queries through the budgets. One query at a time: a call over many scans them.

    Args:
        fertility: what a key may receive from all queries together.
        sink: the last visible key has no limit, and takes what no other can.
        exhaustion: what is left of its budget, times this, is added to the score of each key that has one, so that
            every key is attended to in the end; the paper takes 0.2.
        strict: refuse a query whose visible keys may not receive 1 together; it waits for the device.
        detach_state: keep gradients from the earlier queries, which are part of the model otherwise.

    State: what is left of each budget `[batch, keys]`. A first state of one's own gives each key its own fertility.

    Cost: time queries * keys * 64 halvings, one query after another; memory queries * keys.

    Raises:
        ValueError: the fertility is not positive, the exhaustion negative, or with `strict` the budgets too small.

    >>> weights, left = ConstrainedSparsemaxNormalizer(fertility=0.75)(torch.tensor([[[9.0, 1.0, 0.0]]]), None)
    >>> weights, left
    (tensor([[[0.7500, 0.2500, 0.0000]]]), tensor([[0.0000, 0.5000, 0.7500]]))
    """

    source = MALAVIYA_2018(place="section on constrained sparsemax")
    project = staticmethod(constrained_sparsemax)
