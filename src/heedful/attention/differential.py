"""Differential attention: the difference of two attention maps, in which common noise cancels (Ye et al. 2024)."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.functional import masked_softmax

from .base import Attention
from .head_projections import check_heads
from .heads import heads_of
from .multi_head import MultiHeadAttention
from .normalizers import Normalizer
from .scores import ScaledDotScore
from .source import YE_2024, mechanism
from .windows import Window


class DifferentialNormalizer(Normalizer):
    """`weights = softmax(scores_1) - lam softmax(scores_2)`, for both halves of every pair of heads.

    `lam = exp(l_q1 . l_k1) - exp(l_q2 . l_k2) + start`, the same for all heads. For the heads of `MultiHeadAttention`,
    which stand side by side in the batch, pair by pair. Weights may be negative; rows sum to `1 - lam`.

    Args:
        head_dim: features of a query of one half.
        num_heads: pairs of heads.
        start: of `lam`.

    Parameters: `query_vectors`, `key_vectors` `[2, head_dim]`, normal with standard deviation 0.1.

    >>> normalizer = DifferentialNormalizer(head_dim=3, num_heads=1, start=0.2)
    >>> weights, _ = normalizer(torch.randn(2, 5, 7), None)
    >>> torch.allclose(weights.sum(-1), 1 - normalizer.lam)
    True
    """

    source = YE_2024(place="equations 1 and 2")

    def __init__(self, head_dim: int, num_heads: int, start: float) -> None:
        super().__init__()
        self.start, self.heads = start, 2 * num_heads
        self.query_vectors = nn.Parameter(torch.empty(2, head_dim))
        self.key_vectors = nn.Parameter(torch.empty(2, head_dim))
        nn.init.normal_(self.query_vectors, std=0.1)
        nn.init.normal_(self.key_vectors, std=0.1)

    @property
    def lam(self) -> Float[Tensor, ""]:
        """How much of the second map is taken away."""
        first, second = torch.exp((self.query_vectors * self.key_vectors).sum(-1))
        return first - second + self.start

    def forward(
        self,
        scores: Float[Tensor, "batch_heads queries keys"],
        mask: Bool[Tensor, "#batch_heads #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch_heads queries keys"], Any]:
        heads_of(scores.shape[0], self.heads, scores.device)
        pairs = masked_softmax(scores, mask).unflatten(0, (scores.shape[0] // 2, 2))
        difference = pairs[:, 0] - self.lam.to(scores.dtype) * pairs[:, 1]
        return difference.repeat_interleave(2, 0), state


class PairNorm(nn.Module):
    """`(1 - start) RMSNorm(contexts)` over the features of each pair of heads.

    >>> PairNorm(features=4, start=0.2)(torch.full((1, 1, 8), 3.0), torch.zeros(1, 1, 8))[0, 0, :2].detach()
    tensor([0.8000, 0.8000])
    """

    def __init__(self, features: int, start: float) -> None:
        super().__init__()
        self.features, self.start = features, start
        self.norm = nn.RMSNorm(features, eps=1e-5)

    def forward(
        self, contexts: Float[Tensor, "batch queries query_dim"], query: Float[Tensor, "batch queries query_dim"]
    ) -> Float[Tensor, "batch queries query_dim"]:
        """The contexts, normalised pair by pair."""
        pairs = contexts.unflatten(-1, (contexts.shape[-1] // self.features, self.features))
        return (1 - self.start) * self.norm(pairs).flatten(-2)


def first_lam(layer: int) -> float:
    """`0.8 - 0.6 exp(-0.3 (layer - 1))`, layers counted from 1: from 0.2 at the bottom towards 0.8.

    >>> [round(first_lam(layer), 4) for layer in (1, 2, 12)]
    [0.2, 0.3555, 0.7779]
    """
    return 0.8 - 0.6 * math.exp(-0.3 * (layer - 1))


@mechanism(YE_2024(place="equations 1 to 3"))
def DifferentialAttention(  # noqa: N802
    query_dim: int,
    num_heads: int,
    key_dim: int | None = None,
    layer: int = 1,
    window: Window | None = None,
    dropout: float = 0.0,
) -> MultiHeadAttention:
    """`head = (1 - start) RMSNorm((softmax(Q_1 K_1^T / sqrt d) - lam softmax(Q_2 K_2^T / sqrt d)) V)`, for every head.

    A head has two halves of queries and keys and one value twice as wide, so that `num_heads` is half that of a usual
    model. The layer is one of `2 num_heads` heads, of which neighbours share their weights and halve their value; so
    do the weights that it returns.

    Args:
        query_dim: features of a query, and of the context.
        num_heads: pairs of heads, which share out `query_dim`.
        key_dim: features of a key; those of a query when left out.
        layer: which layer of the model it is, counted from 1; it sets the start of `lam`, see `first_lam`.
        window: which keys a query may see besides the mask.
        dropout: share of the weights that is dropped in training.

    Cost: time 2 queries * keys * dim; memory 2 heads * queries * keys.

    Raises:
        ValueError: twice `num_heads` does not divide `query_dim`, or the layer is not from 1 up.

    >>> DifferentialAttention(8, num_heads=2)(torch.ones(3, 4, 8), torch.ones(3, 5, 8)).context.shape
    torch.Size([3, 4, 8])
    """
    if not isinstance(layer, int) or layer < 1:
        raise _refusals.no_size("layer", layer)
    check_heads(query_dim, num_heads, each=2)
    start, head_dim = first_lam(layer), query_dim // (2 * num_heads)
    attention = Attention(ScaledDotScore(head_dim), window, DifferentialNormalizer(head_dim, num_heads, start), dropout)
    made = MultiHeadAttention(query_dim, 2 * num_heads, key_dim, attention=attention, bias=False)
    made.finish = PairNorm(2 * head_dim, start)
    return made
