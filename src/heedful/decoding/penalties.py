"""What a search takes off the score of a hypothesis that left source words unread (Wu et al. 2016, section 7)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

# a key that was never read counts as if it had been read so much: the paper's logarithm would end all comparison
LEAST_COVERAGE = 1e-6


def coverage_penalty(
    coverage: Float[Tensor, "rows keys"], lengths: Int[Tensor, " rows"], strength: float
) -> Float[Tensor, " rows"]:
    """`strength * sum_k ln(min(coverage[k], 1))`, never positive; 0 where each key was read once in total, or more.

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
