"""Trilinear score: one weight vector over query, key and their product (Seo et al. 2017, equation 1)."""

from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import SEO_2017

from .base import Score
from .linear import LinearScore


class TrilinearScore(Score):
    """`scores[q, k] = w . [query[q]; key[k]; query[q] * key[k]]`, the similarity of bidirectional attention flow.

    It is the linear score of these three, without a bias, and computed as such: no vectors are ever joined.

    Args:
        dim: features of query and of key.

    Parameters: `linear.weight [3 dim]`, uniform up to `sqrt(6 / (3 dim + 1))`.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: `dim` is not positive.

    >>> import torch
    >>> score = TrilinearScore(dim=4)
    >>> score(torch.ones(1, 2, 4), score.remember(torch.ones(1, 3, 4)))[0].shape
    torch.Size([1, 2, 3])
    """

    source = SEO_2017(place="equation 1")
    fused = True
    compares_directly = True

    def __init__(self, dim: int) -> None:
        super().__init__(dim, dim)
        self.linear = LinearScore(dim, dim, ("query", "key", "product"), bias=False)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys features"]:
        """The weighted key and its linear form, computed once per memory."""
        return self.linear.remember(key)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        return self.linear(query, key, state)

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        context, _ = self.linear.attend(query, key, value, mask)
        return context, None
