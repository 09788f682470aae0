"""Statistics pooling with weights for each channel and a view of the whole (Desplanques et al. 2020, ECAPA-TDNN)."""

import torch
from torch import Tensor, nn

from heedful.functional import linear, masked_softmax

from .pooling import Pooled, Pooling
from .scores.base import check_sizes
from .source import DESPLANQUES_2020
from .statistics import spread


class ChannelStatisticsPooling(Pooling):
    """`[mean; std]`, `w[:, c] = softmax over the steps of V[c] . tanh(W [x; m; s] + b)`, `m`, `s` of all steps alike.

    Each feature (channel) has weights of its own, and they depend on plain mean and spread of the whole sequence. The
    activation is that of `AttentiveStatisticsPooling`; the paper's scalar bias for each channel is left out, since
    softmax does not see it. Spreads are 1e-6 at least; of a sequence without a visible step all is 0.

    Args:
        dim: features of a step; the vector has twice as many.
        attention_dim: features of the tanh layer, 128 in the paper.

    Parameters, Glorot uniform: `weight [attention_dim, 3 dim]`, `channel_proj [dim, attention_dim]`; `bias
    [attention_dim]`, 0. The weights returned are `[batch, dim, keys]`.

    Cost: time steps * dim * hidden_dim; memory steps * dim.

    Raises:
        ValueError: a size is not positive.

    >>> layer = ChannelStatisticsPooling(dim=5, attention_dim=3)
    >>> vector, weights = layer(torch.ones(2, 4, 5), need_weights=True)
    >>> vector.shape, weights.shape
    (torch.Size([2, 10]), torch.Size([2, 5, 4]))
    """

    source = DESPLANQUES_2020(place="section 3.1")

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__(dim)
        check_sizes(attention_dim=attention_dim)
        self.weight = nn.Parameter(torch.empty(attention_dim, 3 * dim))
        self.bias = nn.Parameter(torch.zeros(attention_dim))
        self.channel_proj = nn.Parameter(torch.empty(dim, attention_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.channel_proj)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        mask = None if visible is None else visible.unsqueeze(1)
        alike = masked_softmax(steps.new_zeros(steps.shape[0], 1, steps.shape[1]), mask)
        mean = alike @ steps
        whole = torch.cat((mean, spread(steps, mean, alike.mT, visible)), 2)
        dim = steps.shape[2]
        # the same for all steps: W [x; m; s] without the vector of three
        inner = linear(steps, self.weight[:, :dim]) + linear(whole, self.weight[:, dim:], self.bias)
        scores = linear(torch.tanh(inner), self.channel_proj).mT
        weights = masked_softmax(scores, mask)
        mean = (weights.mT * steps).sum(1, keepdim=True)
        vector = torch.cat((mean, spread(steps, mean, weights.mT, visible)), 2).squeeze(1)
        return Pooled(vector, weights if need_weights else None)
