"""Everywhere: all visible keys ("global" attention; Bahdanau, Cho and Bengio 2015; Luong et al. 2015, section 3.1)."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from heedful.attention.source import BAHDANAU_2015

from .base import View, Window


class EverywhereWindow(Window):
    """Every visible key; the neutral element of windows.

    Cost: time none; memory none.

    >>> import torch
    >>> EverywhereWindow()(torch.ones(1, 2, 4), torch.tensor([[0, 1]]), torch.tensor([3]), keys=3)[0]
    View(mask=None, bias=None, gain=None)
    """

    source = BAHDANAU_2015(place="section 3.1")

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(), state
