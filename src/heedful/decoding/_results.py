"""What has ended, and what was looked at on the way: from rows of tensors to hypotheses."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful._pytree import register_pytree
from heedful.models.protocol import StepOutput

from .hypothesis import Hypothesis, score_of


@register_pytree
@dataclass(frozen=True)
class Trail:
    """What the open hypotheses have said.

    Attributes:
        tokens, log_probs: of every step, the latter the model's own.
        ranks: log-probabilities as the penalty for repetition left them; None where there is none.
        looks: the places of their weights in the results.
        coverage: what each key received in all; without keys where nobody asks for it.
    """

    tokens: Int[Tensor, "rows steps"]
    log_probs: Float[Tensor, "rows steps"]
    ranks: Float[Tensor, "rows steps"] | None
    looks: Int[Tensor, "rows steps"]
    coverage: Float[Tensor, "rows keys"]

    def totals(self) -> Float[Tensor, " rows"]:
        """By which open hypotheses are compared."""
        return (self.log_probs if self.ranks is None else self.ranks).sum(1)


@dataclass(frozen=True)
class Ended:
    """A hypothesis that will not grow, in the order in which `hypotheses` ranks."""

    tokens: list[int]
    log_probs: list[float]
    ranks: list[float]
    looks: list[int]
    penalty: float
    finished: bool


class Results:
    """What ended, sentence by sentence, and the weights of every step.

    Args:
        keys: how many there are of each source.
    """

    def __init__(self, keys: list[int]) -> None:
        self.keys = keys
        self.ended: list[list[Ended]] = [[] for _ in keys]
        self.log: list[tuple[Tensor, ...]] = []
        self.first = self.logged = 0

    def look(self, output: StepOutput, need_heads: bool) -> None:
        """Keep what the rows of this step looked at; row `i` gets the number `first + i`."""
        if output.weights is not None:
            self.log.append((output.weights, *(output.heads if need_heads else ())))
            self.first, self.logged = self.logged, self.logged + len(output.weights)

    def record(self, sentence: Tensor, trail: Trail, penalties: Tensor, finished: Tensor) -> None:
        """Keep rows that ended."""
        columns = (sentence, trail.tokens, trail.log_probs, trail.looks, penalties, finished)
        places, tokens, log_probs, *rest = (column.tolist() for column in columns)
        ranks = log_probs if trail.ranks is None else trail.ranks.tolist()
        for place, *columns in zip(places, tokens, log_probs, ranks, *rest, strict=True):
            self.ended[place].append(Ended(*columns))

    def hypotheses(self, most: int, length_penalty: float) -> list[list[Hypothesis]]:
        """Up to `most` of what ended, for each sentence: finished ones first, then by score."""
        log = [torch.cat(parts).cpu() for parts in zip(*self.log, strict=True)]
        found = []
        for keys, ended in zip(self.keys, self.ended, strict=True):
            scored = [(not one.finished, -score_of(one.ranks, length_penalty) - one.penalty, one) for one in ended]
            scored.sort(key=lambda entry: entry[:2])
            found.append([_hypothesis(one, -cost, log, keys) for _, cost, one in scored[:most]])
        return found


def _hypothesis(ended: Ended, score: float, log: list[Tensor], keys: int) -> Hypothesis:
    said = len(ended.tokens) - ended.finished  # without EOS
    looks = torch.tensor(ended.looks[:said], dtype=torch.long)
    parts = [part[looks][..., :keys] for part in log]
    weights, heads = parts[0] if parts else None, tuple(part.movedim(0, 2) for part in parts[1:])
    return Hypothesis(ended.tokens[:said], ended.log_probs, score, weights, ended.finished, heads)
