"""Structured self-attention: several hops over one sequence, a vector each (Lin et al. 2017, section 2.1)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful.functional import hide, linear, masked_softmax, visible_keys

from .contract import AttentionOutput
from .pooling import check_sequence
from .scores.base import check_sizes
from .source import LIN_2017


class StructuredSelfAttention(nn.Module):
    """`A x` with `A = softmax over the steps of W_2 tanh(W_1 x)`: each hop has a distribution and a vector of its own.

    The paper's sizes are 350 and 30.

    Args:
        dim: features of a step.
        attention_dim: features of the tanh layer.
        hops: how many times the sequence is looked at.

    Parameters, Glorot uniform, no biases: `inner_proj [attention_dim, dim]`, `hop_proj [hops, attention_dim]`.

    Cost: time steps * (dim + hops) * hidden_dim; memory steps * (hidden_dim + hops).

    Raises:
        ValueError: a size is not positive.

    >>> layer = StructuredSelfAttention(dim=5, attention_dim=7, hops=3)
    >>> context, weights = layer(torch.ones(2, 4, 5), need_weights=True)
    >>> context.shape, weights.shape
    (torch.Size([2, 3, 5]), torch.Size([2, 3, 4]))
    """

    source = LIN_2017(place="section 2.1")

    def __init__(self, dim: int, attention_dim: int, hops: int) -> None:
        super().__init__()
        check_sizes(dim=dim, attention_dim=attention_dim, hops=hops)
        self.dim = dim
        self.inner_proj = nn.Parameter(torch.empty(attention_dim, dim))
        self.hop_proj = nn.Parameter(torch.empty(hops, attention_dim))
        nn.init.xavier_uniform_(self.inner_proj)
        nn.init.xavier_uniform_(self.hop_proj)

    def forward(
        self,
        steps: Float[Tensor, "batch keys dim"],
        mask: Bool[Tensor, "..."] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """Read a batch of sequences; hops stand where other attention has queries.

        Args:
            steps: `[batch, keys, dim]`.
            mask: boolean, `[batch, keys]` or as `padding_mask` gives it, True = a real step. Hidden steps may hold
                anything, NaN too; a sequence without a visible step gives zeros.
            need_weights: return the weights, too.

        Raises:
            ValueError: a shape that does not fit, or a mask that is not boolean (a TypeError, too).
        """
        check_sequence(steps, self.dim)
        visible = visible_keys(mask, steps.shape[0], steps.shape[1])
        steps = steps if visible is None else hide(steps, visible)
        scores = linear(torch.tanh(linear(steps, self.inner_proj)), self.hop_proj).transpose(1, 2)
        weights = masked_softmax(scores, None if visible is None else visible.unsqueeze(1))
        context = torch.einsum("bqk,bkd->bqd", weights, steps)
        return AttentionOutput(context, weights if need_weights else None)
