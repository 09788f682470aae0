"""Retention: linear attention whose memory decays exponentially (Sun et al. 2023)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from heedful._pytree import register_pytree
from heedful.attention.source import SUN_2023
from heedful.functional import widen
from heedful.layers import Linear, RotaryPositions

from .base import LinearTimeAttention
from .sums import chunks_of


def decays(
    num_heads: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Float[Tensor, " heads"]:
    """`1 - 2^(-5 - h)` of each head `h`.

    >>> decays(2)
    tensor([0.9688, 0.9844])
    """
    return 1 - 2.0 ** (-5 - torch.arange(num_heads, dtype=dtype, device=device))


def fading(decay: Float[Tensor, " heads"], steps: int) -> Float[Tensor, "heads {steps} {steps}"]:
    """`decay^(q - k)` where `k <= q`, else 0.

    >>> fading(torch.tensor([0.5]), 3)
    tensor([[[1.0000, 0.0000, 0.0000],
             [0.5000, 1.0000, 0.0000],
             [0.2500, 0.5000, 1.0000]]])
    """
    place = torch.arange(steps, device=decay.device)
    distance = place.unsqueeze(1) - place
    return (decay.view(-1, 1, 1) ** distance.clamp_min(0)).tril()


def retention(
    query: Float[Tensor, "batch heads steps dim"],
    key: Float[Tensor, "batch heads steps dim"],
    value: Float[Tensor, "batch heads steps value_dim"],
    decay: Float[Tensor, " heads"],
    size: int = 64,
) -> Float[Tensor, "batch heads steps value_dim"]:
    """`sum over k <= q of decay^(q - k) (query[q] . key[k]) value[k]`, chunk by chunk.

    Args:
        query: `[batch, heads, steps, dim]`, rotated by its place.
        key: `[batch, heads, steps, dim]`, rotated by its place.
        value: `[batch, heads, steps, value_dim]`.
        decay: of each head, from 0 to 1.
        size: steps of a chunk.

    >>> ones = torch.ones(1, 1, 3, 1)
    >>> retention(ones, ones, ones, torch.tensor([0.5]), size=2).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    steps = query.shape[2]
    query, key, value = (chunks_of(one, size) for one in (query, key, value))
    inside = (query @ key.mT * fading(decay, size).unsqueeze(1)) @ value
    place = torch.arange(size, device=query.device)
    to_end = (decay.unsqueeze(1) ** (size - 1 - place)).view(-1, 1, size, 1)
    since_start = (decay.unsqueeze(1) ** (place + 1)).view(-1, 1, size, 1)
    state, before = torch.zeros_like(key[:, :, 0].mT @ value[:, :, 0]), []
    for sums in ((key * to_end).mT @ value).unbind(2):
        before.append(state)
        state = (decay**size).view(-1, 1, 1) * state + sums
    crossing = (query * since_start) @ torch.stack(before, 2)
    return (inside + crossing).flatten(2, 3)[:, :, :steps]


@register_pytree
@dataclass(frozen=True)
class RetentionMemory:
    """All that is left of the keys.

    Attributes:
        state: `[batch, heads, head_dim, head_dim]`, the fading sum of products of keys and values, float32 or wider.
        count: `[batch]`, how many keys there were.
    """

    state: Float[Tensor, "batch heads head_dim value_dim"]
    count: Int[Tensor, " batch"]


class RetentionAttention(LinearTimeAttention):
    """`sum over k <= q of decay^(q - k) (query[q] . key[k]) / sqrt(d) value[k]`; head `h` fades by `1 - 2^(-5 - h)`.

    Multi-scale retention (RetNet): query and key are rotated by their places (`RotaryPositions`), what a head reads is
    normalised over its features, and a gate of the query falls on it: `W_o (silu(W_g query) * norm(read))`. Causal. The
    weights are those before normalising and gate; they may be negative and do not sum to 1. A hidden key adds nothing,
    but time goes on.

    Args:
        dim: features of a query and of the context.
        num_heads: heads of `dim / num_heads` features, an even number.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.

    Parameters beside the projections: `gate_proj.weight [dim, dim]`, as `nn.Linear` starts it.

    State: none beside the memory, a matrix `[batch, heads, head_dim, head_dim]` and the number of keys.

    Cost: time steps^2 * dim; dim * head_dim a step; memory heads * steps^2; dim * head_dim by steps.

    Raises:
        ValueError: a size is not positive, or heads of one even size do not fit.

    >>> attention = RetentionAttention(8, num_heads=2)
    >>> attention(torch.ones(1, 5, 8), torch.ones(1, 5, 8)).context.shape
    torch.Size([1, 5, 8])
    """

    source = SUN_2023(place="sections 2.1 and 2.2")
    memory_kind = RetentionMemory
    causal = True

    def __init__(self, dim: int, num_heads: int = 1, key_dim: int | None = None, value_dim: int | None = None) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        self.rotary = RotaryPositions(self.head_dim)
        self.gate_proj = Linear(dim, dim, bias=False)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        query, key, wide = self._turned(query) * self.head_dim**-0.5, self._turned(key), widen(value)
        if visible is not None:
            # rotated zeros are zeros: hidden keys need no more
            key = key.masked_fill(~visible.unsqueeze(-1), 0)
        decay = decays(self.num_heads, wide.dtype, wide.device)
        weights = (query @ key.mT * fading(decay, key.shape[2])).to(value.dtype) if need_weights else None
        return retention(query, key, wide, decay), weights

    def gather(
        self, memory: RetentionMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> RetentionMemory:
        batch, _, keys, _ = key.shape
        if memory is None:
            count = torch.zeros(batch, dtype=torch.long, device=key.device)
            memory = RetentionMemory(torch.zeros_like(widen(key[:, :, :1].mT @ value[:, :, :1])), count)
        key, value = self._turned(key, memory.count), widen(value)
        decay = decays(self.num_heads, value.dtype, value.device).unsqueeze(1)
        to_end = decay ** torch.arange(keys - 1, -1, -1, device=key.device)
        state = (key * to_end.unsqueeze(-1)).mT @ value + (decay**keys).unsqueeze(-1) * memory.state
        return replace(memory, state=state, count=memory.count + keys)

    def read(self, query: Tensor, memory: RetentionMemory) -> Tensor:
        # the query stands at the last key
        return self._turned(query, memory.count - 1) * self.head_dim**-0.5 @ memory.state

    def finish(self, read: Tensor, query: Tensor) -> Tensor:
        """Normalised head by head, gated, projected."""
        normed = functional.layer_norm(read, read.shape[-1:]).to(query.dtype)
        return self.output_proj(functional.silu(self.gate_proj(query)) * normed.transpose(1, 2).flatten(2))

    def _turned(self, vectors: Tensor, offset: int | Tensor = 0) -> Tensor:
        return self.rotary(widen(vectors), offset)
