"""Attention over features, and over time for each feature: it weighs and does not sum (keras-attention, 2019)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.functional import hide, linear, masked_softmax, visible_keys

from .pooling import check_sequence
from .scores.base import check_sizes
from .source import KERAS_ATTENTION


@register_pytree
@dataclass(frozen=True)
class Weighed:
    """What was weighed, in its old shape; `output, weights = layer(...)` takes it apart.

    Attributes:
        output: shaped like the input.
        weights: shaped like the input, or `None` unless asked for.
    """

    output: Float[Tensor, "batch ..."]
    weights: Float[Tensor, "batch ..."] | None = None

    def __iter__(self) -> Iterator[Tensor | None]:
        return iter((self.output, self.weights))


class FeatureAttention(nn.Module):
    """`weights * x` with `weights = softmax over the features of W x + b`: which features of a vector matter.

    Args:
        dim: features.
        rescale: multiply by `dim`: the weights are `1 / dim` on average, and would shrink what goes through.

    Parameters: `weight [dim, dim]`, Glorot uniform; `bias [dim]`, 0.

    Cost: time dim^2; memory dim.

    Raises:
        ValueError: the size is not positive.

    >>> layer = FeatureAttention(dim=4)
    >>> layer(torch.ones(2, 4), need_weights=True).weights.shape
    torch.Size([2, 4])
    """

    source = KERAS_ATTENTION(place="function build_model of attention_dense")

    def __init__(self, dim: int, rescale: bool = False) -> None:
        super().__init__()
        check_sizes(dim=dim)
        self.dim, self.rescale = dim, rescale
        self.weight = nn.Parameter(torch.empty(dim, dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Float[Tensor, "batch dim"], need_weights: bool = False) -> Weighed:
        """Weigh the features of each vector.

        Args:
            features: `[batch, dim]`.
            need_weights: return the weights `[batch, dim]`, which sum to 1, too.

        Raises:
            ValueError: a shape that does not fit.
        """
        if features.dim() != 2:
            raise _refusals.not_a_vector(features.shape, "FeatureTemporalAttention")
        if features.shape[1] != self.dim:
            raise _refusals.other_features("the input", features.shape[1], "the layer", self.dim)
        if not features.is_floating_point():
            raise _refusals.not_floats(features.dtype, "the input")
        weights = masked_softmax(linear(features, self.weight, self.bias))
        output = weights * features * (self.dim if self.rescale else 1)
        return Weighed(output, weights if need_weights else None)


class FeatureTemporalAttention(nn.Module):
    """`weights * x` with `weights[:, f] = softmax over the steps of W x[:, f] + b`: which steps matter to each feature.

    Args:
        max_len: the longest sequence; for a shorter one the first rows and columns of `W` are used.
        shared: one weight for each step, the mean over the features.

    Parameters: `weight [max_len, max_len]`, Glorot uniform; `bias [max_len]`, 0.

    Cost: time steps^2 * dim; memory steps * dim.

    Raises:
        ValueError: the length is not positive.

    >>> layer = FeatureTemporalAttention(max_len=7)
    >>> output, weights = layer(torch.ones(2, 5, 3), need_weights=True)
    >>> output.shape, weights.shape
    (torch.Size([2, 5, 3]), torch.Size([2, 5, 3]))
    """

    source = KERAS_ATTENTION(place="function attention_3d_block")

    def __init__(self, max_len: int, shared: bool = False) -> None:
        super().__init__()
        if max_len < 1:
            raise ValueError(f"max_len is {max_len}; expected the length of the longest sequence, at least 1.")
        self.max_len, self.shared = max_len, shared
        self.weight = nn.Parameter(torch.empty(max_len, max_len))
        self.bias = nn.Parameter(torch.zeros(max_len))
        nn.init.xavier_uniform_(self.weight)

    def forward(
        self,
        steps: Float[Tensor, "batch keys dim"],
        mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> Weighed:
        """Weigh the steps of each sequence.

        Args:
            steps: `[batch, keys, dim]`.
            mask: boolean, `[batch, keys]` or as `padding_mask` gives it, True = a real step. Hidden steps may hold
                anything, NaN too, and give zeros.
            need_weights: return the weights `[batch, keys, dim]`, which sum to 1 over the steps, too.

        Raises:
            ValueError: a shape that does not fit, a sequence longer than `max_len`, or a mask that is not boolean (a
                TypeError, too).
        """
        check_sequence(steps)
        batch, keys, _ = steps.shape
        if keys > self.max_len:
            raise _refusals.too_long(keys, self.max_len, "max_len")
        visible = visible_keys(mask, batch, keys)
        steps = steps if visible is None else hide(steps, visible)
        scores = linear(steps.transpose(1, 2), self.weight[:keys, :keys], self.bias[:keys])
        weights = masked_softmax(scores, None if visible is None else visible.unsqueeze(1)).transpose(1, 2)
        if self.shared:
            weights = weights.mean(2, keepdim=True).expand_as(weights)
        return Weighed(weights * steps, weights if need_weights else None)
