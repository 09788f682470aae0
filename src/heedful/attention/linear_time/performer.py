"""Performer: random features whose product is the softmax kernel on average (Choromanski et al. 2021)."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from heedful._pytree import register_pytree
from heedful.attention.scores.base import check_sizes
from heedful.attention.source import CHOROMANSKI_2021
from heedful.functional import widen

from .base import LinearTimeAttention
from .sums import causal_product, divided, normalized_rows, with_ones


def orthogonal_rows(num_rows: int, dim: int, generator: torch.Generator | None = None) -> Float[Tensor, "rows dim"]:
    """Gaussian rows, orthogonal within each block of `dim` of them: each row alone is normal, together they vary less.

    >>> rows = orthogonal_rows(3, 3)
    >>> (rows @ rows.T).fill_diagonal_(0).abs().max() < 1e-4
    tensor(True)
    """
    gaussian = torch.randn(2, -(-num_rows // dim), dim, dim, generator=generator, dtype=torch.float64)
    # the signs of a QR decomposition are the library's choice; those of R's diagonal make the directions uniform
    directions, upper = torch.linalg.qr(gaussian[0])
    directions = directions * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    lengths = gaussian[1].norm(dim=-1, keepdim=True)
    return (directions.mT * lengths).flatten(0, 1)[:num_rows].float()


def log_features(
    vectors: Float[Tensor, "*batch steps dim"], rows: Float[Tensor, "features dim"]
) -> Float[Tensor, "*batch steps features"]:
    """`w . x - |x|^2 / 2` with `x = vector / dim^(1/4)`: the mean over features of `exp(query + key)` is the kernel.

    >>> log_features(torch.ones(1, 1), torch.tensor([[0.0], [2.0]]))
    tensor([[-0.5000,  1.5000]])
    """
    scaled = vectors * vectors.shape[-1] ** -0.25
    return scaled @ rows.to(scaled.dtype).mT - scaled.square().sum(-1, keepdim=True) / 2


@register_pytree
@dataclass(frozen=True)
class RandomFeatureMemory:
    """All that is left of the keys, in float32 or wider.

    Attributes:
        sums: `[batch, heads, features, head_dim + 1]`, `sum_k exp(log_features(key[k]) - peak) [value[k]; 1]`.
        peak: `[batch, heads, 1, features]`, the largest logarithm of each feature; minus infinity without a key.
    """

    sums: Float[Tensor, "batch heads features more"]
    peak: Float[Tensor, "batch heads 1 features"]


class PerformerAttention(LinearTimeAttention):
    """`phi(query) . sum_k phi(key[k]) value[k] / (phi(query) . sum_k phi(key[k]))`, positive random features (FAVOR+).

    `phi(x) = exp(w . x' - |x'|^2 / 2)`, `x' = x / dim^(1/4)`: on average the scaled dot product's softmax, with an
    error that falls as `num_features^(-1/2)`. Each feature is kept in range by the largest of the keys, and the query
    takes it back, which cancels exactly: there is no constant (1e-4 in the authors' code) that would bend the weights.
    Causal, that largest key may be a later one: a query whose keys so far are all below e^-80 of it reads too little.

    Args:
        dim: features of a query and of the context.
        num_heads: heads of `dim / num_heads` features.
        num_features: random features; `d ln d` for heads of `d` features when left out.
        key_dim: features of a key; `dim` when left out.
        value_dim: features of a value; `key_dim` when left out.
        causal: query `i` sees the keys up to `i`.

    Buffer: `rows [num_features, head_dim]`, `w`, drawn at construction, the same for all heads, saved with the weights.

    State: none beside the memory, sums `[batch, heads, features, head_dim + 1]` and the largest logarithm.

    Cost: time steps * features * dim; memory steps * (features + dim).

    Raises:
        ValueError: a size is not positive, or heads of one size do not fit.

    >>> attention = PerformerAttention(6, num_heads=2, num_features=32)
    >>> attention(torch.ones(1, 3, 6), torch.ones(1, 5, 6)).context.shape
    torch.Size([1, 3, 6])
    """

    source = CHOROMANSKI_2021(place="section 2")
    memory_kind = RandomFeatureMemory
    rows: Tensor

    def __init__(
        self,
        dim: int,
        num_heads: int = 1,
        num_features: int | None = None,
        key_dim: int | None = None,
        value_dim: int | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__(dim, num_heads, key_dim, value_dim)
        usual = max(1, math.ceil(self.head_dim * math.log(self.head_dim)))
        self.num_features = usual if num_features is None else num_features
        check_sizes(num_features=self.num_features)
        self.causal = causal
        self.register_buffer("rows", orthogonal_rows(self.num_features, self.head_dim))

    @torch.no_grad()
    def redraw(self, generator: torch.Generator | None = None) -> None:
        """Draw the rows anew, as the paper does now and then in training; memories from before no longer fit."""
        self.rows.copy_(orthogonal_rows(self.num_features, self.head_dim, generator))

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        key, peak = self._key_features(key, visible)
        query = self._query_features(query, peak)
        ones = with_ones(widen(value))
        sums = causal_product(query, key, ones) if self.causal else query @ (key.mT @ ones)
        weights = normalized_rows(query, key, self.causal).to(value.dtype) if need_weights else None
        return divided(sums).to(value.dtype), weights

    def gather(
        self, memory: RandomFeatureMemory | None, key: Tensor, value: Tensor, visible: Tensor | None
    ) -> RandomFeatureMemory:
        key, peak = self._key_features(key, visible, None if memory is None else memory.peak)
        sums = key.mT @ with_ones(widen(value))
        if memory is not None:
            sums = sums + memory.sums * (memory.peak - _finite(peak)).exp().mT
        return RandomFeatureMemory(sums, peak)

    def read(self, query: Tensor, memory: RandomFeatureMemory) -> Tensor:
        return divided(self._query_features(query, memory.peak) @ memory.sums).to(query.dtype)

    def _key_features(self, key: Tensor, visible: Tensor | None, peak: Tensor | None = None) -> tuple[Tensor, Tensor]:
        logs = log_features(widen(key), self.rows)
        if visible is not None:
            logs = logs.masked_fill(~visible.unsqueeze(-1), -torch.inf)
        # one row more, so that a maximum over no keys is minus infinity
        own = functional.pad(logs.detach(), (0, 0, 0, 1), value=-torch.inf).amax(-2, keepdim=True)
        peak = own if peak is None else torch.maximum(own, peak)
        return (logs - _finite(peak)).exp(), peak

    def _query_features(self, query: Tensor, peak: Tensor) -> Tensor:
        logs = log_features(widen(query), self.rows) + _finite(peak)
        return (logs - logs.detach().amax(-1, keepdim=True)).exp()


def _finite(peak: Tensor) -> Tensor:
    return peak.where(peak > -torch.inf, 0)
