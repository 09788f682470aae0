"""Local-m: keys around the place of the query in the target (Luong, Pham and Manning 2015, section 3.2)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.attention.source import LUONG_2015

from .base import View, Window, check_reach
from .sliding import sliding_mask


class LocalMonotonicWindow(Window):
    """`|k - p| <= half_width`, p = position[q]: the source is read at the pace of the target.

    Args:
        half_width: keys on each side of the place; 10 in the paper.
        clamp: stay at the last visible key once the target is longer than the source (not in the paper, where such a
            query soon sees nothing). Needs padding behind the keys.

    Raises:
        ValueError: `half_width` is negative or not whole.

    >>> view, _ = LocalMonotonicWindow(1)(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([5]), keys=5)
    >>> view.mask
    tensor([[[False,  True,  True,  True, False]]])
    """

    source = LUONG_2015(place="section 3.2, local-m")

    def __init__(self, half_width: int = 10, clamp: bool = False) -> None:
        super().__init__()
        check_reach(half_width=half_width)
        self.half_width, self.clamp = half_width, clamp

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        if self.clamp:
            positions = torch.minimum(positions, (lengths - 1).clamp_min(0).unsqueeze(1))
        return View(mask=sliding_mask(positions, keys, self.half_width, self.half_width)), state
