"""Everywhere: all visible keys ("global" attention; Bahdanau, Cho and Bengio 2015; Luong et al. 2015, section 3.1)."""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from heedful.attention.source import Source

from .base import View, Window


class EverywhereWindow(Window):
    """Every visible key; the neutral element of windows."""

    source = Source("Bahdanau, Cho and Bengio: NMT by Jointly Learning to Align and Translate", "section 3.1", 2015)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(), state
