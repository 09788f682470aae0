"""REINFORCE for attention that draws its key: Xu et al. 2015 (https://arxiv.org/abs/1502.03044), equations 11 to 13."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class ScoreFunctionLoss(NamedTuple):
    """The loss, summed over the batch, and the baseline for the next batch."""

    total: Float[Tensor, ""]
    baseline: Float[Tensor, ""]


def score_function_loss(
    log_likelihood: Float[Tensor, " batch"],
    log_prob: Float[Tensor, " batch"],
    entropy: Float[Tensor, " batch"],
    baseline: Float[Tensor, ""] | float = 0.0,
    reward_weight: float = 0.1,
    entropy_weight: float = 0.002,
) -> ScoreFunctionLoss:
    """Sum over the batch of `-log p(y | s) - r (log p(y | s) - b) log p(s) - e H`: draws s that helped become likelier.

    The bracket is a constant to the gradient, whose mean over the draws is, with `r = 1` and `e = 0`, the gradient of
    the expectation of `-log p(y | s)`, whatever the baseline b. Weights r and e are those of the authors' code.

    Args:
        log_likelihood: log p(y | s) of each target, given what was drawn.
        log_prob: log p(s), from `SampledHardNormalizer`'s state.
        entropy: H of the weights that the draws were made from, from the same state.
        baseline: b, a running mean of the likelihoods: what the last call returned.
        reward_weight: r, from 0 up.
        entropy_weight: e, from 0 up; keeps the draws varied.

    Returns:
        the loss, and the next baseline, `0.9 b + 0.1 mean log p(y | s)`; b itself after an empty batch.

    Source: Xu et al.: Show, Attend and Tell: Neural Image Caption Generation with Visual Attention, 2015, equations
    11 to 13.

    Cost: time batch; memory batch.

    >>> score_function_loss(torch.tensor([-2.0]), torch.tensor([-0.5]), torch.tensor([0.0]), baseline=-3.0)
    ScoreFunctionLoss(total=tensor(2.0500), baseline=tensor(-2.9000))
    """
    before = torch.as_tensor(baseline).to(log_likelihood)
    reward = log_likelihood.detach()
    advantage = reward_weight * (reward - before)
    total = -(log_likelihood + advantage * log_prob + entropy_weight * entropy).sum()
    after = 0.9 * before + 0.1 * reward.mean() if len(reward) else before
    return ScoreFunctionLoss(total, after)
