"""Position encodings: sines (Vaswani 2017), a learned table, rotation (Su 2021).

Each takes an `offset`, the place of the first step given: in cached decoding, the number of steps before it.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful.functional import widen

Offset = int | Int[Tensor, " batch"]


def places(steps: int, offset: Offset = 0, device: torch.device | None = None) -> Int[Tensor, "#batch {steps}"]:
    """Places of so many steps in a row, counted from 0; one row, or one for each offset.

    >>> places(3, 2)
    tensor([[2, 3, 4]])
    """
    first = offset.unsqueeze(1) if isinstance(offset, Tensor) else offset
    return torch.arange(steps, device=device).unsqueeze(0) + first


def angles(place: Int[Tensor, "*shape"], dim: int, base: float = 10000.0) -> Float[Tensor, "*shape pairs"]:
    """`place / base^(2i/dim)` for every pair `i` of features, the last one half a pair where `dim` is odd.

    In float64: at place 100,000 a float32 angle is wrong by up to 0.004.

    >>> angles(torch.tensor([2]), 4, base=100.0)
    tensor([[2.0000, 0.2000]], dtype=torch.float64)
    """
    exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=place.device) / dim
    return place.unsqueeze(-1) * torch.exp(-math.log(base) * exponents)


def rotate(
    vectors: Float[Tensor, "*batch steps dim"], angle: Float[Tensor, "*#batch steps pairs"], interleaved: bool = True
) -> Float[Tensor, "*batch steps dim"]:
    """Turn every pair of features by its angle.

    Args:
        vectors: `[..., steps, dim]`, `dim` even.
        angle: `[..., steps, dim / 2]`, radians.
        interleaved: pairs are neighbours, features 2i and 2i + 1; otherwise features i and i + dim / 2.

    >>> rotate(torch.tensor([[1.0, 0.0]]), torch.tensor([[math.pi / 2]])).round(decimals=3).abs()
    tensor([[0., 1.]])
    """
    wide = widen(vectors)
    cos, sin = angle.cos().to(wide.dtype), angle.sin().to(wide.dtype)
    first, second = (wide[..., ::2], wide[..., 1::2]) if interleaved else wide.chunk(2, -1)
    turned = first * cos - second * sin, first * sin + second * cos
    return (torch.stack(turned, -1).flatten(-2) if interleaved else torch.cat(turned, -1)).to(vectors.dtype)


class SinusoidalPositions(nn.Module):
    """Adds `sin(p / 10000^(2i/dim))` to feature 2i and the cosine to feature 2i + 1 (Vaswani 2017, section 3.5).

    No parameters, and no longest sequence.

    Args:
        dim: features of a step; an odd one ends with a sine.
        interleaved: sine and cosine take turns, as in the paper; otherwise the same numbers with all sines first, the
            order (not the wavelengths) of tensor2tensor and fairseq.

    Raises:
        ValueError: the size is not positive; in a call, the steps have another number of features.

    Source: Vaswani et al.: Attention Is All You Need, 2017, section 3.5.

    Cost: time steps * dim; memory steps * dim.

    >>> SinusoidalPositions(4)(torch.zeros(1, 2, 4), offset=1)[0, 0].round(decimals=2)
    tensor([0.8400, 0.5400, 0.0100, 1.0000])
    """

    def __init__(self, dim: int, interleaved: bool = True) -> None:
        super().__init__()
        _refusals.check_sizes(dim=dim)
        self.dim, self.interleaved = dim, interleaved

    def forward(self, steps: Float[Tensor, "batch steps dim"], offset: Offset = 0) -> Float[Tensor, "batch steps dim"]:
        """The steps with their places added.

        Args:
            steps: `[batch, steps, dim]`.
            offset: place of the first of them, one number or one for each batch item.
        """
        _check_features(steps, self)
        angle = angles(places(steps.shape[1], offset, steps.device), self.dim)
        sin, cos = angle.sin(), angle.cos()
        signal = torch.stack((sin, cos), -1).flatten(-2) if self.interleaved else torch.cat((sin, cos), -1)
        return steps + signal[..., : self.dim].to(steps.dtype)


class LearnedPositions(nn.Module):
    """Adds a learned vector for each place, up to a longest sequence.

    Args:
        max_len: number of places in the table.
        dim: features of a step.

    Parameters: `table [max_len, dim]`, normal with standard deviation 0.02.

    Raises:
        ValueError: a size is not positive; in a call, the steps have another number of features or reach beyond the
            table (offsets in a tensor are looked at on the CPU alone: elsewhere that would wait for the device).

    Source: Gehring et al.: Convolutional Sequence to Sequence Learning, 2017, section 3.1.

    Cost: time steps * dim; memory steps * dim.

    >>> LearnedPositions(max_len=5, dim=3)(torch.zeros(2, 4, 3), offset=1).shape
    torch.Size([2, 4, 3])
    """

    def __init__(self, max_len: int, dim: int) -> None:
        super().__init__()
        _refusals.check_sizes(max_len=max_len, dim=dim)
        self.max_len, self.dim = max_len, dim
        self.table = nn.Parameter(torch.empty(max_len, dim))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, steps: Float[Tensor, "batch steps dim"], offset: Offset = 0) -> Float[Tensor, "batch steps dim"]:
        """The steps with the vectors of their places added.

        Args:
            steps: `[batch, steps, dim]`.
            offset: place of the first of them, one number or one for each batch item.
        """
        _check_features(steps, self)
        self._check_reach(steps.shape[1], offset)
        return steps + self.table[places(steps.shape[1], offset, steps.device)]

    def _check_reach(self, steps: int, offset: Offset) -> None:
        if isinstance(offset, Tensor):
            if offset.device.type != "cpu" or torch.compiler.is_compiling() or not offset.numel():
                return
            first, last = int(offset.min()), int(offset.max()) + steps
        else:
            first, last = offset, offset + steps
        if first < 0 or last > self.max_len:
            raise ValueError(
                f"{steps} steps from offset {first if first < 0 else last - steps} reach beyond the table of "
                f"{self.max_len} places. Build it with max_len={max(last, 1)} or more, cut the sequence, or use "
                "SinusoidalPositions or RotaryPositions, which have no end."
            )


class RotaryPositions(nn.Module):
    """Turns each pair of features `i` of a query or key by `place / base^(2i/dim)` (Su 2021, equations 13-16 and 34).

    Applied to both query and key, their product depends on the distance alone. A cached key keeps the rotation of its
    own place. No parameters.

    Args:
        dim: features of a query or key (of one head), or as many of its first ones as are turned: the rest stays.
        base: the longest wavelength is about `2 pi base`.
        interleaved: pairs are neighbours, as in the paper; otherwise features i and i + dim / 2, as in GPT-NeoX and
            Llama. Weights trained in one order do not fit the other.
        factor: places are divided by it (position interpolation, not from the paper).

    Raises:
        ValueError: `dim` is odd or not positive, `base` or `factor` is not positive; in a call, fewer features.

    Source: Su et al.: RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021, equations 13 to 16 and
    34.

    Cost: time steps * dim; memory steps * dim.

    >>> rotary = RotaryPositions(4)
    >>> query, key = torch.ones(1, 1, 4), torch.ones(1, 1, 4)
    >>> far = (rotary(query, 7) * rotary(key, 5)).sum()
    >>> near = (rotary(query, 2) * rotary(key, 0)).sum()
    >>> torch.allclose(far, near)
    True
    """

    def __init__(self, dim: int, base: float = 10000.0, interleaved: bool = True, factor: float = 1.0) -> None:
        super().__init__()
        _refusals.check_sizes(dim=dim)
        if dim % 2:
            raise ValueError(f"dim is {dim}; expected an even number, pairs of features. Turn the first {dim - 1}.")
        for name, given in (("base", base), ("factor", factor)):
            if not given > 0:
                raise ValueError(f"{name} is {given!r}; expected a number above 0.")
        self.dim, self.base, self.interleaved, self.factor = dim, base, interleaved, factor

    def forward(
        self, vectors: Float[Tensor, "batch *heads steps features"], offset: Offset = 0
    ) -> Float[Tensor, "batch *heads steps features"]:
        """The vectors, turned.

        Args:
            vectors: queries or keys, `[batch, (heads,) steps, features]`.
            offset: place of the first step, one number or one for each batch item.
        """
        if vectors.shape[-1] < self.dim:
            raise _refusals.other_features("the sequence", vectors.shape[-1], "RotaryPositions", self.dim)
        angle = angles(places(vectors.shape[-2], offset, vectors.device), self.dim, self.base) / self.factor
        angle = angle.view(angle.shape[0], *(1,) * (vectors.dim() - 3), *angle.shape[1:])
        turned = rotate(vectors[..., : self.dim], angle, self.interleaved)
        return torch.cat((turned, vectors[..., self.dim :]), -1)


def _check_features(steps: Tensor, layer: SinusoidalPositions | LearnedPositions) -> None:
    if steps.dim() != 3:
        raise _refusals.not_a_sequence(steps.shape)
    if steps.shape[2] != layer.dim:
        raise _refusals.other_features("the sequence", steps.shape[2], type(layer).__name__, layer.dim)
