"""Pooling by a learned query over all steps (Yang et al. 2016)."""

import torch
from torch import Tensor, nn

from heedful.functional import linear

from .pooling import Pooled, Pooling, additive_pool
from .scores.base import check_sizes
from .source import YANG_2016


class AttentionPooling(Pooling):
    """`sum of weights * step`, `weights = softmax(context_vector . tanh(W step + b))`: a learned query over all steps.

    Args:
        dim: features of a step.
        attention_dim: features of the tanh layer.

    Parameters: `weight [attention_dim, dim]`, Glorot uniform; `bias [attention_dim]`, 0; `context_vector
    [attention_dim]`, normal with standard deviation `attention_dim ** -0.5`.

    Cost: time steps * dim * attention_dim; memory steps * attention_dim.

    Raises:
        ValueError: a size is not positive.

    >>> layer = AttentionPooling(dim=5, attention_dim=3)
    >>> vector, weights = layer(torch.ones(2, 4, 5), need_weights=True)
    >>> vector.shape, weights[0].tolist()
    (torch.Size([2, 5]), [0.25, 0.25, 0.25, 0.25])
    """

    source = YANG_2016(place="equations 5 to 7")

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__(dim)
        check_sizes(attention_dim=attention_dim)
        self.weight = nn.Parameter(torch.empty(attention_dim, dim))
        self.bias = nn.Parameter(torch.zeros(attention_dim))
        self.context_vector = nn.Parameter(torch.empty(attention_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.normal_(self.context_vector, std=attention_dim**-0.5)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        query = self.bias.expand(steps.shape[0], 1, -1)
        return additive_pool(query, linear(steps, self.weight), steps, self.context_vector, visible, need_weights)
