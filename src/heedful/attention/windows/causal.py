"""Causal: the past and the present only (Vaswani et al. 2017, section 3.2.3)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import Source

from .base import View, Window


def causal_mask(positions: Int[Tensor, "batch queries"], keys: int) -> Bool[Tensor, "batch queries {keys}"]:
    """True where key `j` stands at or before the query's place: `j <= positions[q]`.

    >>> causal_mask(torch.tensor([[0, 1]]), 3)
    tensor([[[ True, False, False],
             [ True,  True, False]]])
    """
    return torch.arange(keys, device=positions.device) <= positions.unsqueeze(-1)


class CausalWindow(Window):
    """A query sees the keys up to its own place. With fewer queries than keys, the last query stands at the last key."""

    source = Source("Vaswani et al.: Attention Is All You Need", "section 3.2.3", 2017)
    aligned_to_end = True

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(mask=causal_mask(positions, keys)), state
