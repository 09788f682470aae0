"""Dynamic convolution: each query predicts its kernel over the nearest steps (Wu et al. 2019, section 4)."""

from torch import Tensor, nn

from heedful.attention.source import WU_2019
from heedful.functional import widen
from heedful.layers import Linear

from .base import LinearTimeAttention
from .convolution import NOT_CAUSAL, LastValuesMemory, attend_nearest, gated_proj, last_values, reach_left


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

    State: none beside the memory, the last `kernel_size` values.

    Cost: time steps * width * dim; memory steps * width * heads.

    Raises:
        ValueError: a size is not positive, heads of one size do not fit, or an even kernel that is not causal.

    >>> import torch
    >>> steps = torch.ones(1, 5, 6)
    >>> DynamicConvolution(6, kernel_size=4, num_heads=2, causal=True)(steps, steps).context.shape
    torch.Size([1, 5, 6])
    """

    source = WU_2019(place="section 4")
    memory_kind = LastValuesMemory
    self_only = True

    def __init__(self, dim: int, kernel_size: int, num_heads: int = 1, causal: bool = False) -> None:
        super().__init__(dim, num_heads)
        self.kernel_size, self.left = kernel_size, reach_left(kernel_size, causal)
        self.causal, self.no_memory = causal, "" if causal else NOT_CAUSAL
        self.query_proj = Linear(dim, num_heads * kernel_size, bias=False)
        self.key_proj = nn.Identity()
        self.value_proj = gated_proj(dim)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        return attend_nearest(widen(query).softmax(-1), value, self.left, visible, need_weights)

    def gather(
        self, memory: LastValuesMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> LastValuesMemory:
        return last_values(memory, value, self.kernel_size)

    def read(self, query: Tensor, memory: LastValuesMemory) -> Tensor:
        return (widen(query).softmax(-1) @ widen(memory.value)).to(memory.value.dtype)
