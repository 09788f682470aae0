"""The second axis of attention: which keys, and how strongly?"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import Source


def check_reach(least: int = 0, **numbers: int) -> None:
    """Refuse what is no whole number of places from `least` up.

    Raises:
        ValueError: names the first such number.
    """
    _refusals.check_sizes(least, **numbers)


def distances(positions: Int[Tensor, "*batch queries"], keys: int) -> Int[Tensor, "*batch queries {keys}"]:
    """How far each key stands behind each query's place: `k - position[q]`, negative for keys before it.

    >>> distances(torch.tensor([0, 2]), 3)
    tensor([[ 0,  1,  2],
            [-2, -1,  0]])
    """
    return torch.arange(keys, device=positions.device) - positions.unsqueeze(-1)


@dataclass(frozen=True)
class View:
    """What a window lets through; each part broadcasts to `[batch, queries, keys]` and may be `None` (no effect).

    Attributes:
        mask: True where a query may look.
        bias: added to the scores.
        gain: multiplies the weights after normalising.
    """

    mask: Bool[Tensor, "#batch #queries #keys"] | None = None
    bias: Float[Tensor, "#batch #queries #keys"] | None = None
    gain: Float[Tensor, "#batch #queries #keys"] | None = None


class Window(nn.Module, ABC):
    """Chooses among keys by place. Subclasses are final: one rule each.

    The first line of a subclass' docstring is its rule; the catalogue shows it.

    Attributes:
        source: paper, place and year.
        stateful: True when the view of one query depends on the queries before it.
        aligned_to_end: in a call with fewer queries than keys, the last query stands at the last key (self-attention
            with a cache) instead of the first query at the first key (a decoder over a source).
        biases: True when its views have a bias.
        scales: True when its views have a gain, so that weights no longer sum to what the normaliser gave.
        reads: True when it adds to the context, by `read`.
        query_dim: features of a query, where it reads the queries.
        heads: how many heads have numbers of their own, those of an item side by side in the batch; 1 where all share.
    """

    source: ClassVar[Source]
    stateful: bool = False
    aligned_to_end: bool = False
    biases: bool = False
    scales: bool = False
    reads: bool = False
    query_dim: int | None = None
    heads: int = 1

    def begin(self, lengths: Int[Tensor, " batch"]) -> Any:
        """The state before the first query, which `forward` begins with where it is given `None`.

        Args:
            lengths: number of keys of each batch item that some query may see.

        Returns:
            the state, batch axis first; `None` where there is none.
        """
        return None

    @abstractmethod
    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        """The view of each query, and the next state.

        Args:
            query: `[batch, queries, query_dim]`; one query at a time where `stateful`.
            positions: place of each query, counted from 0.
            lengths: number of keys of each batch item that some query may see.
            keys: number of keys with padding.
            state: what the last call returned, `None` to begin and where there is none; batch axis first.
        """

    def read(
        self, weights: Float[Tensor, "batch queries keys"], positions: Int[Tensor, "batch queries"]
    ) -> Float[Tensor, "batch queries value_dim"] | None:
        """What is added to the context of these weights; only where `reads`.

        Args:
            weights: `[batch, queries, keys]`, those that read the values; in float32 or wider.
            positions: place of each query, as in `forward`.
        """
        return None

    def update(self, state: Any, weights: Float[Tensor, "batch queries keys"]) -> Any:
        """The state once the weights of a query are known; as `forward` returned it by default.

        Args:
            state: what `forward` returned for this query.
            weights: `[batch, queries, keys]`, one query at a time where `stateful`; after normalising and gain,
                before dropout, in float32 or wider.
        """
        return state
