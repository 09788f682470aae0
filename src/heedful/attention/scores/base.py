"""The first axis of attention: how alike are query and key?"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.attention.source import Source
from heedful._pytree import concatenate


class Score(nn.Module, ABC):
    """Compares queries with keys. Subclasses are final: one mechanism each.

    The key side is computed once per memory by `remember`; what it returns (a tensor, or a dataclass of tensors with
    keys on axis 1) is handed to `forward` as `key`.

    Attributes:
        query_dim: features of a query.
        key_dim: features of a key.
        stateful: True when the scores of one query depend on the queries before it.
        fused: True when `attend` computes the context of a plain softmax without the scores being kept.
    """

    source: ClassVar[Source]
    stateful: ClassVar[bool] = False
    fused: ClassVar[bool] = False

    def __init__(self, query_dim: int, key_dim: int) -> None:
        super().__init__()
        for name, size in (("query_dim", query_dim), ("key_dim", key_dim)):
            if size < 1:
                raise ValueError(f"{name} is {size}; expected a positive number of features.")
        self.query_dim, self.key_dim = query_dim, key_dim

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Any:
        """What of the keys can be computed before any query is known; the keys themselves by default."""
        return key

    def extend(self, remembered: Any, key: Float[Tensor, "batch more key_dim"]) -> Any:
        """Append further keys to what was remembered."""
        return concatenate(remembered, self.remember(key), 1)

    @abstractmethod
    def forward(
        self, query: Float[Tensor, "batch queries query_dim"], key: Any, state: Any = None
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        """Scores before normalising, and the next state (`None` where there is none)."""

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Any,
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries keys"] | None,
    ) -> Float[Tensor, "batch queries value_dim"]:
        """Context of a softmax over the scores, in one fused call; only where `fused` is True."""
        raise TypeError(f"{type(self).__name__} has no fused path; call it for scores, then normalise them.")
