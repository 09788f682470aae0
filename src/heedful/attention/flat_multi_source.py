"""Attention over several sources, all keys side by side (Libovický and Helcl 2017, section 3)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.layers import Linear

from .base import Attention
from .contract import AttentionOutput, Memory
from .scores.base import check_sizes
from .source import LIBOVICKY_2017


class FlatMultiSourceAttention(nn.Module):
    """One attention over the keys of all sources side by side, `P_i key`, each projected to one size.

    Args:
        attention: for the projected keys, which are read, too; stateless or not.
        key_dims: features of the keys of each source.

    Parameters: those of the attention; `projections.i [attention.key_dim, key_dims[i]]`, Glorot uniform, no biases.

    Cost: time that of its attention over all keys; memory that of its attention over all keys.

    Raises:
        ValueError: no source, or a size is not positive.

    >>> from heedful.attention import BahdanauAttention
    >>> attention = FlatMultiSourceAttention(BahdanauAttention(4, 8, 7), key_dims=[5, 3])
    >>> attention(torch.ones(2, 9, 4), [torch.ones(2, 6, 5), torch.ones(2, 2, 3)], need_weights=True).weights.shape
    torch.Size([2, 9, 8])
    """

    source = LIBOVICKY_2017(place="section 3, flat attention combination")
    kind = "layer"

    def __init__(self, attention: Attention, key_dims: Sequence[int]) -> None:
        super().__init__()
        _refusals.check_part("attention", attention, Attention, "LuongAttention(32, 32)")
        if not key_dims:
            raise ValueError("key_dims is empty; expected the features of at least one source.")
        check_sizes(**{f"key_dims[{place}]": size for place, size in enumerate(key_dims)})
        self.attention = attention
        projections = [Linear(size, attention.key_dim, bias=False) for size in key_dims]
        for projection in projections:
            nn.init.xavier_uniform_(projection.weight)
        self.projections = nn.ModuleList(projections)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        keys: Sequence[Tensor],
        masks: Sequence[Tensor | None] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Look with every query at once; arguments as in `MultiSourceAttention`.

        Args:
            query: `[batch, queries, query_dim]`.
            keys: for each source `[batch, keys_i, key_dim_i]`.
            masks: for each source `[batch, 1, keys_i]`, True = may look, or `None`; hidden keys may hold anything.
            need_weights: return the weights `[batch, queries, all keys]`, one source after the other, too.

        Raises:
            ValueError: not as many sources as projections; else as `Attention`.
        """
        return self.attention.look(query, self.remember(keys, masks), None, need_weights)[0]

    def remember(self, keys: Sequence[Tensor], masks: Sequence[Tensor | None] | None = None) -> Memory:
        """Prepare the sources once: a memory for `attention.step` and `attention.look`."""
        masks = [None] * len(keys) if masks is None else masks
        if not len(keys) == len(masks) == len(self.projections):
            raise ValueError(
                f"there are {len(keys)} sources and {len(masks)} masks; expected {len(self.projections)} of each (None "
                "for a source without padding)."
            )
        visible = [
            key.new_ones(key.shape[0], 1, key.shape[1], dtype=torch.bool) if mask is None else mask
            for key, mask in zip(keys, masks, strict=True)
        ]
        parts = zip(self.projections, keys, visible, strict=True)
        projected = [projection(key.masked_fill(~mask.transpose(1, 2), 0)) for projection, key, mask in parts]
        visible = [mask.expand(len(key), 1, key.shape[1]) for key, mask in zip(keys, visible, strict=True)]
        return self.attention.remember(torch.cat(projected, 1), mask=torch.cat(visible, 2))
