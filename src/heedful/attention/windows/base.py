"""The second axis of attention: which keys, and how strongly?"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful.attention.source import Source


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
        scales: True when its views have a gain, so that weights no longer sum to what the normaliser gave.
    """

    source: ClassVar[Source]
    stateful: ClassVar[bool] = False
    aligned_to_end: ClassVar[bool] = False
    scales: ClassVar[bool] = False

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
