"""Where hard monotonic attention stops: from all scores, or scoring keys only as they are reached.

No mechanism of its own; Raffel et al. 2017, algorithm 1.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .base import Ask

# keys that are scored at once while one looks for a stop
_PIECE = 32


def first_stop(
    energy: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"], start: Int[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """The first visible key from `start` on with `p >= 0.5`, that is `energy >= 0`; the number of keys if none.

    >>> first_stop(torch.tensor([[1.0, -1.0, 2.0]]), torch.tensor([[True, True, True]]), torch.tensor([1]))
    tensor([2])
    """
    places = torch.arange(energy.shape[1], device=energy.device)
    stops = visible & (energy >= 0) & (places >= start.unsqueeze(1))
    return (stops.cumsum(1) == 0).sum(1)


def first_stop_online(
    ask: Ask, visible: Bool[Tensor, "batch keys"], start: Int[Tensor, " batch"]
) -> Int[Tensor, " batch"]:
    """`first_stop`, with keys scored piece by piece as one comes to them, none after the piece of the stop.

    Over a whole target that makes at most `keys + 32 queries` scores of a batch item whose queries all find a stop.

    >>> scores = torch.tensor([[[-1.0, 2.0, 3.0]]])
    >>> ask = lambda items, places: scores[items.unsqueeze(1), :, places].movedim(-1, 1)
    >>> first_stop_online(ask, torch.ones(1, 3, dtype=torch.bool), torch.tensor([0]))
    tensor([1])
    """
    keys = visible.shape[1]
    stop = torch.full_like(start, keys)
    items = (start < keys).nonzero().squeeze(1)
    begin = start[items]
    while len(items):
        ahead = begin.unsqueeze(1) + torch.arange(_PIECE, device=begin.device)
        places = ahead.clamp_max(keys - 1)
        stops = (ahead < keys) & visible[items.unsqueeze(1), places] & (ask(items, places)[:, 0] >= 0)
        stop[items] = torch.where(stops, places, keys).amin(1)
        searching = (stop[items] == keys) & (begin + _PIECE < keys)
        items, begin = items[searching], begin[searching] + _PIECE
    return stop
