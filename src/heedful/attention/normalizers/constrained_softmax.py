"""Constrained softmax: each key has a budget (Martins and Kreutzer 2017)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from heedful.attention.source import MARTINS_2017
from heedful.functional import masked_softmax

from ._budget import ConstrainedNormalizer


@torch.no_grad()
def exhausted(
    scores: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], budget: Float[Tensor, "batch keys"]
) -> Bool[Tensor, "batch keys"]:
    """The keys whose softmax would exceed their budget, after what the others before them could not take is shared out.

    In the order of `budget / exp(score)`, all at once: a key is exhausted if all before it are and its own share of
    what is left, `c exp(score)` with `c = (1 - spent) / sum exp(score of the rest)`, is above its budget. In
    logarithms, for the rest may lie far below the largest score. The paper clips and shares out again, round by round.

    >>> exhausted(torch.zeros(1, 3), torch.tensor([[True] * 3]), torch.tensor([[0.2, 0.35, 1.0]]))
    tensor([[ True,  True, False]])
    """
    logs = scores.masked_fill(~visible, -torch.inf)
    ratio, order = torch.where(visible, budget.log() - scores, torch.inf).sort(1)
    rest = logs.gather(1, order).flip(1).logcumsumexp(1).flip(1)
    spent = pad(torch.where(visible, budget, 0.0).gather(1, order).cumsum(1), (1, 0))[:, : scores.shape[1]]
    over = (1 - spent).clamp_min(0).log() - rest > ratio
    return torch.zeros_like(visible).scatter(1, order, (~over).cumsum(1) == 0)


def constrained_softmax(
    scores: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], budget: Float[Tensor, "batch keys"]
) -> Float[Tensor, "batch keys"]:
    """The distribution nearest to `softmax(scores)` in relative entropy with no weight above its budget.

    >>> every = torch.tensor([[True, True, True]])
    >>> constrained_softmax(torch.zeros(1, 3), every, torch.tensor([[0.2, 1.0, 1.0]]))
    tensor([[0.2000, 0.4000, 0.4000]])
    """
    full = exhausted(scores, visible, budget)
    spent = torch.where(full, budget, 0.0)
    rest = masked_softmax(scores.unsqueeze(1), (visible & ~full).unsqueeze(1)).squeeze(1)
    weights = torch.where(full, budget, rest * (1 - spent.sum(1, keepdim=True)))
    return torch.where(weights > budget, budget, weights)


class ConstrainedSoftmaxNormalizer(ConstrainedNormalizer):
    """`weights[q, :] = argmin KL(w || softmax(scores[q, :]))` over `w[k] <= fertility - sum_{j < q} weights[j, k]`.

    Each row sums to 1 while the budgets of its visible keys do; then it takes what is left. Gradients reach the earlier
    queries through the budgets. One query at a time: a call over many scans them.

    Args:
        fertility: what a key may receive from all queries together.
        sink: the last visible key has no limit, and takes what no other can.
        exhaustion: what is left of its budget, times this, is added to the score of each key that has one, so that
            every key is attended to in the end (Malaviya et al. 2018 take 0.2).
        strict: refuse a query whose visible keys may not receive 1 together; it waits for the device.
        detach_state: keep gradients from the earlier queries, which are part of the model otherwise.

    State: what is left of each budget `[batch, keys]`. A first state of one's own gives each key its own fertility.

    Cost: time queries * keys * log keys, one query after another; memory queries * keys.

    Raises:
        ValueError: the fertility is not positive, the exhaustion negative, or with `strict` the budgets too small.

    >>> weights, left = ConstrainedSoftmaxNormalizer(fertility=0.75)(torch.tensor([[[9.0, 0.0]]]), None)
    >>> weights, left
    (tensor([[[0.7500, 0.2500]]]), tensor([[0.0000, 0.5000]]))
    """

    source = MARTINS_2017(place="section on constrained softmax")
    project = staticmethod(constrained_softmax)
