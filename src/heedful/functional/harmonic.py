"""Additive attention by sines: tanh within a stated error, so that the scores are one product (docs/sine_attention.md).

    tanh(x) = sum over k = 0, 1, .. of c_k sin(w_k x),   w_k = (2 k + 1) pi / H,   c_k = 2 pi / (H sinh(pi w_k / 2))

up to `tanh(H + R) - tanh(H - R)` for |x| <= R < H; and `sin(w (a + b))` is a product of two features of a and two of b.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from heedful.functional.masks import hide
from heedful.functional.softmax import masked_softmax
from heedful.kernels.additive import op
from heedful.kernels.additive.backend import reads_numbers
from heedful.kernels.additive.steps import AdditiveMemory

# the least error that can be asked for; a tenth of it is left to rounding, which is below 168 x 2^-24 (2^-53)
LEAST = {torch.float32: 1e-4, torch.float64: 1e-12}
# a unit whose |a + b| passes this is taken exactly
FARTHEST = 16.0


def tanh_sines(
    reach: Float[Tensor, " units"], tolerance: float
) -> tuple[Int[Tensor, " units"], Float[Tensor, " units"]]:
    """How many sines make tanh up to `tolerance` wherever |x| <= reach, and `2 pi / H`, for each unit, on the CPU.

    Args:
        reach: of each unit, finite.
        tolerance: above 0.

    >>> counts, step = tanh_sines(torch.tensor([1.0, 4.0]), 0.01)
    >>> counts.tolist()
    [3, 4]
    """
    reach = reach.double().cpu().unsqueeze(-1)
    # H is R and something between 0 and what makes the mirror images of tanh negligible
    period = reach + torch.linspace(1 / 64, 1, 64, dtype=torch.float64) * math.log(4 / tolerance)
    left = tolerance - (torch.tanh(period + reach) - torch.tanh(period - reach))
    step = 2 * torch.pi / period
    # the terms from w = y / (pi / 2) on sum up to step / (sinh(y) (1 - e^(-pi step / 2))) at most
    tail = step / (-torch.expm1(-torch.pi * step / 2) * left)
    counts = (torch.asinh(tail) * 2 / (torch.pi * step) - 0.5).ceil().clamp(min=1)
    counts, best = torch.where(left > 0, counts, torch.inf).min(-1)
    return counts.long(), step.gather(-1, best.unsqueeze(-1)).squeeze(-1)


def sine_terms(
    step: Float[Tensor, " units"], count: int
) -> tuple[Float[Tensor, "units count"], Float[Tensor, "units count"]]:
    """Frequencies `w_k` and coefficients `c_k` of so many sines, for units of these `2 pi / H`.

    >>> frequency, weight = sine_terms(torch.tensor([1.0]), 2)
    >>> frequency.tolist()
    [[0.5, 1.5]]
    """
    frequency = (torch.arange(count, device=step.device) + 0.5) * step.unsqueeze(-1)
    return frequency, step.unsqueeze(-1) / torch.sinh(torch.pi / 2 * frequency)


def _ranges(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Of each unit: the largest |a + b|, and what is taken from a and added to b so that both have one centre."""
    asked, known = (torch.stack(side.detach().flatten(0, 1).aminmax(dim=0)).cpu().double() for side in (query, key))
    return (asked + known).abs().amax(0), (asked.sum(0) - known.sum(0)) / 4


def _features(query: Tensor, key: Tensor, energy: Tensor, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
    """Features of queries and keys whose product is the score of most units, and which units are not among them."""
    reach, shift = _ranges(query, key)
    near = (reach <= FARTHEST) & shift.isfinite()
    counts, step = tanh_sines(reach.where(near, 0.0), 0.9 * tolerance)
    counts = counts.where(near, 0)
    asked, known = [query[..., :0]], [key[..., :0]]
    # units of as many sines together: a product that spreads is far cheaper than a table of columns
    for count in counts[near].unique().tolist():
        units = (counts == count).nonzero().squeeze(-1)
        own = _columns(query, key, energy, units.to(query.device))
        of_query, of_key = _sines(*own, shift[units].to(query), sine_terms(step[units], count))
        asked.append(of_query)
        known.append(of_key)
    return torch.cat(asked, -1), torch.cat(known, -1), (~near).nonzero().squeeze(-1).to(query.device)


def _columns(query: Tensor, key: Tensor, energy: Tensor, units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Some units of queries, keys and energy."""
    whole = len(units) == len(energy)
    return (query, key, energy) if whole else (query[..., units], key[..., units], energy[units])


def _sines(
    query: Tensor, key: Tensor, energy: Tensor, shift: Tensor, terms: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Features of queries and keys for units of one number of sines."""
    frequency, weight = (part.to(query) for part in terms)
    query, key = ((part.unsqueeze(-1) * frequency).flatten(-2) for part in (query - shift, key + shift))
    weight = (weight * energy.unsqueeze(-1)).flatten()
    return torch.cat((query.sin() * weight, query.cos() * weight), -1), torch.cat((key.cos(), key.sin()), -1)


def _exact(query: Tensor, key: Tensor, energy: Tensor, units: Tensor) -> Tensor:
    """Scores of some units, by the exact kernels."""
    return op.additive_scores(*_columns(query, key, energy, units))


def _widest(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In float64 if one is, else in float32."""
    dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    return tuple(tensor.to(dtype) for tensor in tensors)


def _is_for_sines(query: Tensor, key: Tensor, energy: Tensor) -> bool:
    """Whether there are numbers, and one may look at them; else the exact way is taken, whose error is less."""
    return reads_numbers(query, key, energy) and query.numel() > 0 and key.numel() > 0


def harmonic_scores(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"] | AdditiveMemory,
    energy: Float[Tensor, " units"],
    tolerance: float,
) -> Float[Tensor, "batch queries keys"]:
    """`energy . tanh(query[q] + key[k])`, off by at most `tolerance x sum |energy|`."""
    known = key.key if isinstance(key, AdditiveMemory) else key
    if not _is_for_sines(query, known, energy):
        return op.additive_scores(query, key, energy)
    with torch.autocast(query.device.type, enabled=False):
        wide, known, energy = _widest(query, known, energy)
        asked, features, far = _features(wide, known, energy, tolerance)
        scores = asked @ features.mT
        return (scores + _exact(wide, known, energy, far) if len(far) else scores).to(query.dtype)


def harmonic_attention(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"] | AdditiveMemory,
    value: Float[Tensor, "batch keys value_dim"],
    energy: Float[Tensor, " units"],
    mask: Bool[Tensor, "#batch #queries #keys"] | None,
    need_weights: bool,
    tolerance: float,
) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"] | None]:
    """Context, and weights if asked for, of the softmax of `harmonic_scores`."""
    known = key.key if isinstance(key, AdditiveMemory) else key
    if not _is_for_sines(query, known, energy):
        return op.additive_attention(query, key, value, energy, mask, need_weights)
    dtype = query.dtype if op.widens(query, key) else value.dtype
    if mask is not None:
        seen = mask.any(1).expand(known.shape[:2])
        known, value = hide(known, seen), hide(value, seen)
    with torch.autocast(query.device.type, enabled=False):
        query, known, energy, wide = _widest(query, known, energy, value)
        asked, features, far = _features(query, known, energy, tolerance)
        if len(far) == 0 and not need_weights:
            # fused kernels ask for an axis of heads
            heads = (part.unsqueeze(1) for part in (asked, features, wide))
            mask = None if mask is None else mask.unsqueeze(1)
            return scaled_dot_product_attention(*heads, attn_mask=mask, scale=1.0).squeeze(1).to(dtype), None
        scores = asked @ features.mT
        weights = masked_softmax(scores + _exact(query, known, energy, far) if len(far) else scores, mask)
        return (weights @ wide).to(dtype), weights.to(dtype) if need_weights else None
