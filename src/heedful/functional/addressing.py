"""Addressing by place, after a look by content (Graves, Wayne and Danihelka 2014, Neural Turing Machines, section 3.3).

A head of the Neural Turing Machine is `CosineScore` with a learned sharpness and softmax, then these three in turn.
Each keeps the sum of a row, and a row of zeros stays one.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def interpolate(
    weights: Float[Tensor, "batch queries keys"],
    previous: Float[Tensor, "batch queries keys"],
    gate: Float[Tensor, "batch queries"],
) -> Float[Tensor, "batch queries keys"]:
    """`gate weights + (1 - gate) previous`: look by content, or where one looked before (equation 7).

    Args:
        weights: of the content, `[batch, queries, keys]`.
        previous: those of the step before.
        gate: in [0, 1], 1 for content alone.

    >>> interpolate(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]]), torch.tensor([[0.25]]))
    tensor([[[0.2500, 0.7500]]])
    """
    return previous + gate.unsqueeze(-1) * (weights - previous)


def circular_shift(
    weights: Float[Tensor, "batch queries keys"],
    shift: Float[Tensor, "batch queries moves"],
    lengths: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch queries keys"]:
    """`out[k] = sum_m shift[m] weights[k - m]`, m from `-moves // 2` on, in a ring of the keys (equation 8).

    Args:
        weights: `[batch, queries, keys]`, 0 past a batch item's length.
        shift: how much of each row moves on by how many keys, for an odd number of moves; softmax makes it sum to 1.
        lengths: keys in the ring of each batch item; all of them when left out.

    Raises:
        ValueError: the number of moves is even, so that none stands in the middle.

    >>> circular_shift(torch.tensor([[[0.0, 0.0, 1.0]]]), torch.tensor([[[0.0, 0.0, 1.0]]]))
    tensor([[[1., 0., 0.]]])
    """
    keys, moves = weights.shape[-1], shift.shape[-1]
    if moves % 2 == 0:
        raise ValueError(f"shift has {moves} moves; expected an odd number, one to stay and as many to either side.")
    size = weights.new_full((len(weights),), keys, dtype=torch.long) if lengths is None else lengths
    ring = size.clamp_min(1).view(-1, 1, 1)
    places = torch.arange(keys, device=weights.device).view(1, -1, 1)
    origin = (places - torch.arange(moves, device=weights.device) + moves // 2).remainder(ring)
    moved = (
        weights.unsqueeze(-1).expand(*weights.shape, moves).gather(2, origin.unsqueeze(1).expand(*weights.shape, -1))
    )
    inside = (places < size.view(-1, 1, 1)).squeeze(-1).unsqueeze(1)
    return torch.where(inside, torch.einsum("bqkm,bqm->bqk", moved, shift), 0.0)


def sharpen(
    weights: Float[Tensor, "batch queries keys"], power: Float[Tensor, "batch queries"]
) -> Float[Tensor, "batch queries keys"]:
    """`weights^power`, divided so that the row keeps its sum (equation 9): undoes what a soft shift blurs.

    Args:
        weights: not negative, `[batch, queries, keys]`.
        power: at least 1.

    >>> sharpen(torch.tensor([[[0.8, 0.2]]]), torch.tensor([[2.0]]))
    tensor([[[0.9412, 0.0588]]])
    """
    total = weights.sum(-1, keepdim=True)
    # of the largest: a power of small weights alone would underflow
    largest = weights.detach().amax(-1, keepdim=True) if weights.shape[-1] else total.detach()
    powers = (weights / torch.where(largest > 0, largest, 1.0)) ** power.unsqueeze(-1)
    mass = powers.sum(-1, keepdim=True)
    return total * powers / torch.where(mass > 0, mass, 1.0)
