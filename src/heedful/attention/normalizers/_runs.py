"""Runs of equal values along a chain of keys: the exact minimum of a squared distance and of steps between neighbours.

A part of the chain is one run when no set of its keys gains by lying above the part's mean. Else the best such set lies
above it, and the part is cut where that set begins and ends. All parts of all rows are asked at once, each time by one
scan of `log2(keys)` steps (parametric maximum flow: Hochbaum 2001; Chambolle and Darbon 2009).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad


def clamped_sums(gain: Float[Tensor, "rows keys"], tie: Float[Tensor, "rows keys"]) -> Float[Tensor, "rows keys"]:
    """`m[k] = gain[k] + clamp(m[k - 1], -tie[k], tie[k])`, where the first tie is 0.

    >>> clamped_sums(torch.tensor([[3.0, 1.0, -5.0]]), torch.tensor([[0.0, 2.0, 2.0]]))
    tensor([[ 3.,  3., -3.]])
    """
    low, high, reach = gain - tie, gain + tie, 1
    while reach < gain.shape[-1]:
        # what leads from one key to a later one is again a sum between two walls: join each with the one before
        walls = low[:, reach:], high[:, reach:]
        lower, upper = (
            (wall[:, :-reach] + gain[:, reach:]).maximum(walls[0]).minimum(walls[1]) for wall in (low, high)
        )
        low, high = torch.cat([low[:, :reach], lower], 1), torch.cat([high[:, :reach], upper], 1)
        gain = torch.cat([gain[:, :reach], gain[:, :-reach] + gain[:, reach:]], 1)
        reach *= 2
    return low


def best_set(gain: Float[Tensor, "rows keys"], tie: Float[Tensor, "rows places"]) -> Bool[Tensor, "rows keys"]:
    """The set of keys of the largest `sum of gain - sum of tie at its borders`; a tie of 0 separates two parts.

    >>> best_set(torch.tensor([[-2.0, 3.0, -0.5, 3.0]]), torch.tensor([[0.0, 1.0, 1.0, 1.0, 0.0]]))
    tensor([[False,  True,  True,  True]])
    """
    sums = clamped_sums(gain, tie[:, :-1])
    # a key whose sum is beyond the tie to the next one is decided by itself; the others are as the next one is
    decided = (sums.abs() > tie[:, 1:]) | (tie[:, 1:] == 0)
    place = torch.arange(gain.shape[-1], device=gain.device)
    last = place.masked_fill(~decided, gain.shape[-1] - 1).flip(-1).cummin(-1).values.flip(-1)
    return (sums > 0).gather(-1, last)


def means(values: Float[Tensor, "rows keys"], cut: Bool[Tensor, "rows places"]) -> Float[Tensor, "rows keys"]:
    """The mean of the run of each key.

    >>> means(torch.tensor([[1.0, 3.0, 7.0]]), torch.tensor([[True, False, True, True]]))
    tensor([[2., 2., 7.]])
    """
    run = cut[:, :-1].cumsum(-1) - 1
    total = torch.zeros_like(values).scatter_add(-1, run, values)
    size = torch.zeros_like(values).scatter_add(-1, run, torch.ones_like(values))
    return (total / size.clamp_min(1)).gather(-1, run)


def levels_by_cuts(
    scores: Float[Tensor, "rows keys"], strength: Float[Tensor, "rows places"]
) -> Float[Tensor, "rows keys"]:
    """`argmin 0.5 sum (z - scores)^2 + sum strength |z[k + 1] - z[k]|`: keys of one run hold the very same number.

    Args:
        scores: in float64, since small differences of large sums tell where a run ends.
        strength: of the tie between the two keys at each place; 0 at both ends.

    >>> ties = torch.tensor([[0.0, 1.0, 1.0, 0.0]]).double()
    >>> levels_by_cuts(torch.tensor([[0.0, 1.0, 5.0]]).double(), ties)
    tensor([[1., 1., 4.]], dtype=torch.float64)
    """
    found = torch.empty_like(scores)
    rows = torch.arange(scores.shape[0], device=scores.device)
    step, cut = torch.zeros_like(strength), strength == 0
    # of what a run holds, rounding may make such a share of a gain of 0
    noise = 4 * torch.finfo(scores.dtype).eps * scores.shape[-1]
    while rows.shape[0]:
        pull = step * strength
        moved = scores + pull[:, 1:] - pull[:, :-1]
        level = means(moved, cut)
        tie = strength.masked_fill(cut, 0)
        above = best_set(moved - level, tie)
        rise = pad(above.to(scores.dtype), (1, 1)).diff()
        paid = rise.abs() * tie / 2
        won = (moved - level) * above - paid[:, 1:] - paid[:, :-1]
        gains = means(won, cut) > noise * means(moved.abs(), cut)
        new = (rise != 0) & ~cut & pad(gains, (1, 0))
        step = torch.where(new, rise, step)
        cut = cut | new
        busy = new.any(-1)
        found[rows[~busy]] = level[~busy]
        rows, scores, strength, step, cut = (one[busy] for one in (rows, scores, strength, step, cut))
    return found
