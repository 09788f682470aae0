"""Biaffine score: a bilinear form and a linear one of either side (Dozat and Manning 2017, deep biaffine attention)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from heedful.attention.source import DOZAT_2017
from heedful.functional import widen

from .base import Score, check_sizes
from .dot import dot_attention


def with_one(query: Float[Tensor, "batch queries features"]) -> Float[Tensor, "batch queries more"]:
    """`[query; 1]`, whose product with `[key; number]` is `query . key + number`.

    >>> with_one(torch.tensor([[[2.0, 3.0]]]))
    tensor([[[2., 3., 1.]]])
    """
    return pad(query, (0, 1), value=1.0)


class BiaffineScore(Score):
    """`scores[q, k] = query[q] . U key[k] + u . query[q] + w . key[k] + b`, a bilinear form and linear ones.

    In a parser the keys are the words that may be heads, and the paper's scorer of arcs has `U` and `w` alone:
    `query_term=False, bias=False`. These two are the same for every key, so that softmax does not see them.

    Args:
        query_dim: features of a query.
        key_dim: features of a key.
        query_term: add `u . query`.
        key_term: add `w . key`.
        bias: add `b`.
        num_labels: scores of each pair, such as one for every relation that an arc may have. Where there are several,
            they stand where the queries do: `scores.unflatten(1, (num_labels, -1))` is `[batch, labels, queries,
            keys]`. They are compared with each other, so that no softmax over the keys reads them.

    Parameters: `weight [query_dim, key_dim]`, Glorot uniform; `query_weight [query_dim]`, `key_weight [key_dim]` and
    `bias []`, 0, as far as asked for; of several labels each has its own, along a first axis.

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: a size is not positive.

    >>> score = BiaffineScore(query_dim=4, key_dim=5)
    >>> score(torch.ones(1, 2, 4), score.remember(torch.ones(1, 3, 5)))[0].shape
    torch.Size([1, 2, 3])
    """

    source = DOZAT_2017(place="section 3.1")
    fused = True

    def __init__(
        self,
        query_dim: int,
        key_dim: int,
        query_term: bool = True,
        key_term: bool = True,
        bias: bool = True,
        num_labels: int = 1,
    ) -> None:
        super().__init__(query_dim, key_dim)
        check_sizes(num_labels=num_labels)
        self.energies, self.fused = num_labels, num_labels == 1
        labels = () if num_labels == 1 else (num_labels,)
        self.weight = nn.Parameter(torch.empty(*labels, query_dim, key_dim))
        self.query_weight = nn.Parameter(torch.zeros(*labels, query_dim)) if query_term else None
        self.key_weight = nn.Parameter(torch.zeros(*labels, key_dim)) if key_term else None
        self.bias = nn.Parameter(torch.zeros(labels)) if bias else None
        for matrix in self.weight.data.view(-1, query_dim, key_dim):
            nn.init.xavier_uniform_(matrix)

    def remember(self, key: Float[Tensor, "batch keys key_dim"]) -> Float[Tensor, "batch keys features"]:
        """`[U key; w . key]` of every label side by side, computed once per memory."""
        weight = self.weight
        if self.key_weight is not None:
            weight = torch.cat((weight, self.key_weight.unsqueeze(-2)), -2)
        return linear(key, weight.flatten(0, -2))

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch labels_queries keys"], Any]:
        of_labels = key.unflatten(-1, (self.energies, -1))
        scores = torch.einsum("bqf,bklf->blqk", widen(self._joined(query)), widen(of_labels))
        if self.query_weight is not None:
            terms = linear(widen(query), widen(self.query_weight).view(self.energies, -1))
            scores = scores + terms.transpose(1, 2).unsqueeze(-1)
        if self.bias is not None:
            scores = scores + widen(self.bias).view(-1, 1, 1)
        return scores.flatten(1, 2), state

    def attend(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        key: Float[Tensor, "batch keys features"],
        value: Float[Tensor, "batch keys value_dim"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch queries value_dim"], None]:
        return dot_attention(self._joined(query), key, value, mask), None

    def _joined(self, query: Tensor) -> Tensor:
        return query if self.key_weight is None else with_one(query)
