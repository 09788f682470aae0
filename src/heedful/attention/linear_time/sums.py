"""Sequences in chunks: small matrices inside a chunk, and between chunks a running sum or the neighbours."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def chunks_of(steps: Float[Tensor, "*batch steps dim"], size: int) -> Float[Tensor, "*batch chunks {size} dim"]:
    """The steps in chunks of one size, the last one filled up with zeros; at least one chunk.

    >>> chunks_of(torch.ones(5, 1), 3).squeeze(-1)
    tensor([[1., 1., 1.],
            [1., 1., 0.]])
    """
    count = max(1, -(-steps.shape[-2] // size))
    filled = functional.pad(steps, (0, 0, 0, count * size - steps.shape[-2]))
    return filled.unflatten(-2, (count, size))


def with_neighbours(
    steps: Float[Tensor, "*batch steps dim"], size: int, left: int, right: int
) -> Float[Tensor, "*batch blocks around dim"]:
    """Blocks of `size` steps, each with the block before it (where `left`) and after it (where `right`) beside it.

    >>> with_neighbours(torch.arange(4.0).unsqueeze(1), 2, left=1, right=0).squeeze(-1)
    tensor([[0., 0., 0., 1.],
            [0., 1., 2., 3.]])
    """
    blocks = chunks_of(steps, size)
    parts = [blocks]
    if left:
        parts.insert(0, functional.pad(blocks[..., :-1, :, :], (0, 0, 0, 0, 1, 0)))
    if right:
        parts.append(functional.pad(blocks[..., 1:, :, :], (0, 0, 0, 0, 0, 1)))
    return torch.cat(parts, -2)


def causal_product(
    query: Float[Tensor, "*batch steps dim"],
    key: Float[Tensor, "*batch steps dim"],
    value: Float[Tensor, "*batch steps value_dim"],
    size: int = 64,
) -> Float[Tensor, "*batch steps value_dim"]:
    """`sum over k <= q of (query[q] . key[k]) value[k]`, in time and memory linear in the steps.

    Args:
        query: `[..., steps, dim]`.
        key: `[..., steps, dim]`.
        value: `[..., steps, value_dim]`.
        size: steps of a chunk.

    >>> causal_product(torch.ones(3, 1), torch.ones(3, 1), torch.tensor([[1.0], [2.0], [3.0]]), size=2).flatten()
    tensor([1., 3., 6.])
    """
    steps = query.shape[-2]
    query, key, value = (chunks_of(one, size) for one in (query, key, value))
    inside = (query @ key.mT).tril() @ value
    sums = (key.mT @ value).cumsum(-3)
    before = functional.pad(sums[..., :-1, :, :], (0, 0, 0, 0, 1, 0))
    return (inside + query @ before).flatten(-3, -2)[..., :steps, :]


def with_ones(value: Float[Tensor, "*batch keys dim"]) -> Float[Tensor, "*batch keys more"]:
    """The values with a last feature of 1: its sum is the denominator."""
    return torch.cat((value, value.new_ones(*value.shape[:-1], 1)), -1)


def divided(sums: Float[Tensor, "*batch queries more"]) -> Float[Tensor, "*batch queries dim"]:
    """Sums divided by their last feature; zeros where that is 0."""
    total = sums[..., -1:]
    return sums[..., :-1] / total.where(total > 0, 1)


def normalized_rows(
    query: Float[Tensor, "*batch queries dim"], key: Float[Tensor, "*batch keys dim"], causal: bool
) -> Float[Tensor, "*batch queries keys"]:
    """The matrix that is saved elsewhere: products of features, each row divided by its sum."""
    products = query @ key.mT
    products = products.tril() if causal else products
    total = products.sum(-1, keepdim=True)
    return products / total.where(total > 0, 1)
