"""Sliding attention: exact softmax inside a band, computed in blocks (Beltagy, Peters and Cohan 2020, section 3.1)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful._pytree import register_pytree
from heedful.attention.source import BELTAGY_2020
from heedful.attention.windows.base import check_reach
from heedful.functional import masked_softmax, widen

from .base import LinearTimeAttention
from .sums import chunks_of, with_neighbours


def band_weights(
    query: Float[Tensor, "batch heads steps dim"],
    key: Float[Tensor, "batch heads steps dim"],
    visible: Bool[Tensor, "batch 1 steps"] | None,
    left: int,
    right: int,
) -> Float[Tensor, "batch heads blocks size around"]:
    """Softmax of `query[q] . key[k] / sqrt(dim)` over `-left <= k - q <= right`, block by block."""
    size = max(left, right, 1)
    real = query.new_ones(1, 1, query.shape[2]) if visible is None else visible.to(query.dtype)
    seen = with_neighbours(real.unsqueeze(-1), size, left, right).squeeze(-1).bool().unsqueeze(-2)
    # scaled first: the product may leave the range of half precision
    scores = widen(chunks_of(query * query.shape[-1] ** -0.5, size)) @ widen(with_neighbours(key, size, left, right)).mT
    own = torch.arange(size, device=query.device).unsqueeze(1)
    distance = torch.arange(scores.shape[-1], device=query.device) - (size if left else 0) - own
    return masked_softmax(scores, seen & (distance >= -left) & (distance <= right))


@register_pytree
@dataclass(frozen=True)
class LastKeysMemory:
    """The keys that the last query sees.

    Attributes:
        key, value: `[batch, heads, at most left + 1, head_dim]`.
        visible: `[batch, 1, at most left + 1]`.
    """

    key: Float[Tensor, "batch heads last head_dim"]
    value: Float[Tensor, "batch heads last head_dim"]
    visible: Bool[Tensor, "batch 1 last"]


class SlidingAttention(LinearTimeAttention):
    """Softmax of `query . key / sqrt(d)` over `-left <= k - q <= right` in each head, block by block.

    Self-attention: query and key `i` are one step. The same numbers as `Attention` with `ScaledDotScore` and
    `SlidingWindow`, in time and memory linear in the steps. With `right=0` it decodes step by step and keeps the last
    `left + 1` keys; otherwise there is no memory.

    Args:
        dim: features of a query and of the context.
        left: keys seen before the query's place.
        right: keys seen after it; 0 makes it causal.
        num_heads: heads of `dim / num_heads` features.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.

    State: none beside the memory, the last `left + 1` keys and values.

    Cost: time steps * (left + right) * dim; memory steps * (left + right) * heads.

    Raises:
        ValueError: a number is negative or not whole, or heads of one size do not fit.

    >>> attention = SlidingAttention(6, left=2, right=1, num_heads=3)
    >>> steps = torch.ones(1, 9, 6)
    >>> attention(steps, steps, need_weights=True).weights[0, 0, 5]
    tensor([0.0000, 0.0000, 0.0000, 0.2500, 0.2500, 0.2500, 0.2500, 0.0000, 0.0000],
           grad_fn=<SelectBackward0>)
    """

    source = BELTAGY_2020(place="section 3.1")
    memory_kind = LastKeysMemory
    self_only = True

    def __init__(
        self,
        dim: int,
        left: int,
        right: int,
        num_heads: int = 1,
        key_dim: int | None = None,
        value_dim: int | None = None,
    ) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        check_reach(left=left, right=right)
        self.left, self.right = left, right
        self.no_memory = f"right is {right}, so that a query sees keys after its own" if right else ""

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        steps = key.shape[2]
        band = band_weights(query, key, visible, self.left, self.right).to(value.dtype)
        values = with_neighbours(value, band.shape[-2], self.left, self.right)
        context = (band @ values).flatten(2, 3)[:, :, :steps]
        return context, self._dense(band, steps) if need_weights else None

    def gather(
        self, memory: LastKeysMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> LastKeysMemory:
        if visible is None:
            visible = torch.ones(key.shape[0], 1, key.shape[2], dtype=torch.bool, device=key.device)
        if memory is not None:
            key, value = torch.cat((memory.key, key), 2), torch.cat((memory.value, value), 2)
            visible = torch.cat((memory.visible, visible), 2)
        last = -(self.left + 1)
        return LastKeysMemory(key[:, :, last:], value[:, :, last:], visible[:, :, last:])

    def read(self, query: Tensor, memory: LastKeysMemory) -> Tensor:
        scores = widen(query * self.head_dim**-0.5) @ widen(memory.key).mT
        return masked_softmax(scores, memory.visible.unsqueeze(2)).to(query.dtype) @ memory.value

    def _dense(self, band: Tensor, steps: int) -> Tensor:
        """The band in its place of the whole matrix."""
        blocks, size, around = band.shape[2:]
        before = size if self.left else 0
        whole = band.new_zeros(*band.shape[:4], blocks * size + around)
        place = torch.arange(around, device=band.device)
        place = place + size * torch.arange(blocks, device=band.device).view(-1, 1, 1)
        whole = whole.scatter(-1, place.expand(band.shape), band)
        return whole.flatten(2, 3)[:, :, :steps, before : before + steps]
