"""The first axis of attention: how alike are query and key?"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful._refusals import check_sizes as check_sizes
from heedful.attention.source import Source


class Score(nn.Module, ABC):
    """Compares queries with keys. Subclasses are final: one mechanism each.

    The first line of a subclass' docstring is its formula; the catalogue shows it. The key side is computed once per
    memory by `remember`; what it returns (a tensor, or a pytree of tensors, with keys on axis 1) is handed to `forward`
    as `key`.

    Attributes:
        source: paper, place and year.
        query_dim: features of a query.
        key_dim: features of a key.
        stateful: True when the scores of one query depend on the queries before it.
        fused: True when `attend` computes the context of a plain softmax without the scores being kept.
        weighs: True when `attend` also returns the weights on request, from the same pass.
        compares_directly: True when query and key must have one size, since no matrix stands between them.
        energies: how many scores it gives of each key; where more than one, they stand where the queries do, and it is
            asked for one query at a time.
        bounded: True when no parameter moves its scores out of fixed limits, so that they are no log-odds.
        heads: how many heads have numbers of their own, those of an item side by side in the batch; 1 where all share.
        log_weights: True when its scores are logarithms of weights, which need not be divided by their sum.
    """

    source: ClassVar[Source]
    stateful: bool = False
    fused: bool = False
    weighs: bool = False
    compares_directly: bool = False
    bounded: bool = False
    log_weights: bool = False
    energies: int = 1
    heads: int = 1

    def __init__(self, query_dim: int, key_dim: int) -> None:
        super().__init__()
        check_sizes(query_dim=query_dim, key_dim=key_dim)
        self.query_dim, self.key_dim = query_dim, key_dim

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Any:
        """What of the keys can be computed before any query is known; the keys themselves by default.

        Key by key, each for itself: a memory is extended by joining what was remembered of its parts.
        """
        return key

    def keep(self, key: Any, value: Float[Tensor, "batch keys value_dim"]) -> tuple[Any, Tensor]:
        """What `remember` returned, and the values, made ready for many steps; as they are by default."""
        return key, value

    def begin(self, key: Any) -> Any:
        """The state before the first query, which `forward` begins with where it is given `None`.

        Args:
            key: what `remember` or `keep` returned.

        Returns:
            the state, batch axis first; `None` where there is none.
        """
        return None

    @abstractmethod
    def forward(
        self, query: Float[Tensor, "batch queries query_dim"], key: Any, state: Any = None
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        """Scores before normalising, and the next state.

        Args:
            query: `[batch, queries, query_dim]`; one query at a time where `stateful`.
            key: what `remember` or `keep` returned, over the whole memory.
            state: what the last call returned, `None` to begin and where there is none; batch axis first.

        Returns:
            scores `[batch, queries, keys]`, finite or minus infinity, float32 where that is wider; and the next state.
        """

    def update(self, state: Any, weights: Float[Tensor, "batch queries keys"]) -> Any:
        """The state once the weights of a query are known; as `forward` returned it by default.

        Args:
            state: what `forward` returned for this query.
            weights: `[batch, queries, keys]`, one query at a time where `stateful`; after normalising and gain,
                before dropout, in float32 or wider.
        """
        return state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Any,
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"] | None]:
        """Context of a softmax over the scores, in one fused call; only where `fused` is True.

        Args:
            query: `[batch, queries, query_dim]`.
            key: what `remember` or `keep` returned.
            value: `[batch, keys, value_dim]`.
            mask: boolean, broadcasts to `[batch, queries, keys]`, True = may look; a row that sees nothing reads zeros.
            need_weights: return the weights, too; only where `weighs` is True.

        Returns:
            context, and weights or `None`.

        Raises:
            TypeError: this score has no such path.
        """
        raise TypeError(f"{type(self).__name__} has no fused path; call it for scores, then normalise them.")
