"""Pointer-generator: says a word of the vocabulary or copies one (See, Liu and Manning 2017, section 2.2)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.functional import widen

from .contract import AttentionOutput
from .copy import CopyDistribution, weights_of
from .scores.base import check_sizes
from .source import SEE_2017


class PointerGenerator(nn.Module):
    """`p_gen = sigmoid(w_c . context + w_s . state + w_x . input + b)`: to generate a word, or to copy one.

    Args:
        context_dim: features of a context.
        state_dim: features of a decoder state; the authors' code hands both halves of an LSTM's state.
        input_dim: features of a decoder input.

    Parameters: `context_proj [context_dim]`, `state_proj [state_dim]`, `input_proj [input_dim]`, uniform as one Glorot
    matrix; `bias []`, 0.

    Cost: time steps * (dim + vocabulary + keys); memory steps * (vocabulary + keys).

    Raises:
        ValueError: a size is not positive.

    >>> layer, look = PointerGenerator(4, 5, 6), AttentionOutput(torch.ones(2, 3, 4), torch.full((2, 3, 7), 1 / 7))
    >>> states, inputs, ids = torch.ones(2, 3, 5), torch.ones(2, 3, 6), torch.randint(11, (2, 7))
    >>> layer(torch.zeros(2, 3, 9), look, ids, states, inputs).log_probs(extra=2).shape
    torch.Size([2, 3, 11])
    """

    source = SEE_2017(place="section 2.2")
    kind = "layer"

    def __init__(self, context_dim: int, state_dim: int, input_dim: int) -> None:
        super().__init__()
        check_sizes(context_dim=context_dim, state_dim=state_dim, input_dim=input_dim)
        limit = (6 / (context_dim + state_dim + input_dim + 1)) ** 0.5
        sizes = (context_dim, state_dim, input_dim)
        self.context_proj, self.state_proj, self.input_proj = (
            nn.Parameter(torch.empty(size).uniform_(-limit, limit)) for size in sizes
        )
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        logits: Float[Tensor, "batch queries vocabulary"],
        look: AttentionOutput,
        source_ids: Int[Tensor, "batch keys"],
        state: Float[Tensor, "batch queries state_dim"],
        inputs: Float[Tensor, "batch queries input_dim"],
    ) -> CopyDistribution:
        """Mix.

        Args:
            logits: `[batch, queries, vocabulary]`, before the softmax.
            look: what the attention returned, with its weights.
            source_ids: `[batch, keys]`, see `CopyDistribution`.
            state: decoder states, `[batch, queries, state_dim]`.
            inputs: embedded decoder inputs, `[batch, queries, input_dim]`.

        Raises:
            ValueError: the attention was not asked for its weights.
        """
        gate = look.context @ self.context_proj + state @ self.state_proj + inputs @ self.input_proj + self.bias
        return CopyDistribution(torch.log_softmax(widen(logits), 2), weights_of(look), source_ids, gate)
