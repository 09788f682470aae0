"""Attention by three nested loops over single vectors, as a paper is read. Imports nothing from heedful."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Formula = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]


def scores(formula: Formula, query: Tensor, key: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """`formula` of every pair of one query and one key."""
    return torch.stack(
        [
            torch.stack([torch.stack([formula(one, other, parameters) for other in keys]) for one in queries])
            for queries, keys in zip(query, key, strict=True)
        ]
    )


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
