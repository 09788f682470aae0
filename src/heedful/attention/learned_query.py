"""Pooling by a learned query of any attention: any score, window and normaliser (after Yang et al. 2016)."""

import torch
from torch import Tensor, nn

from heedful import _refusals

from .base import Attention
from .contract import AttentionLayer
from .pooling import Pooled, Pooling
from .source import YANG_2016


class LearnedQueryPooling(Pooling):
    """`sum of weights * step`, the weights those of an attention whose query is learned.

    The paper's query, `AttentionPooling`, is the case of `AdditiveScore` and a softmax; the others are not in it.

    Args:
        attention: over steps of `key_dim` features, for queries of `query_dim`.

    Parameters: `query [query_dim]`, normal with standard deviation `query_dim ** -0.5`; those of the attention, under
    `attention`.

    Cost: time that of its attention for one query; memory that of its attention for one query.

    >>> from heedful.attention.normalizers import SparsemaxNormalizer
    >>> from heedful.attention.scores import GeneralScore
    >>> layer = LearnedQueryPooling(Attention(GeneralScore(query_dim=3, key_dim=5), normalizer=SparsemaxNormalizer()))
    >>> vector, weights = layer(torch.ones(2, 4, 5), need_weights=True)
    >>> vector.shape, weights[0].tolist()
    (torch.Size([2, 5]), [0.25, 0.25, 0.25, 0.25])
    """

    source = YANG_2016(place="equations 5 to 7")

    def __init__(self, attention: Attention) -> None:
        _refusals.check_part("attention", attention, AttentionLayer, "LuongAttention(32, 32)")
        super().__init__(attention.key_dim)
        self.attention = attention
        self.query = nn.Parameter(torch.empty(attention.query_dim))
        nn.init.normal_(self.query, std=attention.query_dim**-0.5)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        query = self.query.expand(steps.shape[0], 1, -1)
        mask = None if visible is None else visible.unsqueeze(1)
        context, weights = self.attention(query, steps, mask=mask, need_weights=need_weights)
        return Pooled(context.squeeze(1), None if weights is None else weights.squeeze(1))
