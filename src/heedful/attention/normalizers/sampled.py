"""Stochastic hard attention: one key drawn by its chance, learned by REINFORCE (Xu et al. 2015, section 4.1)."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.attention.source import XU_2015

from .base import Normalizer, erase
from .gumbel import gumbel_like
from .hard import hardmax


@register_pytree
@dataclass(frozen=True)
class Drawn:
    """Of the queries so far, what `heedful.training.score_function_loss` needs.

    Attributes:
        log_prob: `[batch]`, sum over the queries of log softmax(scores) at the key drawn; 0 where `expected`.
        entropy: `[batch]`, sum over the queries of the entropy of softmax(scores), in nats.
        expected: `[batch]`, True where the expected weights stand in for draws.
    """

    log_prob: Float[Tensor, " batch"]
    entropy: Float[Tensor, " batch"]
    expected: Bool[Tensor, " batch"]


def log_chances(
    scores: Float[Tensor, "batch queries keys"], mask: Bool[Tensor, "#batch #queries #keys"] | None
) -> tuple[Float[Tensor, "batch queries keys"], Float[Tensor, "batch queries keys"]]:
    """Logarithm of the softmax over the visible keys, 0 where hidden; and the softmax, 0 where hidden.

    >>> log_chances(torch.zeros(1, 1, 2), torch.tensor([[[True, False]]]))
    (tensor([[[0., 0.]]]), tensor([[[1., 0.]]]))
    """
    hidden = scores == -torch.inf
    if mask is not None:
        hidden = hidden | ~mask
    # an empty row is taken over zeros and then erased: every intermediate value and gradient stays finite
    empty = hidden.all(-1, keepdim=True)
    logs = torch.log_softmax(scores.masked_fill(hidden, -torch.inf).masked_fill(empty, 0), -1)
    return erase(logs, hidden), erase(erase(logs, hidden).exp(), hidden)


class SampledHardNormalizer(Normalizer):
    """`weights = one_hot(k)`, `k ~ softmax(scores)`: the context is the value of one key, drawn at random.

    A draw has no gradient. The scores learn from `score_function_loss` (REINFORCE), for which the state carries what is
    needed (`output, state = attention.look(...)`, then `state.normalizer`); or, with `straight_through`, from the
    gradient of `softmax(scores)`, which is biased. `GumbelSoftmaxNormalizer` is the third way. Keys are drawn in
    training mode, for all queries of a call together.

    Args:
        expected: chance that a batch item reads `softmax(scores)` instead, for all its queries, which keeps the
            variance down. In the paper one draw decides for the whole batch.
        straight_through: give the draw the gradient of `softmax(scores)`; then there is no need for the loss.
        evaluation: in evaluation mode, "expected" (softmax, as in the authors' code), "best" (the best key) or
            "sample".

    State: `Drawn`, sums over the queries so far; the weights depend on its `expected` alone.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: `expected` is no chance, or `evaluation` is unknown.

    >>> normalizer = SampledHardNormalizer(expected=0.0)
    >>> weights, drawn = normalizer(torch.zeros(1, 2, 3), torch.tensor([[[False, True, True]]]))
    >>> weights.sum(-1), drawn.log_prob.exp()  # two draws of one half each
    (tensor([[1., 1.]]), tensor([0.2500]))
    """

    source = XU_2015(place="section 4.1")
    chooses = True

    def __init__(
        self,
        expected: float = 0.5,
        straight_through: bool = False,
        evaluation: Literal["expected", "best", "sample"] = "expected",
    ) -> None:
        super().__init__()
        _refusals.check_numbers(expected=expected)
        if not 0 <= expected <= 1:
            raise ValueError(f"expected is {expected}; it is the chance of no draw, from 0 to 1 (0.5 in the paper).")
        kinds = ("expected", "best", "sample")
        if evaluation not in kinds:
            raise _refusals.unknown_choice("evaluation", evaluation, kinds)
        self.expected, self.straight_through, self.evaluation = expected, straight_through, evaluation

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Drawn | None = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Drawn]:
        logs, soft = log_chances(scores, mask)
        state = self._begin(soft) if state is None else state
        sampled = self.training or self.evaluation == "sample"
        hard = hardmax(scores + gumbel_like(scores) if sampled else scores, mask)
        draws = ~state.expected.view(-1, 1, 1)
        drawn = Drawn(
            state.log_prob + (hard * logs).where(draws, 0).sum((1, 2)),
            state.entropy - (soft * logs).sum((1, 2)),
            state.expected,
        )
        if self.straight_through:
            # the bracket is exactly 0, so that the value stays exactly 0 or 1
            hard = hard + (soft - soft.detach())
        return torch.where(draws, hard, soft), drawn

    def _begin(self, weights: Tensor) -> Drawn:
        zeros = weights.new_zeros(weights.shape[0])
        if self.training:
            return Drawn(zeros, zeros, torch.rand_like(zeros) < self.expected)
        return Drawn(zeros, zeros, torch.full_like(zeros, self.evaluation == "expected", dtype=torch.bool))
