"""Wait-k: read k keys, then one more for each query (Ma et al. 2019)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.attention.source import MA_2019

from .base import View, Window, check_reach


class WaitKWindow(Window):
    """`k < position[q] + wait`: the first query sees `wait` keys, each one after it one more.

    The fixed policy of simultaneous translation: a decoder is always `wait` source words ahead, until the source ends.
    The encoder must not read ahead either: a recurrent one from left to right.

    Args:
        wait: keys that are read before the first query, from 1 up.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: `wait` is no whole number from 1 up.

    >>> view, _ = WaitKWindow(2)(torch.ones(1, 1, 4), torch.tensor([[1]]), torch.tensor([5]), keys=5)
    >>> view.mask
    tensor([[[ True,  True,  True, False, False]]])
    """

    source = MA_2019(place="section 3.2")

    def __init__(self, wait: int) -> None:
        super().__init__()
        check_reach(1, wait=wait)
        self.wait = wait

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        places = torch.arange(keys, device=positions.device)
        return View(mask=places < positions.unsqueeze(-1) + self.wait), state
