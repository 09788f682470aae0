"""How to decode, as one value: what every method takes."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from .constraints import Constraints
from .penalties import Penalties


@dataclass(frozen=True)
class Sampling:
    """Draw the next token instead of searching for the best output; see `sample`.

    Args:
        temperature: above 1 flatter, below 1 sharper.
        top_k: how many tokens may be drawn; None is all.
        top_p: the probability, above 0 and up to 1, that the tokens to draw from hold together; None is 1.
        min_p: the share of the best token's probability, from 0 to 1, that a token needs; None is 0.
        generator: the source of chance; the same seed gives the same result. torch's own when left out.

    Raises:
        ValueError: a number out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    generator: torch.Generator | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"temperature is {self.temperature}; use a number above 0, or greedy search for the limit at 0"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}; draw from at least 1 token, or pass None for all")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; use a probability above 0 and up to 1, or None for all")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p is {self.min_p}; use a share from 0 to 1, or None for all")


@dataclass(frozen=True)
class Decoding:
    """Which method decodes, and what it may say; each method reads what concerns it, and `decode` chooses by it.

    Args:
        beam: how many hypotheses each sentence keeps, all groups together; 1 is greedy search.
        nbest: how many to return, up to `beam`; of sampling, how many to draw.
        groups: a divisor of `beam`; from 2 on, the beam is made of so many that keep away from each other.
        diversity: what a token that an earlier group chose loses, as a log-probability; 0.2 to 0.8 are common.
        sampling: draw at random instead; the beam has no say then.
        constraints: what may be said.
        penalties: what counts besides the probability.
        need_weights: True fills `Hypothesis.weights`; "heads" also `Hypothesis.heads`, which takes much more memory.

    Raises:
        ValueError: a number out of range, or parts that do not go together.

    >>> Decoding(beam=5, nbest=2, constraints=Constraints(max_length=100)).penalties.length
    0.6
    """

    beam: int = 5
    nbest: int = 1
    groups: int = 1
    diversity: float = 0.5
    sampling: Sampling | None = None
    constraints: Constraints = field(default_factory=Constraints)
    penalties: Penalties = field(default_factory=Penalties)
    need_weights: bool | Literal["heads"] = False

    def __post_init__(self) -> None:
        beam, nbest = self.beam, self.nbest
        if beam < 1:
            raise ValueError(f"beam is {beam}; keep at least 1 hypothesis, which is greedy search")
        if nbest < 1 or (nbest > beam and not self.sampling):
            raise ValueError(f"nbest is {nbest}; a beam of {beam} can return 1 to {beam} hypotheses, so widen the beam")
        if self.groups < 1 or beam % self.groups:
            raise ValueError(
                f"beam is {beam} and groups {self.groups}; use numbers from 1 up, the beam a multiple of the groups"
            )
        if not 0 <= self.diversity < float("inf"):
            raise ValueError(f"diversity is {self.diversity}; use 0 (groups that do not see each other) or more")
        if self.constraints.required and (self.sampling or self.groups > 1):
            method = "sampling" if self.sampling else "a beam of several groups"
            raise ValueError(f"{method} cannot plan for what is required; use beam search: no sampling, and groups=1")
