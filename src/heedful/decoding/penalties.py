"""What counts in the order of hypotheses besides their probability: their length, unread words, repeated tokens."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

# a key that was never read counts as if it had been read so much: the paper's logarithm would end all comparison
LEAST_COVERAGE = 1e-6


_LEAST_AND_COMMON = (("length", 0, 0.6), ("coverage", 0, 0.2), ("overcoverage", 0, 5), ("repetition", 1, 1.2))


@dataclass(frozen=True)
class Penalties:
    """How strongly each counts; one that is off costs no time.

    Args:
        length: a sum of log-probabilities is divided by `((5 + len) / 6) ** length`, where `len` counts EOS (Wu et al.
            2016, eq. 14). 0 ranks by probability, which favours the short; 1 nearly by mean log-probability.
        coverage: how much the logarithm of what each source position received counts, see `coverage_penalty`; in the
            order of what ended alone, not in which hypotheses grow. 0.2 is the paper's; 0 needs no attention.
        repetition: by what the logit of a token that was said before is made smaller at every step, see
            `repetition.discouraged`; 1.2 is the paper's, 1 leaves it alone.
        overcoverage: how much it counts that source positions were read more than once in total, see
            `overcoverage_penalty`; for summaries, which repeat themselves. 0 needs no attention.

    Raises:
        ValueError: a number out of range.
    """

    length: float = 0.6
    coverage: float = 0.0
    repetition: float = 1.0
    overcoverage: float = 0.0

    def __post_init__(self) -> None:
        for name, least, common in _LEAST_AND_COMMON:
            if not least <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"the {name} penalty is {getattr(self, name)}; use {least} (none) or more, {common} being common"
                )

    @property
    def reads_coverage(self) -> bool:
        """Whether what each source position received counts."""
        return self.coverage > 0 or self.overcoverage > 0


def coverage_penalty(
    coverage: Float[Tensor, "rows keys"], lengths: Int[Tensor, " rows"], strength: float
) -> Float[Tensor, " rows"]:
    """`strength * sum_k ln(min(coverage[k], 1))`, never positive; 0 where each key was read once in total, or more.

    What a search takes off the score of a hypothesis that left source words unread (Wu et al. 2016, section 7).

    Args:
        coverage: the sum of the weights that each key received, `[rows, keys]`.
        lengths: keys of each row that are not padding.
        strength: the paper's beta, from 0 up.

    Source: Wu et al.: Google's Neural Machine Translation System: Bridging the Gap between Human and Machine
    Translation, 2016, section 7, equation 14.

    Cost: time keys; memory keys.

    >>> coverage_penalty(torch.tensor([[2.0, 0.5, 0.0]]), torch.tensor([2]), strength=1.0)
    tensor([-0.6931])
    """
    logs = coverage.clamp(LEAST_COVERAGE, 1).log()
    real = torch.arange(coverage.shape[1], device=coverage.device) < lengths[:, None]
    return strength * logs.masked_fill(~real, 0).sum(1)


def overcoverage_penalty(
    coverage: Float[Tensor, "rows keys"], lengths: Int[Tensor, " rows"], strength: float
) -> Float[Tensor, " rows"]:
    """`-strength * sum_k (max(coverage[k], 1) - 1)`: 0 where no key was read more than once in total.

    What a search takes off the score of a hypothesis that reads source words again.

    Source: Klein et al.: OpenNMT: Open-Source Toolkit for Neural Machine Translation, 2017, function "summary" of the
    penalties in its PyTorch code.

    Cost: time keys; memory keys.

    Args:
        coverage: the sum of the weights that each key received, `[rows, keys]`.
        lengths: keys of each row that are not padding.
        strength: from 0 up.

    >>> overcoverage_penalty(torch.tensor([[2.0, 0.5, 3.0]]), torch.tensor([2]), strength=1.0)
    tensor([-1.])
    """
    real = torch.arange(coverage.shape[1], device=coverage.device) < lengths[:, None]
    return -strength * ((coverage - 1).clamp_min(0) * real).sum(1)
