"""Two scores side by side, for normalisers that read both (Chiu and Raffel 2018, equations 16 and 17)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import CHIU_2018

from .base import Score


class PairedScore(Score):
    """`scores[0, k] = first(query, key[k])`, `scores[1, k] = second(query, key[k])`: two scores of each key.

    For `ChunkwiseNormalizer`: how ready to stop at a key, and how alike. One query at a time.

    Args:
        first, second: two scores of the same sizes, without a state.

    Cost: time that of both scores; memory that of both scores.

    Raises:
        ValueError: their sizes differ, or one of them depends on earlier queries.

    >>> from heedful.attention.scores import DotScore, GeneralScore
    >>> score = PairedScore(GeneralScore(4, 4), DotScore(4))
    >>> score(torch.ones(2, 1, 4), score.remember(torch.ones(2, 7, 4)))[0].shape
    torch.Size([2, 2, 7])
    """

    source = CHIU_2018(place="equation 17")
    energies = 2

    def __init__(self, first: Score, second: Score) -> None:
        for name, score in (("first", first), ("second", second)):
            _refusals.check_part(name, score, Score, "DotScore(64)")
        super().__init__(first.query_dim, first.key_dim)
        if (second.query_dim, second.key_dim) != (first.query_dim, first.key_dim):
            raise ValueError(
                f"second has {second.query_dim} features of a query and {second.key_dim} of a key, first has "
                f"{first.query_dim} and {first.key_dim}; expected the same, since both read one query and one memory."
            )
        for score in (first, second):
            if score.stateful or score.energies != 1:
                raise _refusals.no_part_of_a_pair(type(score).__name__)
        self.first, self.second = first, second
        # the first is read as log-odds
        self.bounded = first.bounded

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> tuple[Any, Any]:
        """What each of the two remembers."""
        return self.first.remember(key), self.second.remember(key)

    def keep(
        self, key: tuple[Any, Any], value: Float[Tensor, "batch keys value_dim"]
    ) -> tuple[tuple[Any, Any], Float[Tensor, "batch keys value_dim"]]:
        """What each of the two keeps."""
        first, value = self.first.keep(key[0], value)
        return (first, self.second.keep(key[1], value)[0]), value

    def forward(
        self, query: Float[Tensor, "batch 1 query_dim"], key: tuple[Any, Any], state: Any = None
    ) -> tuple[Float[Tensor, "batch 2 keys"], Any]:
        return torch.cat((self.first(query, key[0])[0], self.second(query, key[1])[0]), 1), state
