"""Forward attention with a transition agent: the chance to move on is predicted (Zhang, Ling and Dai 2018)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from heedful import _refusals
from heedful.attention.source import ZHANG_2018

from ._alignment import first_place, grown, kept_where_empty, moved, one_hot
from .base import Normalizer


def forward_transition_log_weights(
    scores: Float[Tensor, "batch keys"],
    moves: Float[Tensor, "batch keys"],
    visible: Bool[Tensor, "batch keys"],
    previous: Float[Tensor, "batch keys"],
) -> Float[Tensor, "batch keys"]:
    """`log softmax(scores + log((1 - u) exp previous[n] + u exp previous[n - 1]))`, `u = sigmoid(moves)`.

    Minus infinity at hidden and unreached keys.

    Args:
        scores: `[batch, keys]`, finite.
        moves: `[batch, keys]`, log-odds of having come from the key before, finite.
        visible: `[batch, keys]`.
        previous: logarithms of the last weights, minus infinity where there is none.

    >>> start, third = torch.tensor([[1.0, 0.0, 0.0]]).log(), torch.full((1, 3), 0.5).logit() + torch.tensor(2.0).log()
    >>> forward_transition_log_weights(torch.zeros(1, 3), third, torch.ones(1, 3, dtype=torch.bool), start).exp()
    tensor([[0.3333, 0.6667, 0.0000]])
    """
    beside = moved(previous, -torch.inf)
    stays, moves_on = previous > -torch.inf, beside > -torch.inf
    reached = visible & (stays | moves_on)
    # where neither key leads here, the logarithms are replaced: their gradient would be NaN
    stay = torch.where(stays, previous, 0.0) + logsigmoid(-moves)
    move = torch.where(moves_on, beside, 0.0) + logsigmoid(moves)
    both = torch.logaddexp(stay, move)
    paths = torch.where(stays & moves_on, both, torch.where(stays, stay, move))
    empty = ~reached.any(1, keepdim=True)
    logits = torch.where(reached, scores + paths, -torch.inf).masked_fill(empty, 0.0)
    return torch.log_softmax(logits, 1).masked_fill(~reached, -torch.inf)


class ForwardTransitionNormalizer(Normalizer):
    """`weights[q, n] ~ ((1 - u) weights[q - 1, n] + u weights[q - 1, n - 1]) exp(scores[q, n])`, u: chance to move.

    Reads two scores of each key, as `TransitionScore` gives them: the score, and the log-odds of u, which depend on the
    query and context before. All else is as in `ForwardNormalizer`, which is this with u one half. (ESPnet's u is the
    chance to stay.) One query at a time: a call over many scans them.

    Args:
        speed: added to the log-odds in evaluation mode: above 0 it moves on sooner, below 0 later.

    State: logarithms of the last weights `[batch, keys]`.

    Cost: time queries * keys, one query after another; memory queries * keys.

    Raises:
        ValueError: the speed is not finite.

    >>> normalizer = ForwardTransitionNormalizer(speed=1000.0).eval()
    >>> normalizer(torch.zeros(1, 2, 4), None)[0]
    tensor([[[0., 1., 0., 0.]]])
    """

    source = ZHANG_2018(place="algorithm 2")
    stateful = True
    energies = 2

    def __init__(self, speed: float = 0.0) -> None:
        super().__init__()
        _refusals.check_numbers(speed=speed)
        if not -torch.inf < speed < torch.inf:
            raise ValueError(f"speed is {speed}; expected a finite number to add to log-odds (0 changes nothing).")
        self.speed = speed

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """All weight on the first visible key."""
        return one_hot(first_place(visible), visible.to(dtype)).log()

    def forward(
        self,
        scores: Float[Tensor, "batch 2 keys"],
        mask: Bool[Tensor, "#batch 1 #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        seen = (scores != -torch.inf).all(1, keepdim=True)
        seen = seen if mask is None else seen & mask
        energy, moves = torch.where(seen, scores, 0.0).unbind(1)
        visible = seen.squeeze(1)
        state = self.begin(visible, energy.dtype) if state is None else state
        previous = grown(state, energy.shape[1], -torch.inf)
        moves = moves if self.training else moves + self.speed
        logs = forward_transition_log_weights(energy, moves, visible, previous)
        return logs.exp().unsqueeze(1), kept_where_empty(logs, previous, logs > -torch.inf)
