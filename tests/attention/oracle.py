"""Attention by three nested loops over single vectors, as a paper is read. Imports nothing from heedful."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

# of one query, one key and the parameters, and of the key's place where that plays a part
Formula = Callable[..., Tensor]


def scores(
    formula: Formula, query: Tensor, key: Tensor, parameters: Mapping[str, Tensor], positional: bool = False
) -> Tensor:
    """`formula` of every pair of one query and one key."""

    def row(one: Tensor, keys: Tensor) -> Tensor:
        places = [(place,) if positional else () for place in range(len(keys))]
        return torch.stack([formula(one, other, parameters, *place) for other, place in zip(keys, places, strict=True)])

    return torch.stack(
        [torch.stack([row(one, keys) for one in queries]) for queries, keys in zip(query, key, strict=True)]
    )


def biases(bias: Callable[..., Tensor | float], query: Tensor, keys: int, first: int, parameters: Mapping) -> Tensor:
    """`bias` of every query at its place, counted from `first`, and every key at its place."""

    def row(one: Tensor, place: int) -> Tensor:
        numbers = [bias(one, place, key, parameters) for key in range(keys)]
        return torch.stack([torch.as_tensor(number, dtype=query.dtype) for number in numbers])

    return torch.stack([torch.stack([row(one, first + n) for n, one in enumerate(queries)]) for queries in query])


def look(
    scores: Tensor, value: Tensor, may_look: Callable[[int, int, int], bool], weigh: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Context and weights: each query weighs the scores of the keys it may look at, and nothing else.

    Args:
        scores: `[batch, queries, keys]`.
        value: `[batch, keys, value_dim]`.
        may_look: of the numbers of batch item, query and key.
        weigh: the visible scores of one query, in order, to their weights.
    """
    weights = torch.zeros_like(scores)
    for batch, rows in enumerate(scores):
        for query, row in enumerate(rows):
            visible = [key for key in range(len(row)) if may_look(batch, query, key)]
            if visible:
                weights[batch, query, visible] = weigh(row[visible])
    context = torch.stack(
        [
            torch.stack([sum((w * v for w, v in zip(row, values, strict=True)), values[0] * 0) for row in rows])
            for rows, values in zip(weights, value, strict=True)
        ]
    )
    return context, weights
