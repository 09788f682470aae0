"""Attentive statistics pooling: weighted mean and weighted spread (Okabe, Koshinaka and Shinoda 2018, section 3)."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.functional import additive_attention, linear, masked_softmax, widen

from .pooling import Pooled, Pooling
from .scores.base import check_sizes
from .source import OKABE_2018

Activation = Literal["tanh", "relu"]

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
    # not sum w x^2 - mean^2, which loses all digits where the mean is large
    variance = (widen(weights) * (widen(steps) - widen(mean)).square()).sum(1, keepdim=True)
    root = variance.clamp_min(LEAST_VARIANCE).sqrt()
    if visible is not None:
        root = root.masked_fill(~visible.any(1).view(-1, 1, 1), 0)
    return root.to(mean.dtype)


class AttentiveStatisticsPooling(Pooling):
    """`[mean; std]`, `mean = sum w x`, `std^2 = sum w (x - mean)^2`, `w = softmax(context_vector . f(W x + b))`.

    The variance is 1e-12 at least; of a sequence without a visible step both are 0. The paper's scalar bias on the
    scores is left out: softmax does not see it.

    Args:
        dim: features of a step; the vector has twice as many.
        attention_dim: features of the layer `f(W x + b)`.
        activation: `f`, "tanh", or "relu" (not fused).

    Parameters: `weight [attention_dim, dim]`, Glorot uniform; `bias [attention_dim]`, 0; `context_vector
    [attention_dim]`, normal with standard deviation `attention_dim ** -0.5`.

    Cost: time steps * dim * hidden_dim; memory steps * hidden_dim.

    Raises:
        ValueError: a size is not positive, or an unknown activation.

    >>> layer = AttentiveStatisticsPooling(dim=5, attention_dim=3)
    >>> layer(torch.ones(2, 4, 5)).vector.shape
    torch.Size([2, 10])
    """

    source = OKABE_2018(place="section 3")

    def __init__(self, dim: int, attention_dim: int, activation: Activation = "tanh") -> None:
        super().__init__(dim)
        check_sizes(attention_dim=attention_dim)
        if activation not in get_args(Activation):
            raise _refusals.unknown_choice("activation", activation, get_args(Activation))
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(attention_dim, dim))
        self.bias = nn.Parameter(torch.zeros(attention_dim))
        self.context_vector = nn.Parameter(torch.empty(attention_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.normal_(self.context_vector, std=attention_dim**-0.5)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        mask = None if visible is None else visible.unsqueeze(1)
        if self.activation == "relu":
            scores = widen(linear(steps, self.weight, self.bias).relu()) @ widen(self.context_vector)
            weights = masked_softmax(scores.unsqueeze(1), mask).to(steps.dtype)
            mean = weights @ steps
        else:
            query, key = self.bias.expand(steps.shape[0], 1, -1), linear(steps, self.weight)
            mean, weights = additive_attention(query, key, steps, self.context_vector, mask, need_weights=True)
        vector = torch.cat((mean, spread(steps, mean, weights.mT, visible)), 2).squeeze(1)
        return Pooled(vector, weights.squeeze(1) if need_weights else None)
