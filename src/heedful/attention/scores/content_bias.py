"""Content score with a bias of the query: half of Transformer-XL's score (Dai et al. 2019, section 3.3)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from heedful.attention.source import DAI_2019

from .base import Score
from .dot import dot_scores


class ContentBiasScore(Score):
    """`scores[q, k] = (query[q] + u) . key[k] / sqrt(dim)`: `u . key` is how much every query wants that key.

    Args:
        dim: features of query and of key.

    Parameters: `bias [dim]`, `u`, zeros.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: `dim` is not positive.

    >>> ContentBiasScore(dim=4)(torch.ones(1, 1, 4), torch.ones(1, 1, 4))[0].item()
    2.0
    """

    source = DAI_2019(place="section 3.3")
    compares_directly = True

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys key_dim"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return dot_scores((query + self.bias) / math.sqrt(self.query_dim), key), state
