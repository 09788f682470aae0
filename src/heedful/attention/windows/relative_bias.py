"""Relative bias: a learned vector for each distance, compared with the query (Shaw, Uszkoreit and Vaswani 2018)."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.attention.source import SHAW_2018
from heedful.functional import widen

from .base import View, Window, check_reach, distances


def clipped_distances(
    positions: Int[Tensor, "*batch queries"], keys: int, reach: int
) -> Int[Tensor, "*batch queries {keys}"]:
    """Rows of a table of distances `-reach .. reach`: `clip(k - position[q]) + reach`.

    >>> clipped_distances(torch.tensor([1]), 4, reach=1)
    tensor([[0, 1, 2, 2]])
    """
    return distances(positions, keys).clamp(-reach, reach) + reach


def relative_bias(
    query: Float[Tensor, "*batch queries features"],
    positions: Int[Tensor, "*#batch queries"],
    keys: int,
    table: Float[Tensor, "distances features"],
) -> Float[Tensor, "*batch queries {keys}"]:
    """`query[q] . table[clip(k - position[q])]`; with heads, `*batch` is batch and heads, of one table.

    Each query is compared with the rows of the table, not with a vector for each key.

    >>> relative_bias(torch.tensor([[2.0]]), torch.tensor([1]), 4, torch.tensor([[1.0], [0.0], [-1.0]]))
    tensor([[ 2.,  0., -2., -2.]])
    """
    compared = query @ table.T
    rows = clipped_distances(positions, keys, len(table) // 2)
    return compared.gather(-1, rows.expand(*query.shape[:-1], keys))


def relative_context(
    weights: Float[Tensor, "*batch queries keys"],
    positions: Int[Tensor, "*#batch queries"],
    table: Float[Tensor, "distances value_dim"],
) -> Float[Tensor, "*batch queries value_dim"]:
    """`sum_k weights[q, k] table[clip(k - position[q])]`: what a layer with vectors for values adds to its context.

    >>> relative_context(torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([1]), torch.tensor([[1.0], [2.0], [3.0]]))
    tensor([[1.5000]])
    """
    rows = clipped_distances(positions, weights.shape[-1], len(table) // 2).expand(weights.shape)
    by_distance = weights.new_zeros(*weights.shape[:-1], len(table)).scatter_add(-1, rows, weights)
    return by_distance @ table


class RelativeBias(Window):
    """`bias[q, k] = scale query[q] . table[clip(k - position[q])]`, a learned vector for each distance.

    Beside `ScaledDotScore` it is the paper's score `query . (key + a) / sqrt(dim)`. With `value_dim`, a vector for each
    distance is added to the value, too: the context is `sum_k weights[q, k] (value[k] + value_table[clip(k -
    position[q])])`. With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`.

    Args:
        query_dim: features of a query.
        reach: the largest distance with a vector of its own; further keys share it.
        scale: the factor; `1 / sqrt(query_dim)` when left out, as that of `ScaledDotScore`.
        value_dim: features of a value, for vectors that are added to the values; none when left out.

    Parameters: `table [2 reach + 1, query_dim]`, Glorot uniform, from the keys furthest before the query on; with
    `value_dim`, `value_table [2 reach + 1, value_dim]`, likewise.

    Cost: time queries * (keys + 2 reach) * query_dim; memory queries * keys.

    Raises:
        ValueError: a size is not positive, or `reach` negative; in a call, values of other than `value_dim` features.

    >>> window = RelativeBias(query_dim=4, reach=2)
    >>> window(torch.ones(1, 3, 4), torch.tensor([[0, 1, 2]]), torch.tensor([5]), keys=5)[0].bias.shape
    torch.Size([1, 3, 5])
    """

    source = SHAW_2018(place="section 3")
    aligned_to_end = True
    biases = True

    def __init__(self, query_dim: int, reach: int, scale: float | None = None, value_dim: int | None = None) -> None:
        super().__init__()
        check_reach(1, query_dim=query_dim)
        check_reach(reach=reach)
        self.query_dim = query_dim
        self.scale = 1 / math.sqrt(query_dim) if scale is None else scale
        self.table = nn.Parameter(torch.empty(2 * reach + 1, query_dim))
        nn.init.xavier_uniform_(self.table)
        self.reads = value_dim is not None
        self.register_parameter("value_table", None)
        if value_dim is not None:
            check_reach(1, value_dim=value_dim)
            self.value_table = nn.Parameter(torch.empty(2 * reach + 1, value_dim))
            nn.init.xavier_uniform_(self.value_table)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        return View(bias=relative_bias(widen(query) * self.scale, positions, keys, widen(self.table))), state

    def read(
        self, weights: Float[Tensor, "batch queries keys"], positions: Int[Tensor, "batch queries"]
    ) -> Float[Tensor, "batch queries value_dim"] | None:
        """The vectors for the values, weighted: `relative_context`."""
        return None if self.value_table is None else relative_context(weights, positions, widen(self.value_table))
