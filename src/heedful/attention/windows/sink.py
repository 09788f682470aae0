"""Sink window: the first keys stay visible beside a causal band (Xiao et al. 2024, section 3.2, attention sinks)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.attention.source import XIAO_2024

from .base import View, Window, check_reach
from .sliding import sliding_mask


class SinkWindow(Window):
    """`k < sinks or position[q] - left <= k`, `k <= position[q]`: the first keys, and the last ones up to the query.

    Places are those in the memory, not in the text that it was cut from. With fewer queries than keys, the last query
    stands at the last key, as in `CausalWindow`.

    Args:
        left: keys seen before the query's place.
        sinks: keys at the beginning that stay visible; 4 in the paper.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: a number that is negative or not whole.

    >>> view, _ = SinkWindow(1, sinks=1)(torch.ones(1, 1, 4), torch.tensor([[3]]), torch.tensor([4]), keys=4)
    >>> view.mask
    tensor([[[ True, False,  True,  True]]])
    """

    source = XIAO_2024(place="section 3.2")
    aligned_to_end = True

    def __init__(self, left: int, sinks: int = 4) -> None:
        super().__init__()
        check_reach(left=left, sinks=sinks)
        self.left, self.sinks = left, sinks

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        place = torch.arange(keys, device=positions.device)
        first = (place < self.sinks) & (place <= positions.unsqueeze(-1))
        return View(mask=first | sliding_mask(positions, keys, self.left, 0)), state
