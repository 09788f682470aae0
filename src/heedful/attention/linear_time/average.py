"""Average attention: the mean of the past in place of learned weights (Zhang, Xiong and Su 2018)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.attention.source import ZHANG_XIONG_2018
from heedful.functional import widen
from heedful.layers import FeedForward, Linear

from .base import LinearTimeAttention


@register_pytree
@dataclass(frozen=True)
class MeanMemory:
    """What a mean is made of, in float32 or wider.

    Attributes:
        total: `[batch, 1, 1, dim]`, the sum of the values.
        count: `[batch, 1, 1, 1]`, how many they are.
    """

    total: Float[Tensor, "batch 1 1 dim"]
    count: Float[Tensor, "batch 1 1 1"]


class AverageAttention(LinearTimeAttention):
    """`i * query + f * g`, `g = ffn(mean of the values up to the query)`, `[i; f] = sigmoid(W [query; g] + b)`.

    Causal self-attention without scores: each visible value up to the query has the same weight. As in the paper there
    are neither heads nor projections of query, key and value; the keys only tell how many there are. A query that sees
    nothing gets zeros, without its own share. The weights are those of the mean, before network and gates.

    Args:
        dim: features of a query, a value and the context.
        hidden_dim: hidden features of the network over the mean; none of them and no network when left out.
        gated: mix query and mean by gates; otherwise the context is `g` alone.

    Parameters: `network`, a `FeedForward`, and `gate.weight [2 dim, 2 dim]`, `gate.bias`, as `nn.Linear` starts them.

    State: none beside the memory, the sum of the values `[batch, 1, 1, dim]` and their number.

    Cost: time steps * dim * hidden_dim; memory steps * dim.

    Raises:
        ValueError: a size is not positive.

    >>> steps = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> AverageAttention(1, gated=False)(steps, steps).context.flatten()
    tensor([1., 2., 4.])
    """

    source = ZHANG_XIONG_2018(place="section 3")
    memory_kind = MeanMemory
    causal = True

    def __init__(self, dim: int, hidden_dim: int | None = None, gated: bool = True) -> None:
        super().__init__(dim, num_heads=1)
        self.query_proj = self.key_proj = self.value_proj = self.output_proj = nn.Identity()
        self.network = nn.Identity() if hidden_dim is None else FeedForward(dim, hidden_dim)
        self.gate = Linear(2 * dim, 2 * dim) if gated else None

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        real = torch.ones_like(value[:, :, :, 0]) if visible is None else visible
        real = real.to(widen(value).dtype)
        count = real.cumsum(-1).unsqueeze(-1)
        mean = (widen(value) * real.unsqueeze(-1)).cumsum(2) / count.clamp_min(1)
        context = torch.cat((mean, (count > 0).to(mean.dtype)), -1).to(value.dtype)
        if not need_weights:
            return context, None
        return context, (real.unsqueeze(2) / count.clamp_min(1)).tril().to(value.dtype)

    def gather(self, memory: MeanMemory | None, key: Tensor, value: Tensor, visible: Tensor | None) -> MeanMemory:
        real = torch.ones_like(value[:, :, :, :1]) if visible is None else visible.unsqueeze(-1)
        real = real.to(widen(value).dtype)
        total, count = (widen(value) * real).sum(2, keepdim=True), real.sum(2, keepdim=True)
        if memory is None:
            return MeanMemory(total, count)
        return MeanMemory(memory.total + total, memory.count + count)

    def read(self, query: Tensor, memory: MeanMemory) -> Tensor:
        mean = memory.total / memory.count.clamp_min(1)
        read = torch.cat((mean, (memory.count > 0).to(mean.dtype)), -1).to(query.dtype)
        return read.expand(-1, -1, query.shape[2], -1)

    def finish(self, read: Tensor, query: Tensor) -> Tensor:
        """The gates; the last feature of what was read says whether there was anything."""
        mean, seen = read[:, 0, :, :-1], read[:, 0, :, -1:]
        mean = self.network(mean)
        if self.gate is not None:
            keep, take = self.gate(torch.cat((query, mean), -1)).sigmoid().chunk(2, -1)
            mean = keep * query + take * mean
        return mean.masked_fill(seen == 0, 0)
