"""Block window: keys of the query's own block (Parmar et al. 2018, section 3.3, local attention in blocks)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import PARMAR_2018

from .base import View, Window, check_reach


def block_mask(
    positions: Int[Tensor, "batch queries"], keys: int, size: int, previous: int = 0
) -> Bool[Tensor, "batch queries {keys}"]:
    """True where the key's block is the query's, or one of the `previous` before it; the last block may be cut short.

    >>> block_mask(torch.tensor([[1, 2]]), 5, size=2)
    tensor([[[ True,  True, False, False, False],
             [False, False,  True,  True, False]]])
    """
    block = positions.unsqueeze(-1) // size
    other = torch.arange(keys, device=positions.device) // size
    return (other <= block) & (other >= block - previous)


class BlockWindow(Window):
    """`floor(position[q] / size) - previous <= floor(k / size) <= floor(position[q] / size)`: blocks of places.

    With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`.

    Args:
        size: places of a block.
        previous: how many blocks before its own a query sees, too.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: a number that is negative or not whole, or a size of 0.

    >>> view, _ = BlockWindow(2)(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([4]), keys=4)
    >>> view.mask
    tensor([[[False, False,  True,  True]]])
    """

    source = PARMAR_2018(place="section 3.3")
    aligned_to_end = True

    def __init__(self, size: int, previous: int = 0) -> None:
        super().__init__()
        check_reach(1, size=size)
        check_reach(previous=previous)
        self.size, self.previous = size, previous

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(mask=block_mask(positions, keys, self.size, self.previous)), state
