"""Linformer: keys and values compressed along the sequence (Wang et al. 2020)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.attention.scores.base import check_sizes
from heedful.attention.source import WANG_2020
from heedful.functional import masked_softmax, widen

from .base import LinearTimeAttention


@register_pytree
@dataclass(frozen=True)
class CompressedMemory:
    """As many keys and values as the rank, each a mixture of all.

    Attributes:
        key, value: `[batch, heads, rank, head_dim]`.
    """

    key: Float[Tensor, "batch heads rank head_dim"]
    value: Float[Tensor, "batch heads rank head_dim"]


class LinformerAttention(LinearTimeAttention):
    """`softmax(query (E key)^T / sqrt(d)) (F value)` in each head; `E`, `F` mix all keys into `rank` of them.

    Not causal, and for a longest sequence: a shorter one uses the first columns of `E` and `F`. Hidden keys and values
    are zeros before they are mixed. The weights over the keys are `softmax(...) F`: they may be negative and do not sum
    to 1. The memory has a constant size but cannot be extended.

    Args:
        dim: features of a query and of the context.
        rank: number of mixtures.
        max_keys: most keys of a sequence.
        num_heads: heads of `dim / num_heads` features.
        shared: `F` is `E`.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.
        per_head: each head has an `E` and an `F` of its own; otherwise they are the same for all.

    Parameters beside the projections: `key_mix [rank, max_keys]`, or `[num_heads, rank, max_keys]` per head,
    `value_mix` likewise unless shared, normal with standard deviation `rank^(-1/2)`.

    State: none beside the memory, `rank` mixtures of keys and values.

    Cost: time (queries + keys) * rank * dim; memory queries * rank * heads.

    Raises:
        ValueError: a size is not positive, or heads of one size do not fit; in a call, more than `max_keys` keys.

    >>> attention = LinformerAttention(6, rank=3, max_keys=10)
    >>> attention(torch.ones(1, 2, 6), torch.ones(1, 7, 6), need_weights=True).weights.shape
    torch.Size([1, 1, 2, 7])
    """

    source = WANG_2020(place="section 4")
    memory_kind = CompressedMemory

    def __init__(
        self,
        dim: int,
        rank: int,
        max_keys: int,
        num_heads: int = 1,
        shared: bool = False,
        key_dim: int | None = None,
        value_dim: int | None = None,
        per_head: bool = False,
    ) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        check_sizes(rank=rank, max_keys=max_keys)
        self.max_keys = max_keys
        shape = (num_heads, rank, max_keys) if per_head else (rank, max_keys)
        self.key_mix = nn.Parameter(torch.empty(shape))
        self.value_mix = self.key_mix if shared else nn.Parameter(torch.empty(shape))
        for mix in (self.key_mix, self.value_mix):
            nn.init.normal_(mix, std=rank**-0.5)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        memory = self.gather(None, key, value, visible)
        weights = None
        if need_weights:
            weights = self._over_mixtures(query, memory) @ self.value_mix[..., : key.shape[2]]
            weights = weights if visible is None else weights.masked_fill(~visible.unsqueeze(2), 0)
        return self.read(query, memory), weights

    def gather(
        self, memory: CompressedMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> CompressedMemory:
        if memory is not None:
            raise ValueError(
                "a memory came to be extended; LinformerAttention expected all keys at once, since its mixtures are "
                "for fixed places. Call remember with all of them."
            )
        keys = key.shape[2]
        if keys > self.max_keys:
            raise _refusals.too_long(keys, self.max_keys, "max_keys")
        return CompressedMemory(self.key_mix[..., :keys] @ key, self.value_mix[..., :keys] @ value)

    def read(self, query: Tensor, memory: CompressedMemory) -> Tensor:
        return self._over_mixtures(query, memory) @ memory.value

    def _over_mixtures(self, query: Tensor, memory: CompressedMemory) -> Tensor:
        # scaled first: the product may leave the range of half precision
        scores = widen(query * self.head_dim**-0.5) @ widen(memory.key).mT
        return masked_softmax(scores).to(query.dtype)
