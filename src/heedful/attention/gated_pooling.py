"""Gated pooling: a learned query behind a gate, for bags of instances (Ilse, Tomczak and Welling 2018, section 2.4)."""

import torch
from torch import Tensor, nn

from heedful.functional import linear, masked_softmax, widen

from .pooling import Pooled, Pooling
from .scores.base import check_sizes
from .source import ILSE_2018


class GatedPooling(Pooling):
    """`sum of weights * x`, `weights = softmax(context_vector . (tanh(W x + b) * sigmoid(U x + c)))`.

    The paper has no biases; both begin at 0.

    Args:
        dim: features of a step.
        attention_dim: features of both inner layers.

    Parameters: `weight` and `gate_weight [attention_dim, dim]`, Glorot uniform; `bias` and `gate_bias
    [attention_dim]`, 0; `context_vector [attention_dim]`, normal with standard deviation `attention_dim ** -0.5`.

    Cost: time steps * dim * hidden_dim; memory steps * hidden_dim.

    Raises:
        ValueError: a size is not positive.

    >>> layer = GatedPooling(dim=5, attention_dim=3)
    >>> vector, weights = layer(torch.ones(2, 4, 5), need_weights=True)
    >>> vector.shape, weights[0].tolist()
    (torch.Size([2, 5]), [0.25, 0.25, 0.25, 0.25])
    """

    source = ILSE_2018(place="section 2.4")

    def __init__(self, dim: int, attention_dim: int) -> None:
        super().__init__(dim)
        check_sizes(attention_dim=attention_dim)
        self.weight = nn.Parameter(torch.empty(attention_dim, dim))
        self.bias = nn.Parameter(torch.zeros(attention_dim))
        self.gate_weight = nn.Parameter(torch.empty(attention_dim, dim))
        self.gate_bias = nn.Parameter(torch.zeros(attention_dim))
        self.context_vector = nn.Parameter(torch.empty(attention_dim))
        nn.init.xavier_uniform_(self.weight)
        nn.init.xavier_uniform_(self.gate_weight)
        nn.init.normal_(self.context_vector, std=attention_dim**-0.5)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        inner = torch.tanh(linear(steps, self.weight, self.bias))
        gate = torch.sigmoid(linear(steps, self.gate_weight, self.gate_bias))
        scores = widen(inner * gate) @ widen(self.context_vector)
        weights = masked_softmax(scores.unsqueeze(1), None if visible is None else visible.unsqueeze(1))
        weights = weights.to(steps.dtype)
        vector = (weights @ steps).squeeze(1)
        return Pooled(vector, weights.squeeze(1) if need_weights else None)
