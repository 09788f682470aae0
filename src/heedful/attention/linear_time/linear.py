"""Linear attention: a kernel in place of softmax, sums in place of a matrix (Katharopoulos et al. 2020)."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from heedful._pytree import register_pytree
from heedful.attention.source import KATHAROPOULOS_2020
from heedful.functional import widen

from .base import LinearTimeAttention
from .sums import causal_product, divided, normalized_rows, with_ones


def kernel_attention(
    query: Float[Tensor, "*batch queries dim"],
    key: Float[Tensor, "*batch keys dim"],
    value: Float[Tensor, "*batch keys value_dim"],
    causal: bool = False,
) -> Float[Tensor, "*batch queries value_dim"]:
    """`sum_k (query . key[k]) value[k] / sum_k query . key[k]`, without the matrix of products.

    Args:
        query: features of the queries, not negative.
        key: features of the keys, not negative; zeros for a hidden one.
        value: `[..., keys, value_dim]`.
        causal: query `i` sees the keys up to `i`.

    >>> import torch
    >>> kernel_attention(torch.ones(2, 1), torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [4.0]]), causal=True)
    tensor([[0.],
            [3.]])
    """
    if causal:
        return divided(causal_product(query, key, with_ones(value)))
    return divided(query @ (key.mT @ with_ones(value)))


@register_pytree
@dataclass(frozen=True)
class KernelMemory:
    """All that is left of the keys: a size that does not grow with them.

    Attributes:
        sums: `[batch, heads, features, head_dim + 1]`, `sum_k phi(key[k]) [value[k]; 1]`, float32 or wider.
    """

    sums: Float[Tensor, "batch heads features more"]


def gather_sums(memory: KernelMemory | None, key: Tensor, value: Tensor) -> KernelMemory:
    """The memory with further keys, given as features, and their values."""
    sums = key.mT @ with_ones(value)
    return KernelMemory(sums if memory is None else memory.sums + sums)


class LinearAttention(LinearTimeAttention):
    """`phi(query) . sum_k phi(key[k]) value[k] / (phi(query) . sum_k phi(key[k]))`, `phi(x) = elu(x) + 1`, per head.

    Causal, the sums run up to the query, and decoding takes the same time and memory for every token. No constant is
    added to the denominator (the authors' code adds 1e-6).

    Args:
        dim: features of a query and of the context.
        num_heads: heads of `dim / num_heads` features.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.
        causal: query `i` sees the keys up to `i`.

    State: none beside the memory, sums `[batch, heads, head_dim, head_dim + 1]`.

    Cost: time steps * dim * head_dim; memory steps * dim.

    Raises:
        ValueError: a size is not positive, or heads of one size do not fit.

    >>> import torch
    >>> attention = LinearAttention(6, num_heads=2, causal=True)
    >>> tokens = torch.randn(1, 5, 6)
    >>> memory = attention.extend(attention.remember(tokens[:, :4]), tokens[:, 4:])
    >>> output, _ = attention.step(tokens[:, 4:], memory)
    >>> torch.allclose(output.context, attention(tokens, tokens).context[:, 4:], atol=1e-6)
    True
    """

    source = KATHAROPOULOS_2020(place="equations 4-7, causal 8-20")
    memory_kind = KernelMemory

    def __init__(
        self,
        dim: int,
        num_heads: int = 1,
        key_dim: int | None = None,
        value_dim: int | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        self.causal = causal

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        query, key = self._features(query), self._features(key, visible)
        context = kernel_attention(query, key, widen(value), self.causal).to(value.dtype)
        weights = normalized_rows(query, key, self.causal).to(value.dtype) if need_weights else None
        return context, weights

    def gather(
        self, memory: KernelMemory | None, key: Tensor, value: Tensor, visible: Bool[Tensor, "batch 1 keys"] | None
    ) -> KernelMemory:
        return gather_sums(memory, self._features(key, visible), widen(value))

    def read(self, query: Tensor, memory: KernelMemory) -> Tensor:
        return divided(self._features(query) @ memory.sums).to(query.dtype)

    @staticmethod
    def _features(vectors: Tensor, visible: Tensor | None = None) -> Tensor:
        wide = widen(vectors)
        # elu + 1; that it rounds to 0 far below 0 keeps the denominators away from the smallest numbers
        features = wide.clamp_max(0).expm1() + 1 + wide.relu()
        return features if visible is None else features.masked_fill(~visible.unsqueeze(-1), 0)
