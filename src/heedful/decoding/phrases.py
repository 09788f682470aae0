"""Runs of tokens within what was said: does it end with one, does it hold one, would one come twice?"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def ends_with(said: Int[Tensor, "rows steps"], run: Sequence[int]) -> Bool[Tensor, " rows"]:
    """Whether each row ends with these tokens; it ends with none of them always.

    >>> ends_with(torch.tensor([[7, 8, 9], [8, 9, 7]]), (8, 9))
    tensor([ True, False])
    """
    if len(run) > said.shape[1]:
        return torch.zeros(len(said), dtype=torch.bool, device=said.device)
    return (said[:, said.shape[1] - len(run) :] == said.new_tensor(run)).all(1)


def holds(said: Int[Tensor, "rows steps"], run: Sequence[int]) -> Bool[Tensor, " rows"]:
    """Whether each row holds these tokens, one behind the other; at least one token.

    >>> holds(torch.tensor([[7, 8, 9], [8, 7, 9]]), (7, 8))
    tensor([ True, False])
    """
    if len(run) > said.shape[1]:
        return torch.zeros(len(said), dtype=torch.bool, device=said.device)
    return (said.unfold(1, len(run), 1) == said.new_tensor(run)).all(2).any(1)


def repeating(said: Int[Tensor, "rows steps"], size: int) -> tuple[Tensor, Tensor]:
    """Rows and tokens that would complete an n-gram of `size` for the second time.

    >>> repeating(torch.tensor([[7, 8, 7], [7, 8, 9]]), 2)
    (tensor([0]), tensor([8]))
    """
    ngrams = said.unfold(1, size, 1)  # [rows, steps - size + 1, size]
    begun = said[:, said.shape[1] - size + 1 :]
    rows, places = (ngrams[..., :-1] == begun[:, None]).all(-1).nonzero(as_tuple=True)
    return rows, ngrams[rows, places, -1]


def within(run: Sequence[int], other: Sequence[int]) -> bool:
    """Whether `other` holds `run`, one token behind the other.

    >>> within((8, 9), (7, 8, 9)), within((7, 9), (7, 8, 9))
    (True, False)
    """
    starts = range(len(other) - len(run) + 1)
    return any(tuple(other[first : first + len(run)]) == tuple(run) for first in starts)
