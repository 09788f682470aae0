"""Attentive statistics pooling: weighted mean and weighted spread (Okabe, Koshinaka and Shinoda 2018, section 3)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.functional import additive_attention, linear, widen

from .pooling import Pooled, Pooling
from .scores.base import check_sizes
from .source import OKABE_2018

# below it the slope of the root would leave the range of float32
LEAST_VARIANCE = 1e-12


def spread(
    steps: Float[Tensor, "batch keys dim"],
    mean: Float[Tensor, "batch 1 dim"],
    weights: Float[Tensor, "batch keys #dim"],
    visible: Bool[Tensor, "batch keys"] | None,
) -> Float[Tensor, "batch 1 dim"]:
    """The root of `sum w (x - mean)^2`, 1e-6 at least; 0 where no step is visible.

    >>> spread(torch.tensor([[[1.0], [3.0]]]), torch.tensor([[[2.0]]]), torch.full((1, 2, 1), 0.5), None)
    tensor([[[1.]]])
    """
    # not sum w x^2 - mean^2, of which nothing is left where the mean is large
    variance = (widen(weights) * (widen(steps) - widen(mean)).square()).sum(1, keepdim=True)
    root = variance.clamp_min(LEAST_VARIANCE).sqrt()
    if visible is not None:
        root = root.masked_fill(~visible.any(1).view(-1, 1, 1), 0)
    return root.to(mean.dtype)


class AttentiveStatisticsPooling(Pooling):
    """`[mean; std]`, `mean = sum w x`, `std^2 = sum w (x - mean)^2`, `w = softmax(context_vector . tanh(W x + b))`.

    The variance is 1e-12 at least; of a sequence without a visible step both are 0. The paper's scalar bias on the
    scores is left out: softmax does not see it.

    Args:
        dim: features of a step; the vector has twice as many.
        attention_dim: features of the tanh layer.

    Parameters: `weight [attention_dim, dim]`, Glorot uniform; `bias [attention_dim]`, 0; `context_vector
    [attention_dim]`, normal with standard deviation `attention_dim ** -0.5`.

    Raises:
        ValueError: a size is not positive.

    >>> layer = AttentiveStatisticsPooling(dim=5, attention_dim=3)
    >>> layer(torch.ones(2, 4, 5)).vector.shape
    torch.Size([2, 10])
    """

    source = OKABE_2018(place="section 3")

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__(dim)
        check_sizes(attention_dim=attention_dim)
        self.weight = nn.Parameter(torch.empty(attention_dim, dim))
        self.bias = nn.Parameter(torch.zeros(attention_dim))
        self.context_vector = nn.Parameter(torch.empty(attention_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.normal_(self.context_vector, std=attention_dim**-0.5)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        query, key = self.bias.expand(len(steps), 1, -1), linear(steps, self.weight)
        mask = None if visible is None else visible.unsqueeze(1)
        mean, weights = additive_attention(query, key, steps, self.context_vector, mask, need_weights=True)
        vector = torch.cat((mean, spread(steps, mean, weights.mT, visible)), 2).squeeze(1)
        return Pooled(vector, weights.squeeze(1) if need_weights else None)
