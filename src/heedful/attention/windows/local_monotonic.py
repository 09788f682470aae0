"""Local-m: keys around the place of the query in the target (Luong, Pham and Manning 2015, section 3.2)."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from heedful.attention.source import LUONG_2015

from .base import View, Window, check_reach


def local_monotonic_mask(
    positions: Int[Tensor, "batch queries"],
    keys: int,
    half_width: int,
    source_lens: Int[Tensor, "#batch"],
    target_lens: Int[Tensor, "#batch"],
    clamp: bool = False,
) -> Bool[Tensor, "batch queries {keys}"]:
    """True where `|k - p| <= half_width`, `p = position[q] source_len / target_len`, in whole numbers.

    Where each batch item has a target of its own length, this is the mask of a call, beside that of the padding.

    >>> lens = torch.tensor([6]), torch.tensor([2])
    >>> local_monotonic_mask(torch.tensor([[0, 1]]), 6, 1, *lens)
    tensor([[[ True,  True, False, False, False, False],
             [False, False,  True,  True,  True, False]]])
    """
    # places are counted in fractions of a key, 1 / target length, to stay whole numbers
    parts, source = target_lens.unsqueeze(1), source_lens.unsqueeze(1)
    place = positions * source
    if clamp:
        place = torch.minimum(place, (source - 1) * parts)
    far = torch.arange(keys, device=positions.device) * parts.unsqueeze(2) - place.unsqueeze(2)
    return far.abs() <= half_width * parts.unsqueeze(2)


class LocalMonotonicWindow(Window):
    """`|k - p| <= half_width`, p = position[q]: the source is read at the pace of the target.

    Args:
        half_width: keys on each side of the place; 10 in the paper.
        clamp: stay at the last visible key once the target is longer than the source (not in the paper, where such a
            query soon sees nothing). Needs padding behind the keys.
        target_len: where it is known, `p = position[q] source_len / target_len`, source_len the visible keys (not in
            the paper). One for every batch item; `local_monotonic_mask` takes one for each.

    Cost: time none beside the mask; memory queries * keys.

    Raises:
        ValueError: `half_width` is negative or not whole, or `target_len` not a whole number from 1 up.

    >>> view, _ = LocalMonotonicWindow(1)(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([5]), keys=5)
    >>> view.mask
    tensor([[[False,  True,  True,  True, False]]])
    """

    source = LUONG_2015(place="section 3.2, local-m")

    def __init__(self, half_width: int = 10, clamp: bool = False, target_len: int | None = None) -> None:
        super().__init__()
        check_reach(half_width=half_width)
        if target_len is not None:
            check_reach(1, target_len=target_len)
        self.half_width, self.clamp, self.target_len = half_width, clamp, target_len

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        source_lens = lengths.clamp_min(1)
        # where the target's length is not known, as if it were the source's
        target_lens = source_lens if self.target_len is None else torch.full_like(lengths, self.target_len)
        mask = local_monotonic_mask(positions, keys, self.half_width, source_lens, target_lens, self.clamp)
        return View(mask=mask), state
