"""Copy gate: the pointer-generator with a gate that reads the attentional state (OpenNMT, 2017)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.functional import widen

from .contract import AttentionOutput
from .copy import CopyDistribution, weights_of
from .scores.base import check_sizes
from .source import OPENNMT


class CopyGate(nn.Module):
    """`p_copy = sigmoid(w . h + b)` from the attentional state `h` alone; otherwise the pointer-generator's mixture.

    Here `p` is the chance to copy, in `PointerGenerator` that to generate.

    Args:
        dim: features of the attentional state.
        pad: id that the vocabulary never says; `None` where there is no such id.

    Parameters: `weight [dim]`, uniform as a Glorot matrix; `bias []`, 0.

    Cost: time steps * (dim + vocabulary + keys); memory steps * (vocabulary + keys).

    Raises:
        ValueError: the size is not positive.

    >>> layer, look = CopyGate(5), AttentionOutput(torch.ones(2, 3, 4), torch.full((2, 3, 7), 1 / 7))
    >>> mixed = layer(torch.zeros(2, 3, 9), look, torch.randint(9, (2, 7)), torch.ones(2, 3, 5))
    >>> mixed.log_prob_of(torch.ones(2, 3, dtype=torch.long), force_copy=True).shape
    torch.Size([2, 3])
    """

    source = OPENNMT(place="function forward of CopyGenerator")
    kind = "layer"

    def __init__(self, dim: int, pad: int | None = 0) -> None:
        super().__init__()
        check_sizes(dim=dim)
        self.pad = pad
        self.weight = nn.Parameter(torch.empty(dim).uniform_(-1, 1) * (6 / (dim + 1)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        logits: Float[Tensor, "batch queries vocabulary"],
        look: AttentionOutput,
        source_ids: Int[Tensor, "batch keys"],
        state: Float[Tensor, "batch queries dim"],
    ) -> CopyDistribution:
        """Mix.

        Args:
            logits: `[batch, queries, vocabulary]`, before the softmax.
            look: what the attention returned, with its weights.
            source_ids: `[batch, keys]`, see `CopyDistribution`.
            state: attentional states, `[batch, queries, dim]`.

        Raises:
            ValueError: the attention was not asked for its weights.
        """
        logits = widen(logits)
        if self.pad is not None:
            logits = logits.index_fill(2, torch.tensor([self.pad], device=logits.device), -torch.inf)
        gate = -(state @ self.weight + self.bias)
        return CopyDistribution(torch.log_softmax(logits, 2), weights_of(look), source_ids, gate)
