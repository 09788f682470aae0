"""Prefix window: all of a prefix, and after it the past only (Raffel et al. 2020, section 3.2.1, prefix LM)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import RAFFEL_2020

from .base import View, Window, check_reach
from .causal import causal_mask


def prefix_mask(
    positions: Int[Tensor, "batch queries"], keys: int, prefix_lens: Int[Tensor, "#batch"]
) -> Bool[Tensor, "batch queries {keys}"]:
    """True where the key stands in the prefix of its batch item, or at or before the query's place.

    Where each batch item has a prefix of its own, this is the mask of a call:
    `attention(query, key, mask=prefix_mask(positions, keys, prefix_lens))`. Padding belongs behind the keys.

    >>> prefix_mask(torch.tensor([[0, 2], [0, 2]]), 4, torch.tensor([2, 0]))
    tensor([[[ True,  True, False, False],
             [ True,  True,  True, False]],
    <BLANKLINE>
            [[ True, False, False, False],
             [ True,  True,  True, False]]])
    """
    prefix = torch.arange(keys, device=positions.device) < prefix_lens.view(-1, 1, 1)
    return prefix | causal_mask(positions, keys)


class PrefixWindow(Window):
    """`k < prefix_len or k <= position[q]`: the prefix is seen from everywhere, and else the past only.

    One length for every batch item; `prefix_mask` takes one for each. With fewer queries than keys, the last query
    stands at the last key, as in `CausalWindow`.

    Args:
        prefix_len: keys of the prefix; 0 makes the window causal.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: `prefix_len` is negative or not whole.

    >>> view, _ = PrefixWindow(2)(torch.ones(1, 1, 4), torch.tensor([[0]]), torch.tensor([4]), keys=4)
    >>> view.mask
    tensor([[[ True,  True, False, False]]])
    """

    source = RAFFEL_2020(place="section 3.2.1")
    aligned_to_end = True

    def __init__(self, prefix_len: int) -> None:
        super().__init__()
        check_reach(prefix_len=prefix_len)
        self.prefix_len = prefix_len

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(mask=prefix_mask(positions, keys, lengths.new_full((1,), self.prefix_len))), state
