"""Dilated window: a band with holes (Beltagy, Peters and Cohan 2020, section 3.1)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import BELTAGY_2020

from .base import View, Window, check_reach


def dilated_mask(
    positions: Int[Tensor, "batch queries"], keys: int, reach: int, dilation: int
) -> Bool[Tensor, "batch queries {keys}"]:
    """True where `|k - position[q]| <= dilation * reach` and `dilation` divides the distance.

    >>> dilated_mask(torch.tensor([[2]]), 6, reach=1, dilation=2)
    tensor([[[ True, False,  True, False,  True, False]]])
    """
    distance = (torch.arange(keys, device=positions.device) - positions.unsqueeze(-1)).abs()
    return (distance <= dilation * reach) & (distance % dilation == 0)


class DilatedWindow(Window):
    """`|k - position[q]| <= dilation reach`, `(k - position[q]) mod dilation = 0`: a band with holes.

    With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`.

    Args:
        reach: keys seen on each side of the query's place.
        dilation: distance from one of them to the next; 1 is a sliding window.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: a number that is negative or not whole, or a dilation of 0.

    >>> view, _ = DilatedWindow(1, 2)(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([4]), keys=4)
    >>> view.mask
    tensor([[[ True, False,  True, False]]])
    """

    source = BELTAGY_2020(place="section 3.1")
    aligned_to_end = True

    def __init__(self, reach: int, dilation: int) -> None:
        super().__init__()
        check_reach(reach=reach)
        check_reach(1, dilation=dilation)
        self.reach, self.dilation = reach, dilation

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(mask=dilated_mask(positions, keys, self.reach, self.dilation)), state
