"""How each unit of additive attention is taken on the CPU: by factors e^{2x}, or by the exponential of the sum.

Factors serve where |x| stays below a limit at which they are normal and finite; any product of two is then right,
infinity and zero included, once it is cut where tanh has rounded to 1. Where the ranges of queries and keys together
are so narrow that four denominators multiplied stay finite, even the cut is left out. A unit beyond the limit, or that
holds no number, is taken directly: e^{2(a + b)} is exact for every input. The choice costs one pass over queries and
keys.
"""

import struct
from functools import cache
from math import inf, log
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from heedful.kernels.threads import address, share

# Up to so many queries, or elements of batch x queries x keys x units, factors do not repay themselves.
_FEW, _LITTLE = 2, 2**14
# The number 1, the cut of P, the largest magnitude with a factor, the logarithm of numbers whose square is finite.
NUMBERS = {
    torch.float32: (np.float32(1), np.float32(2.0**27), np.float32(43), 44.0),
    torch.float64: (np.float64(1), np.float64(2.0**57), np.float64(350), 354.0),
}
# Inverses of the energy up to e^18 times its mean are told from infinity: what is smaller adds 1.5e-8 of the mean.
_INVERSE = {torch.float32: 18.0, torch.float64: 38.0}


@cache
def kernels() -> ModuleType:
    """The compiled kernels; Numba is imported at the first call."""
    from heedful.kernels.additive import cpu_kernels

    return cpu_kernels


@cache
def lanes(dtype: torch.dtype) -> int:
    """Elements in one register."""
    from heedful.kernels.simd import lanes_of

    return lanes_of(NUMBERS[dtype][0].dtype)


def constants(dtype: torch.dtype) -> tuple[np.floating, np.floating]:
    """The number 1 and the cut of P, in the type of the kernel."""
    return NUMBERS[dtype][:2]


def exponentials(tensor: Tensor) -> tuple[Tensor, float]:
    """e^{2x} with whole registers of units, NaN beyond the limit; and the largest magnitude, infinity beyond the
    limit.
    """
    source, units = tensor.contiguous(), tensor.shape[-1]
    width = -(-units // lanes(tensor.dtype)) * lanes(tensor.dtype)
    target = tensor.new_empty((*tensor.shape[:-1], width))
    unit, _, limit, _ = NUMBERS[tensor.dtype]
    size, record = target.numel(), (address(source), address(target), units)
    found = share(kernels().exponentials(unit, limit), record, size // max(width, 1), 4 * size)
    return target, struct.unpack("d", struct.pack("q", found))[0]


class Side(NamedTuple):
    """Queries, keys and energy of some units, factors in whole registers; `columns` says which units, if not all."""

    x: Tensor
    y: Tensor
    energy: Tensor
    columns: Tensor | None = None

    @property
    def units(self) -> int:
        """Units, without those that fill registers."""
        return self.energy.shape[0]

    def block(self, b: slice, q: slice) -> "Side":
        """Some batch items, some queries of theirs."""
        return Side(self.x[b, q], self.y[b], self.energy, self.columns)


class Plan(NamedTuple):
    """Units by factors, their product cut if `wide`, and units taken directly; `peak` bounds |a + b|, if known.

    Where factors are not wide, 2^digits bounds the inverse of the energy.
    """

    product: Side | None
    direct: Side | None
    wide: bool = True
    peak: float = inf
    digits: int = 0

    def block(self, b: slice, q: slice) -> "Plan":
        """Some batch items, some queries of theirs."""
        near, far = self.product, self.direct
        return Plan(near and near.block(b, q), far and far.block(b, q), self.wide, self.peak, self.digits)

    def sides(self) -> list[tuple[Side, int | None, int | None]]:
        """Each side with the marks `direct` and `wide` of the kernels."""
        near: list[tuple[Side, int | None, int | None]]
        near = [] if self.product is None else [(self.product, None, 1 if self.wide else None)]
        return near if self.direct is None else [*near, (self.direct, 1, None)]

    def size(self) -> tuple[int, torch.dtype]:
        """Units altogether, and their type."""
        near, far = self.product, self.direct
        if near is None or far is None:
            side = near or far
            assert side is not None
            return side.units, side.energy.dtype
        return near.units + far.units, near.energy.dtype

    def numbers(self) -> tuple[int, ...]:
        """What the forward kernel reads."""
        near, far = _numbers(self.product), _numbers(self.direct)
        return (*near, *far, self.digits)

    def marks(self) -> tuple[int | None, int | None, int | None]:
        """The marks `near`, `far` and `wide` of the forward kernel."""
        return 1 if self.product else None, 1 if self.direct else None, 1 if self.product and self.wide else None


def _numbers(side: Side | None) -> tuple[int, int, int, int]:
    if side is None:
        return 0, 0, 0, 0
    return address(side.x), address(side.y), address(side.energy), side.units


def plan(query: Tensor, key: Tensor, energy: Tensor, seen: Tensor | None) -> Plan:
    """Factors for every unit, if they repay themselves and the range allows it; `seen` [batch, keys] bounds the
    range.
    """
    if query.shape[1] <= _FEW or query.numel() * key.shape[1] <= _LITTLE:
        return Plan(None, Side(query.contiguous(), key.contiguous(), energy.contiguous()))
    x, query_peak = exponentials(query)
    y, key_peak = exponentials(key)
    peak = query_peak + key_peak
    if peak == inf:
        return _split(query, key, energy, seen)
    room = NUMBERS[query.dtype][3] - 2 * peak
    side = Side(x, y, energy.contiguous())
    if room < _INVERSE[query.dtype]:
        return Plan(side, None, True, peak)
    return Plan(side, None, False, peak, int(room / log(2)))


def _split(query: Tensor, key: Tensor, energy: Tensor, seen: Tensor | None) -> Plan:
    """Factors for the units whose visible range allows it, the others directly."""
    limit = float(NUMBERS[query.dtype][2])
    visible = key if seen is None else key.masked_fill(~seen.unsqueeze(-1), 0.0)
    safe = (query.abs() <= limit).all(1).all(0) & (visible.abs() <= limit).all(1).all(0)
    near, far = safe.nonzero().squeeze(-1), (~safe).nonzero().squeeze(-1)
    x, y = exponentials(query[..., near])[0], exponentials(visible[..., near])[0]
    product = Side(x, y, energy[near], near) if near.numel() else None
    direct = None
    if far.numel():
        direct = Side(query[..., far].contiguous(), key[..., far].contiguous(), energy[far], far)
    return Plan(product, direct)
