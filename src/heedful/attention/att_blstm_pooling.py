"""Pooling of a bidirectional LSTM by a learned vector (Zhou et al. 2016)."""

import torch
from torch import Tensor, nn

from .pooling import Pooled, Pooling, additive_pool
from .source import ZHOU_2016


class AttBlstmPooling(Pooling):
    """`tanh(sum of weights * step)` with `weights = softmax(w . tanh(step))`: no projection, no bias.

    In the paper a step is the sum of both directions of an LSTM.

    Args:
        dim: features of a step.

    Parameters: `weight [dim]`, normal with standard deviation `dim ** -0.5`.

    Cost: time steps * dim; memory steps.

    Raises:
        ValueError: the size is not positive.

    >>> AttBlstmPooling(dim=5)(torch.zeros(2, 4, 5)).vector.shape
    torch.Size([2, 5])
    """

    source = ZHOU_2016(place="equations 9 to 12")

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.weight = nn.Parameter(torch.empty(dim))
        nn.init.normal_(self.weight, std=dim**-0.5)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        query = steps.new_zeros(steps.shape[0], 1, steps.shape[2])
        vector, weights = additive_pool(query, steps, steps, self.weight, visible, need_weights)
        return Pooled(torch.tanh(vector), weights)  # pyright: ignore[reportArgumentType]: never None
