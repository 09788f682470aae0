"""Forward attention: only alignments that stay or advance by one key count (Zhang, Ling and Dai 2018)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import ZHANG_2018

from ._alignment import first_place, grown, kept_where_empty, moved, one_hot, readable
from .base import Normalizer


def forward_log_weights(
    scores: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    previous: Float[Tensor, "batch keys"],
) -> Float[Tensor, "batch keys"]:
    """`log softmax(scores + log(exp previous[n] + exp previous[n - 1]))`; minus infinity at hidden and unreached keys.

    Args:
        scores: `[batch, keys]`, finite.
        visible: `[batch, keys]`.
        previous: logarithms of the last weights, minus infinity where there is none.

    >>> start = torch.tensor([[1.0, 0.0, 0.0]]).log()
    >>> forward_log_weights(torch.zeros(1, 3), torch.tensor([[True, True, True]]), start).exp()
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    beside = moved(previous, -torch.inf)
    reached = visible & ((previous > -torch.inf) | (beside > -torch.inf))
    # where neither key leads here both logarithms are replaced: their gradient would be NaN
    paths = torch.logaddexp(torch.where(reached, previous, 0.0), torch.where(reached, beside, 0.0))
    empty = ~reached.any(1, keepdim=True)
    logits = torch.where(reached, scores + paths, -torch.inf).masked_fill(empty, 0.0)
    return torch.log_softmax(logits, 1).masked_fill(~reached, -torch.inf)


class ForwardNormalizer(Normalizer):
    """`weights[q, n] ~ (weights[q - 1, n] + weights[q - 1, n - 1]) exp(scores[q, n])`, each row summing to 1.

    It begins with all weight on the first visible key; query `t`, from 0, reaches keys up to `t + 1` after it, and a
    target shorter than the memory does not reach its end. A row whose reachable keys are all hidden is empty. Kept in
    logarithms, so that a key of vanishing weight can come back. One query at a time: a call over many scans them.
    `AttentionWindow(1, 2, "largest")` beside it keeps it near its best key in evaluation mode, as some code does.

    State: logarithms of the last weights `[batch, keys]`.

    Cost: time queries * keys, one query after another; memory queries * keys.

    >>> weights, state = ForwardNormalizer()(torch.zeros(1, 1, 4), None)
    >>> weights, ForwardNormalizer()(torch.zeros(1, 1, 4), None, state)[0]
    (tensor([[[0.5000, 0.5000, 0.0000, 0.0000]]]), tensor([[[0.2500, 0.5000, 0.2500, 0.0000]]]))
    """

    source = ZHANG_2018(place="algorithm 1")
    stateful = True

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """All weight on the first visible key."""
        return one_hot(first_place(visible), visible.to(dtype)).log()

    def forward(
        self,
        scores: Float[Tensor, "batch 1 keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        energy, visible = readable(scores, mask)
        state = self.begin(visible, energy.dtype) if state is None else state
        previous = grown(state, energy.shape[1], -torch.inf)
        logs = forward_log_weights(energy, visible, previous)
        reached = logs > -torch.inf
        return logs.exp().unsqueeze(1), kept_where_empty(logs, previous, reached)
