"""Key-value attention: a language model's states, one part is compared and one is read (Daniluk et al. 2017)."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals

from .base import Attention
from .contract import AttentionOutput, Memory
from .past import hide_own
from .scores import AdditiveScore
from .scores.base import check_sizes
from .source import DANILUK_2017
from .windows import SlidingWindow


class KeyValueAttention(nn.Module):
    """Softmax over the last `span` states of `energy . tanh(W key + U earlier key)`, state = `[key; value; ..]`.

    The first part of a state is compared, the second one read, zeros at the first step; a third one, with `parts=3`, is
    left to predict the next word (key-value-predict). How the context is joined to the state is the caller's.

    Args:
        dim: features of a state, a multiple of `parts`.
        span: how many states back a step looks; to the first one when left out.
        hidden_dim: features of the tanh layer; those of a part when left out.
        parts: 2, or 3 with one to predict from.

    Parameters: those of `AdditiveScore`, under `attention.score`.

    State: none beside the memory, key and value of the states so far.

    Cost: time steps * span * hidden_dim; memory steps * (hidden_dim + steps).

    Raises:
        ValueError: a size is not positive, `parts` is another number, or does not divide `dim`.

    >>> import torch
    >>> attention, states = KeyValueAttention(6, span=5), torch.ones(2, 3, 6)
    >>> at_once = attention(states).context
    >>> output, past = attention.step(states[:, :1])
    >>> output, past = attention.step(states[:, 1:2], past)
    >>> output.context.shape, torch.allclose(output.context, at_once[:, 1:2])
    (torch.Size([2, 1, 3]), True)
    """

    source = DANILUK_2017(place="sections 2.2 and 2.3")
    kind = "layer"

    def __init__(self, dim: int, span: int | None = None, hidden_dim: int | None = None, parts: int = 2) -> None:
        super().__init__()
        check_sizes(dim=dim)
        if parts not in (2, 3) or dim % parts:
            raise ValueError(
                f"parts is {parts} for {dim} features; expected 2 (key, value) or 3 (and one to predict from), of equal"
                " size."
            )
        self.dim, self.part_dim = dim, dim // parts
        window = None
        if span is not None:
            check_sizes(span=span)
            window = SlidingWindow(span, 0)
        hidden_dim = self.part_dim if hidden_dim is None else hidden_dim
        self.attention = Attention(AdditiveScore(self.part_dim, self.part_dim, hidden_dim), window)

    def forward(
        self,
        states: Float[Tensor, "batch steps dim"],
        mask: Bool[Tensor, "#batch 1 #steps"] | None = None,
        need_weights: bool = False,
    ) -> AttentionOutput:
        """All steps at once; equal to `step`, one after the other.

        Args:
            states: `[batch, steps, dim]`.
            mask: `[batch, 1, steps]`, as `padding_mask` gives it; padding may hold anything.
            need_weights: return the weights `[batch, steps, steps]`, too.

        Raises:
            ValueError: a shape does not fit, or the mask is not boolean (a TypeError, too).
        """
        states, earlier = hide_own(states, mask)
        key, value = self._split(states)
        return self.attention(key, key, value, earlier, need_weights)

    def step(
        self, state: Float[Tensor, "batch 1 dim"], past: Memory | None = None, need_weights: bool = False
    ) -> tuple[AttentionOutput, Memory]:
        """One step: look at the states before it, then remember it, too.

        Args:
            state: `[batch, 1, dim]`.
            past: what the last call returned; `None` at the first step.
            need_weights: return the weights `[batch, 1, earlier]`, too.
        """
        key, value = self._split(state)
        past = self.attention.remember(key[:, :0], value[:, :0]) if past is None else past
        here = self.attention.begin(past, past.value.shape[1])
        output, _ = self.attention.step(key, past, here, need_weights)
        return output, self.attention.extend(past, key, value)

    def _split(self, states: Tensor) -> tuple[Tensor, Tensor]:
        if states.dim() != 3 or states.shape[2] != self.dim:
            raise _refusals.other_features("a state", states.shape[-1], type(self).__name__, self.dim)
        return states[..., : self.part_dim], states[..., self.part_dim : 2 * self.part_dim]
