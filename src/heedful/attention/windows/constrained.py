"""Attention window: while decoding, keys near where the query before looked (Chorowski et al. 2015, section 2.3)."""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import CHOROWSKI_2015

from .base import View, Window, check_reach
from .sliding import sliding_mask

Anchor = Literal["median", "largest"]


def weighted_median(weights: Float[Tensor, "*batch keys"]) -> Int[Tensor, "*batch"]:
    """The first key up to which half of the weight lies; 0 where there is no weight.

    >>> weighted_median(torch.tensor([[0.4, 0.3, 0.3], [0.0, 0.0, 0.0]]))
    tensor([1, 0])
    """
    below = weights.cumsum(-1) < weights.sum(-1, keepdim=True) / 2
    return below.sum(-1)


class AttentionWindow(Window):
    """`anchor - back <= k <= anchor + forward`, anchor the median of the last weights; in evaluation mode alone.

    In training mode everything is seen. The first query looks around place 0, so that padding belongs behind the keys;
    a query that saw nothing leaves the anchor where it was. One query at a time: a call over many scans them.

    Args:
        back: keys seen before the anchor.
        forward: keys seen after it; with `w` before it, `w - 1` in the paper.
        anchor: "median", the paper's, or "largest", as in the code of others.

    State: the anchor `[batch]`.

    Cost: time queries * keys, one query after another; memory queries * keys.

    Raises:
        ValueError: a number that is negative or not whole, or an unknown anchor.

    >>> window = AttentionWindow(back=1, forward=1).eval()
    >>> state = window.update(None, torch.tensor([[[0.0, 0.0, 1.0, 0.0]]]))
    >>> window(torch.ones(1, 1, 4), torch.tensor([[1]]), torch.tensor([5]), keys=5, state=state)[0].mask
    tensor([[[False,  True,  True,  True, False]]])
    """

    source = CHOROWSKI_2015(place="section 2.3")
    stateful = True

    def __init__(self, back: int, forward: int, anchor: Anchor = "median") -> None:
        super().__init__()
        check_reach(back=back, forward=forward)
        if anchor not in get_args(Anchor):
            raise _refusals.unknown_choice("anchor", anchor, get_args(Anchor))
        self.back, self.ahead, self.anchor = back, forward, anchor

    def begin(self, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Place 0."""
        return torch.zeros_like(lengths)

    def forward(
        self,
        query: Float[Tensor, "batch 1 query_dim"],
        positions: Int[Tensor, "batch 1"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        place = self.begin(lengths) if state is None else state
        if self.training:
            return View(), place
        return View(mask=sliding_mask(place.unsqueeze(1), keys, self.back, self.ahead)), place

    def update(
        self, state: Int[Tensor, " batch"] | None, weights: Float[Tensor, "batch 1 keys"]
    ) -> Int[Tensor, " batch"]:
        """The anchor of the weights, or the last one where there are none."""
        row = weights.squeeze(1)
        seen = row.sum(1) > 0
        if not row.shape[1]:
            return torch.zeros_like(seen, dtype=torch.long) if state is None else state
        place = weighted_median(row) if self.anchor == "median" else row.argmax(1)
        return torch.where(seen, place, 0 if state is None else state)
