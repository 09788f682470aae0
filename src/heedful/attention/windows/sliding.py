"""Sliding window: a band around the query's place (Beltagy, Peters and Cohan 2020, section 3.1)."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import BELTAGY_2020

from .base import View, Window, check_reach


def sliding_mask(
    positions: Int[Tensor, "batch queries"], keys: int, left: int, right: int
) -> Bool[Tensor, "batch queries {keys}"]:
    """True where `-left <= k - position[q] <= right`.

    >>> sliding_mask(torch.tensor([[0, 2]]), 4, left=1, right=0)
    tensor([[[ True, False, False, False],
             [False,  True,  True, False]]])
    """
    distance = torch.arange(keys, device=positions.device) - positions.unsqueeze(-1)
    return (distance >= -left) & (distance <= right)


class SlidingWindow(Window):
    """`-left <= k - position[q] <= right`: a query sees so many keys before its place and after it.

    With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`.

    Args:
        left: keys seen before the query's place.
        right: keys seen after it; 0 makes the window causal, but for the `global_keys`.
        global_keys: places that see all keys, and whose keys all queries see, earlier ones too.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: a number that is negative or not whole.

    >>> view, _ = SlidingWindow(1, 0)(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([4]), keys=4)
    >>> view.mask
    tensor([[[False,  True,  True, False]]])
    """

    source = BELTAGY_2020(place="section 3.1")
    aligned_to_end = True

    def __init__(self, left: int, right: int, global_keys: Sequence[int] = ()) -> None:
        super().__init__()
        check_reach(left=left, right=right)
        for place in global_keys:
            check_reach(**{"a global key": place})
        self.left, self.right, self.global_keys = left, right, tuple(global_keys)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        mask = sliding_mask(positions, keys, self.left, self.right)
        for place in self.global_keys:
            mask = mask | (torch.arange(keys, device=positions.device) == place) | (positions == place).unsqueeze(-1)
        return View(mask=mask), state
