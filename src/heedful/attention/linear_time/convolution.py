"""What light and dynamic convolution share: weights over the nearest steps, of no key (Wu et al. 2019)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.attention.scores.base import check_sizes
from heedful.functional import widen
from heedful.layers import Linear

from .sums import chunks_of, with_neighbours


def convolve(
    value: Float[Tensor, "batch heads steps dim"], kernel: Float[Tensor, "batch heads steps taps"], left: int
) -> Float[Tensor, "batch heads steps dim"]:
    """`sum over t of kernel[q, t] value[q - left + t]`; there are zeros before the first step and after the last.

    >>> value = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 3, 1)
    >>> convolve(value, torch.ones(1, 1, 3, 2), left=1).flatten()
    tensor([1., 3., 6.])
    """
    steps, taps = kernel.shape[2:]
    size, right = max(taps - 1, 1), taps - 1 - left
    place = torch.arange(size, device=kernel.device).unsqueeze(1) + torch.arange(taps, device=kernel.device)
    place = place + (size - left if left else 0)
    values, kernels = with_neighbours(value, size, left, right), chunks_of(kernel, size)
    # as many products of small matrices as there are chunks: a window of its own for each step would be copied
    band = kernels.new_zeros(*kernels.shape[:-1], values.shape[-2]).scatter(-1, place.expand(kernels.shape), kernels)
    return (band @ values).flatten(2, 3)[:, :, :steps]


def banded(kernel: Float[Tensor, "batch heads steps taps"], left: int) -> Float[Tensor, "batch heads steps steps"]:
    """The convolution as a matrix.

    >>> banded(torch.ones(1, 1, 3, 2), left=1).squeeze()
    tensor([[1., 0., 0.],
            [1., 1., 0.],
            [0., 1., 1.]])
    """
    steps, taps = kernel.shape[2:]
    place = torch.arange(steps, device=kernel.device)
    tap = place - place.unsqueeze(1) + left
    inside = (tap >= 0) & (tap < taps)
    return kernel.gather(-1, tap.clamp(0, taps - 1).expand(*kernel.shape[:2], -1, -1)).masked_fill(~inside, 0)


@register_pytree
@dataclass(frozen=True)
class LastValuesMemory:
    """The values that the last query sees.

    Attributes:
        value: `[batch, heads, kernel_size, head_dim]`, zeros before the first.
    """

    value: Float[Tensor, "batch heads taps head_dim"]


NOT_CAUSAL = "it is not causal, so that a query sees steps after its own"


def reach_left(kernel_size: int, causal: bool) -> int:
    """Steps seen before the query's own."""
    check_sizes(kernel_size=kernel_size)
    if not causal and kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size is {kernel_size}; expected an odd number, as many steps on each side, or causal=True."
        )
    return kernel_size - 1 if causal else kernel_size // 2


def gated_proj(dim: int) -> nn.Module:
    """A linear layer and the gate of a gated linear unit."""
    return nn.Sequential(Linear(dim, 2 * dim, bias=False), nn.GLU())


def attend_nearest(
    kernel: Tensor, value: Tensor, left: int, visible: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """What each head reads with a kernel for each place, and the matrix by which it does, on request."""
    context = convolve(widen(value), kernel, left).to(value.dtype)
    if not need_weights:
        return context, None
    weights = banded(kernel, left).to(value.dtype)
    return context, weights if visible is None else weights.masked_fill(~visible.unsqueeze(2), 0)


def last_values(memory: LastValuesMemory | None, value: Tensor, taps: int) -> LastValuesMemory:
    """The memory with further values, of which as many stay as the kernel sees."""
    before = value.new_zeros(*value.shape[:2], taps, value.shape[3]) if memory is None else memory.value
    return LastValuesMemory(torch.cat((before, value), 2)[:, :, -taps:])
