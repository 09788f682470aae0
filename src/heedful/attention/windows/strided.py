"""Strided window: the last keys, and every so-many-th before them (Child et al. 2019, section 4.3)."""

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import CHILD_2019

from .base import View, Window, check_reach, distances


def strided_mask(
    positions: Int[Tensor, "batch queries"], keys: int, stride: int
) -> Bool[Tensor, "batch queries {keys}"]:
    """True where the key stands at most `stride - 1` before the query's place, or a multiple of `stride` before it.

    >>> import torch
    >>> strided_mask(torch.tensor([[5]]), 7, stride=3)
    tensor([[[False, False,  True,  True,  True,  True, False]]])
    """
    behind = -distances(positions, keys)
    return (behind >= 0) & ((behind < stride) | (behind % stride == 0))


class StridedWindow(Window):
    """`d = position[q] - k >= 0`, and `d < stride` or `d mod stride = 0`: near keys, and every `stride`-th.

    The paper's two kinds of head in one. With fewer queries than keys, the last query stands at the last key, as in
    `CausalWindow`.

    Args:
        stride: keys seen up to the query's place, and distance from one of the far keys to the next; near the square
            root of the length in the paper.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: the stride is not a whole number from 1 up.

    >>> import torch
    >>> view, _ = StridedWindow(2)(torch.ones(1, 1, 4), torch.tensor([[4]]), torch.tensor([6]), keys=6)
    >>> view.mask
    tensor([[[ True, False,  True,  True,  True, False]]])
    """

    source = CHILD_2019(place="section 4.3")
    aligned_to_end = True

    def __init__(self, stride: int) -> None:
        super().__init__()
        check_reach(1, stride=stride)
        self.stride = stride

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(mask=strided_mask(positions, keys, self.stride)), state
