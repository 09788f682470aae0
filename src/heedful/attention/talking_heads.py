"""Talking heads: heads exchange scores before the softmax and weights after it (Shazeer et al. 2020)."""

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
from .source import SHAZEER_2020, mechanism
from .windows import Window


class TalkingHeadsNormalizer(Normalizer):
    """`weights = M_after softmax(M_before scores)`, the matrices over the heads, each key and query alone.

    For the heads of `MultiHeadAttention`, which stand side by side in the batch: as many before, in and after the
    softmax, where the paper allows three numbers. A key that is hidden from one head, by a score of minus infinity, is
    hidden from all. Weights may be negative and need not sum to 1.

    Args:
        num_heads: heads.

    Parameters: `mix_before`, `mix_after` `[num_heads, num_heads]`; they start as identities (not from the paper), so
    that the heads begin apart.

    Raises:
        ValueError: `num_heads` is not a whole number from 1 up; in a call, a batch that is no multiple of it.

    >>> TalkingHeadsNormalizer(2)(torch.zeros(2, 1, 4), None)[0][:, 0].detach()
    tensor([[0.2500, 0.2500, 0.2500, 0.2500],
            [0.2500, 0.2500, 0.2500, 0.2500]])
    """

    source = SHAZEER_2020(place="section 3")

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        _refusals.check_sizes(num_heads=num_heads)
        self.heads = num_heads
        self.mix_before = nn.Parameter(torch.eye(num_heads))
        self.mix_after = nn.Parameter(torch.eye(num_heads))

    def forward(
        self,
        scores: Float[Tensor, "batch_heads queries keys"],
        mask: Bool[Tensor, "#batch_heads #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch_heads queries keys"], Any]:
        heads_of(scores.shape[0], self.heads, scores.device)
        heads = scores.unflatten(0, (scores.shape[0] // self.heads, self.heads))
        hidden = heads == -torch.inf
        # masked after mixing: a weighted sum with minus infinities is NaN
        mixed = torch.einsum("gh,bhqk->bgqk", self.mix_before.to(scores.dtype), heads.masked_fill(hidden, 0))
        visible = ~hidden.any(1, keepdim=True)
        if mask is not None:
            visible = visible & mask.expand(scores.shape).view_as(heads)
        weights = masked_softmax(mixed, visible)
        return torch.einsum("gh,bhqk->bgqk", self.mix_after.to(scores.dtype), weights).flatten(0, 1), state


@mechanism(SHAZEER_2020(place="section 3"))
def TalkingHeadsAttention(  # noqa: N802
    query_dim: int, num_heads: int, key_dim: int | None = None, window: Window | None = None, dropout: float = 0.0
) -> MultiHeadAttention:
    """`weights = M_after softmax(M_before scores)`, multi-head attention whose heads mix.

    Args:
        query_dim: features of a query, and of the context.
        num_heads: heads, which share out `query_dim`.
        key_dim: features of a key; those of a query when left out.
        window: which keys a query may see besides the mask.
        dropout: share of the mixed weights that is dropped in training.

    Cost: time queries * keys * (dim + heads^2); memory heads * queries * keys.

    Raises:
        ValueError: what `MultiHeadAttention` refuses.

    >>> TalkingHeadsAttention(8, num_heads=2)(torch.ones(3, 4, 8), torch.ones(3, 5, 8)).context.shape
    torch.Size([3, 4, 8])
    """
    check_heads(query_dim, num_heads)
    score = ScaledDotScore(query_dim // num_heads)
    attention = Attention(score, window, TalkingHeadsNormalizer(num_heads), dropout)
    return MultiHeadAttention(query_dim, num_heads, key_dim, attention=attention)
