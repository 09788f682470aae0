"""Light convolution: one kernel a head, a softmax over the nearest steps (Wu et al. 2019, section 3)."""

import torch
from torch import Tensor, nn

from heedful.attention.source import WU_2019
from heedful.functional import widen

from .base import LinearTimeAttention
from .convolution import NOT_CAUSAL, LastValuesMemory, attend_nearest, gated_proj, last_values, reach_left


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

    State: none beside the memory, the last `kernel_size` values.

    Cost: time steps * width * dim; memory steps * dim.

    Raises:
        ValueError: a size is not positive, heads of one size do not fit, or an even kernel that is not causal.

    >>> steps = torch.ones(1, 5, 6)
    >>> LightConvolution(6, kernel_size=3, num_heads=2)(steps, steps).context.shape
    torch.Size([1, 5, 6])
    """

    source = WU_2019(place="section 3")
    memory_kind = LastValuesMemory
    self_only = True

    def __init__(self, dim: int, kernel_size: int, num_heads: int = 1, causal: bool = False) -> None:
        super().__init__(dim, num_heads)
        self.kernel_size, self.left = kernel_size, reach_left(kernel_size, causal)
        self.causal, self.no_memory = causal, "" if causal else NOT_CAUSAL
        self.query_proj = self.key_proj = nn.Identity()
        self.value_proj = gated_proj(dim)
        self.kernel = nn.Parameter(torch.empty(num_heads, kernel_size))
        nn.init.xavier_uniform_(self.kernel)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        return attend_nearest(self._kernel(query), value, self.left, visible, need_weights)

    def gather(
        self, memory: LastValuesMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> LastValuesMemory:
        return last_values(memory, value, self.kernel_size)

    def read(self, query: Tensor, memory: LastValuesMemory) -> Tensor:
        return (self._kernel(query) @ widen(memory.value)).to(memory.value.dtype)

    def _kernel(self, query: Tensor) -> Tensor:
        kernel = widen(self.kernel).softmax(-1).unsqueeze(1)
        return kernel.expand(query.shape[0], -1, query.shape[2], -1)
