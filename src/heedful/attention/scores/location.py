"""Location score: computed from the query alone (Luong, Pham and Manning 2015, equation 8)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful.attention.source import LUONG_2015
from heedful.functional import widen

from .base import Score, check_sizes


def location_scores(
    query: Float[Tensor, "batch queries query_dim"], weight: Float[Tensor, "max_keys query_dim"], keys: int
) -> Float[Tensor, "batch queries {keys}"]:
    """`scores[q, k] = weight[k] . query[q]`, minus infinity for keys that have no row.

    >>> location_scores(torch.ones(1, 1, 1), torch.tensor([[2.0], [3.0]]), 3)
    tensor([[[2., 3., -inf]]])
    """
    place = torch.arange(keys, device=query.device)
    rows = widen(weight)[place.clamp_max(len(weight) - 1)]
    return (widen(query) @ rows.T).masked_fill(place >= len(weight), -torch.inf)


class LocationScore(Score):
    """`scores[q, k] = W[k] . query[q]`, W a row for each position: the content of the keys is not used.

    Keys from `max_keys` on are hidden, as the words of longer sentences in the paper.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        max_keys: places that can be looked at; part of the trained weights.

    Parameters: `weight [max_keys, query_dim]`, Glorot uniform; no bias.

    Cost: time queries * keys * query_dim; memory queries * keys.

    Raises:
        ValueError: a size is not positive.

    >>> score = LocationScore(query_dim=4, key_dim=5, max_keys=50)
    >>> score(torch.ones(1, 2, 4), score.remember(torch.ones(1, 3, 5)))[0].shape
    torch.Size([1, 2, 3])
    """

    source = LUONG_2015(place="section 3.1, equation 8")

    def __init__(self, query_dim: int, key_dim: int, max_keys: int) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(max_keys=max_keys)
        self.weight = nn.Parameter(torch.empty(max_keys, query_dim))
        nn.init.xavier_uniform_(self.weight)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys 0"]:
        """An empty tensor that says how many keys there are."""
        return key[..., :0]

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys 0"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return location_scores(query, self.weight, key.shape[1]), state
