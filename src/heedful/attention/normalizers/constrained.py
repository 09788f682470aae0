"""Constrained softmax and sparsemax: each key has a budget (Martins and Kreutzer 2017; Malaviya et al. 2018)."""

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

from heedful.attention.source import MALAVIYA_2018, MARTINS_2017
from heedful.functional import masked_softmax

from ._alignment import grown, last_place, one_hot, readable
from .base import Normalizer

# halvings after which the threshold of the sparse form stands between two neighbouring numbers of float64
HALVINGS = 64


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
    return torch.zeros_like(visible).scatter(1, order, over.cumprod(1).bool())


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


def _check_enough(visible: Tensor, budget: Tensor) -> None:
    """Refuse a query whose visible keys may not receive 1 together.

    Raises:
        ValueError: naming the first such batch item.
    """
    room = torch.where(visible, budget, 0.0).sum(1).masked_fill(~visible.any(1), 1.0)
    # sums of many weights end a few roundings short
    short = (room < 1 - 1e-4).nonzero()
    if len(short):
        item = int(short[0])
        raise ValueError(
            f"the visible keys of batch item {item} may receive {float(room[item]):.3g} more in all; expected 1 for "
            "each query. Raise the fertility, use sink=True, or strict=False for rows that take what is left."
        )


class _Constrained(Normalizer):
    """Budgets: their first values, the score bonus of what is left, and the update."""

    stateful = True

    def __init__(
        self,
        fertility: float = 2.0,
        sink: bool = False,
        exhaustion: float = 0.0,
        strict: bool = False,
        detach_state: bool = False,
    ) -> None:
        super().__init__()
        if not fertility > 0:
            raise ValueError(f"fertility is {fertility}; expected the weight that a key may receive in all, above 0.")
        if not exhaustion >= 0:
            raise ValueError(
                f"exhaustion is {exhaustion}; expected 0 for none, or a positive number: the paper has 0.2."
            )
        self.fertility, self.sink, self.exhaustion = fertility, sink, exhaustion
        self.strict, self.detach_state = strict, detach_state

    def forward(
        self,
        scores: Float[Tensor, "batch 1 keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        energy, visible = readable(scores, mask)
        budget = self._budget(energy, visible, state)
        if self.strict:
            _check_enough(visible, budget)
        if self.exhaustion:
            # an infinite budget, that of the sink, adds nothing
            energy = energy + self.exhaustion * torch.where(visible & budget.isfinite(), budget, 0.0)
        weights = self.project(energy, visible, budget)
        left = budget - weights
        return weights.unsqueeze(1), left.detach() if self.detach_state else left

    @staticmethod
    @abstractmethod
    def project(scores: Tensor, visible: Tensor, budget: Tensor) -> Tensor:
        """The nearest distribution within the budgets."""

    def _budget(self, energy: Tensor, visible: Tensor, state: Tensor | None) -> Tensor:
        if state is not None:
            return grown(state, energy.shape[1], self.fertility)
        budget = torch.full_like(energy, self.fertility)
        return torch.where(one_hot(last_place(visible), energy) > 0, torch.inf, budget) if self.sink else budget


class ConstrainedSoftmaxNormalizer(_Constrained):
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


class ConstrainedSparsemaxNormalizer(_Constrained):
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
