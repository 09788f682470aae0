"""Causal: the past and the present only (Vaswani et al. 2017, section 3.2.3)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import VASWANI_2017

from .base import View, Window


def causal_mask(positions: Int[Tensor, "batch queries"], keys: int) -> Bool[Tensor, "batch queries {keys}"]:
    """True where key `j` stands at or before the query's place: `j <= positions[q]`.

    >>> causal_mask(torch.tensor([[0, 1]]), 3)
    tensor([[[ True, False, False],
             [ True,  True, False]]])
    """
    return torch.arange(keys, device=positions.device) <= positions.unsqueeze(-1)


class CausalWindow(Window):
    """`k <= position[q]`: a query sees the keys up to its own place.

    With fewer queries than keys, the last query stands at the last key, padding included: it continues what the keys
    began. Otherwise the first query stands at the first key.

    Cost: time none beside the mask; memory queries * keys.

    >>> view, _ = CausalWindow()(torch.ones(1, 2, 4), torch.tensor([[1, 2]]), torch.tensor([3]), keys=3)
    >>> view.mask
    tensor([[[ True,  True, False],
             [ True,  True,  True]]])
    """

    source = VASWANI_2017(place="section 3.2.3")
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
