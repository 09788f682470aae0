"""Light and dynamic convolution: softmax weights over the nearest steps, of no key (Wu et al. 2019)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from heedful._pytree import register_pytree
from heedful.attention.scores.base import check_sizes
from heedful.attention.source import WU_2019
from heedful.functional import widen
from heedful.layers import Linear

from .base import LinearTimeAttention


def convolve(
    value: Float[Tensor, "batch heads steps dim"], kernel: Float[Tensor, "batch heads steps taps"], left: int
) -> Float[Tensor, "batch heads steps dim"]:
    """`sum over t of kernel[q, t] value[q - left + t]`; there are zeros before the first step and after the last.

    >>> value = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 3, 1)
    >>> convolve(value, torch.ones(1, 1, 3, 2), left=1).flatten()
    tensor([1., 3., 6.])
    """
    taps = kernel.shape[-1]
    # one window more, so that there is one without a step, too
    around = functional.pad(value, (0, 0, left, taps - left)).unfold(2, taps, 1)[:, :, :-1]
    return torch.einsum("bhsdt,bhst->bhsd", around, kernel)


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


class LightConvolution(LinearTimeAttention):
    """`sum over t of softmax(kernel)[t] value[q - left + t]`: each head has one kernel for all places.

    Neither query nor key takes part: how near a step is decides alone. Value is `GLU(W_v x)`. At both ends, and where a
    step is hidden, its weight is lost: no other grows by it.

    Args:
        dim: features of a query, a value and the context.
        kernel_size: steps that are seen.
        num_heads: heads of `dim / num_heads` features.
        causal: a query sees itself and the steps before it; otherwise as many on both sides, of an odd number.

    Parameters: `kernel [num_heads, kernel_size]`, Glorot uniform, `value_proj.0.weight [2 dim, dim]` and
    `output_proj.weight [dim, dim]`, as `nn.Linear` starts them.

    Raises:
        ValueError: a size is not positive, heads of one size do not fit, or an even kernel that is not causal.

    >>> steps = torch.ones(1, 5, 6)
    >>> LightConvolution(6, kernel_size=3, num_heads=2)(steps, steps).context.shape
    torch.Size([1, 5, 6])
    """

    source = WU_2019(place="section 3")
    self_only = True

    def __init__(self, dim: int, kernel_size: int, num_heads: int = 1, causal: bool = False) -> None:
        super().__init__(dim, num_heads)
        self.kernel_size, self.left = kernel_size, _reach(kernel_size, causal)
        self.causal, self.no_memory = causal, "" if causal else _AHEAD
        self.query_proj = self.key_proj = nn.Identity()
        self.value_proj = _gated(dim)
        self.kernel = nn.Parameter(torch.empty(num_heads, kernel_size))
        nn.init.xavier_uniform_(self.kernel)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        return _attend(self._kernel(query), value, self.left, visible, need_weights)

    def gather(
        self, memory: LastValuesMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> LastValuesMemory:
        return _last_values(memory, value, self.kernel_size)

    def read(self, query: Tensor, memory: LastValuesMemory) -> Tensor:
        return (self._kernel(query) @ widen(memory.value)).to(memory.value.dtype)

    def _kernel(self, query: Tensor) -> Tensor:
        kernel = widen(self.kernel).softmax(-1).unsqueeze(1)
        return kernel.expand(query.shape[0], -1, query.shape[2], -1)


class DynamicConvolution(LinearTimeAttention):
    """`sum over t of softmax(W_q query)[t] value[q - left + t]`: each head predicts its kernel from the query.

    The keys take no part. Value is `GLU(W_v x)`; in the paper the kernel is predicted from it, too, which is the query
    there. At both ends, and where a step is hidden, its weight is lost: no other grows by it.

    Args:
        dim: features of a query, a value and the context.
        kernel_size: steps that are seen.
        num_heads: heads of `dim / num_heads` features.
        causal: a query sees itself and the steps before it; otherwise as many on both sides, of an odd number.

    Parameters, as `nn.Linear` starts them: `query_proj.weight [num_heads kernel_size, dim]`, `value_proj.0.weight
    [2 dim, dim]`, `output_proj.weight [dim, dim]`.

    Raises:
        ValueError: a size is not positive, heads of one size do not fit, or an even kernel that is not causal.

    >>> steps = torch.ones(1, 5, 6)
    >>> DynamicConvolution(6, kernel_size=4, num_heads=2, causal=True)(steps, steps).context.shape
    torch.Size([1, 5, 6])
    """

    source = WU_2019(place="section 4")
    self_only = True

    def __init__(self, dim: int, kernel_size: int, num_heads: int = 1, causal: bool = False) -> None:
        super().__init__(dim, num_heads)
        self.kernel_size, self.left = kernel_size, _reach(kernel_size, causal)
        self.causal, self.no_memory = causal, "" if causal else _AHEAD
        self.query_proj = Linear(dim, num_heads * kernel_size, bias=False)
        self.key_proj = nn.Identity()
        self.value_proj = _gated(dim)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        return _attend(widen(query).softmax(-1), value, self.left, visible, need_weights)

    def gather(
        self, memory: LastValuesMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> LastValuesMemory:
        return _last_values(memory, value, self.kernel_size)

    def read(self, query: Tensor, memory: LastValuesMemory) -> Tensor:
        return (widen(query).softmax(-1) @ widen(memory.value)).to(memory.value.dtype)


_AHEAD = "it is not causal, so that a query sees steps after its own"


def _reach(kernel_size: int, causal: bool) -> int:
    """Steps seen before the query's own."""
    check_sizes(kernel_size=kernel_size)
    if not causal and kernel_size % 2 == 0:
        raise ValueError(
            f"kernel_size is {kernel_size}; expected an odd number, as many steps on each side, or causal=True."
        )
    return kernel_size - 1 if causal else kernel_size // 2


def _gated(dim: int) -> nn.Module:
    return nn.Sequential(Linear(dim, 2 * dim, bias=False), nn.GLU())


def _attend(
    kernel: Tensor, value: Tensor, left: int, visible: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    context = convolve(widen(value), kernel, left).to(value.dtype)
    if not need_weights:
        return context, None
    weights = banded(kernel, left).to(value.dtype)
    return context, weights if visible is None else weights.masked_fill(~visible.unsqueeze(2), 0)


def _last_values(memory: LastValuesMemory | None, value: Tensor, taps: int) -> LastValuesMemory:
    before = value.new_zeros(*value.shape[:2], taps, value.shape[3]) if memory is None else memory.value
    return LastValuesMemory(torch.cat((before, value), 2)[:, :, -taps:])
