"""Rows of hypotheses laid out sentence by sentence, and the best of them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .constraints import NEVER


def spread(
    values: Float[Tensor, "rows *rest"], sentence: Int[Tensor, " rows"], batch: int, beam: int
) -> Float[Tensor, "batch beam *rest"]:
    """The rows of each sentence side by side, the places that no row takes at minus infinity.

    >>> spread(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 0, 2]), batch=3, beam=2)
    tensor([[1., 2.],
            [-inf, -inf],
            [3., -inf]])
    """
    place = torch.arange(len(sentence), device=sentence.device) - torch.searchsorted(sentence, sentence)
    grid = values.new_full((batch, beam, *values.shape[1:]), NEVER)
    grid[sentence, place] = values
    return grid


def top(values: Float[Tensor, "rows columns"], count: int) -> tuple[Tensor, Tensor]:
    """Up to `count` largest values of each row and their columns, largest first; of one, the first among equals."""
    if count == 1:
        return values.max(1, keepdim=True)
    return values.topk(min(count, values.shape[1]), 1)
