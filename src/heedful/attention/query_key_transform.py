"""What heads do to queries and keys before they compare them: norms (Henry et al. 2020) and rotation."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from heedful import _refusals
from heedful.functional import widen
from heedful.layers import RotaryPositions

Norm = Literal["rms", "layer", "l2"]


class QueryKeyTransform(nn.Module):
    """What every head does to its queries and keys before it compares them: normalise, then rotate.

    "rms" and "layer" divide by the root mean square or standardise over the features of a head, with a learned gain
    each for queries and keys; "l2" gives both unit length and multiplies the query by one learned number
    (Henry et al. 2020), which takes the place of `1 / sqrt(head_dim)`: let the heads compare by `DotScore`, as
    `MultiHeadAttention` does by default.

    Args:
        head_dim: features of a head.
        norm: "rms", "layer", "l2", or `None` for none.
        positions: rotates queries and keys by their places, after the norm.
        length: typical number of keys, of which "l2" makes the first value of its number, `log2(length^2 - length)`.

    Parameters: with "rms" and "layer" `query_norm` and `key_norm`, those of torch's layers; with "l2" `scale []`.

    Raises:
        ValueError: an unknown norm, or a size that is not positive.

    >>> transform = QueryKeyTransform(4, "l2")
    >>> float(transform.key(torch.full((1, 1, 1, 4), 7.0)).norm())
    1.0
    """

    def __init__(
        self, head_dim: int, norm: Norm | None = None, positions: RotaryPositions | None = None, length: int = 50
    ) -> None:
        super().__init__()
        if norm is not None and norm not in get_args(Norm):
            raise _refusals.unknown_choice("norm", norm, get_args(Norm))
        _refusals.check_sizes(head_dim=head_dim)
        if positions is not None:
            _refusals.check_part("positions", positions, RotaryPositions, "RotaryPositions(64)")
        _refusals.check_sizes(2, length=length)
        kind = {"rms": nn.RMSNorm, "layer": nn.LayerNorm}.get(norm or "")
        self.query_norm, self.key_norm = (kind(head_dim), kind(head_dim)) if kind else (None, None)
        self.scale = nn.Parameter(torch.tensor(math.log2(length**2 - length))) if norm == "l2" else None
        self.head_dim, self.norm, self.positions = head_dim, norm, positions

    def query(
        self, query: Float[Tensor, "batch heads queries head_dim"], position: Int[Tensor, " batch"] | int = 0
    ) -> Float[Tensor, "batch heads queries head_dim"]:
        """Queries made ready to be compared; `position` is the place of the first one."""
        return self._transform(query, self.query_norm, self.scale, position)

    def key(
        self, key: Float[Tensor, "batch heads keys head_dim"], position: Int[Tensor, " batch"] | int = 0
    ) -> Float[Tensor, "batch heads keys head_dim"]:
        """Keys made ready to be compared; `position` is the place of the first one."""
        return self._transform(key, self.key_norm, None, position)

    def _transform(self, heads: Tensor, norm: nn.Module | None, scale: Tensor | None, position: Tensor | int) -> Tensor:
        dtype = heads.dtype
        if norm is not None:
            heads = norm(heads)
        if self.norm == "l2":
            heads = normalize(widen(heads), dim=-1, eps=1e-6)
        if scale is not None:
            heads = heads * scale
        return heads.to(dtype) if self.positions is None else self.positions(heads.to(dtype), position)
