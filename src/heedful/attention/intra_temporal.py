"""Intra-temporal attention over the source, intra-decoder attention over the target (Paulus, Xiong and Socher 2018)."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from .base import Attention
from .contract import AttentionOutput, Memory
from .normalizers import IntraTemporalNormalizer
from .past import hide_own
from .scores import GeneralScore
from .source import PAULUS_2018, mechanism


@mechanism(PAULUS_2018(place="section 2.1"))
def IntraTemporalAttention(query_dim: int, key_dim: int) -> Attention:  # noqa: N802
    """Weights `~ exp(query . W key) / sum of the same for all earlier queries`: what scored high before counts less.

    The queries are scanned one by one. The paper copies by the same weights: give them to `PointerGenerator`.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).

    State: the sum of the powers of earlier scores.

    Cost: time queries * keys * dim, one query after another; memory queries * keys.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> IntraTemporalAttention(query_dim=4, key_dim=5)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(GeneralScore(query_dim, key_dim), normalizer=IntraTemporalNormalizer())


class IntraDecoderAttention(nn.Module):
    """Softmax over the decoder's own earlier states of `state . W earlier`; a context of zeros at the first step.

    Args:
        dim: features of a decoder state.

    Parameters: those of `GeneralScore`, under `attention.score`.

    State: none beside the memory, the states so far.

    Cost: time steps^2 * dim; memory steps^2.

    Raises:
        ValueError: the size is not positive.

    >>> import torch
    >>> attention, states = IntraDecoderAttention(4), torch.ones(2, 3, 4)
    >>> at_once = attention(states).context
    >>> output, past = attention.step(states[:, :1])
    >>> output, past = attention.step(states[:, 1:2], past)
    >>> torch.allclose(output.context, at_once[:, 1:2])
    True
    """

    source = PAULUS_2018(place="section 2.2")
    kind = "layer"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attention = Attention(GeneralScore(dim, dim))

    def forward(
        self,
        states: Float[Tensor, "batch steps dim"],
        mask: Bool[Tensor, "#batch 1 #steps"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """All steps of a decoder at once; equal to `step`, one after the other.

        Args:
            states: `[batch, steps, dim]`.
            mask: `[batch, 1, steps]`, as `padding_mask` gives it; padding may hold anything.
            need_weights: return the weights `[batch, steps, steps]`, too.

        Raises:
            ValueError: a shape does not fit, or the mask is not boolean (a TypeError, too).
        """
        states, earlier = hide_own(states, mask)
        return self.attention(states, states, mask=earlier, need_weights=need_weights)

    def step(
        self, state: Float[Tensor, "batch 1 dim"], past: Memory | None = None, need_weights: bool = False
    ) -> tuple[AttentionOutput, Memory]:
        """One step: look at the states before it, then remember it, too.

        Args:
            state: `[batch, 1, dim]`.
            past: what the last call returned; `None` at the first step.
            need_weights: return the weights `[batch, 1, earlier]`, too.
        """
        past = self.attention.remember(state[:, :0]) if past is None else past
        output, _ = self.attention.step(state, past, need_weights=need_weights)
        return output, self.attention.extend(past, state)
