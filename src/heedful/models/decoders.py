"""Decoder wirings: where attention is computed within a step.

| class | order | source |
|---|---|---|
| LookThenUpdateDecoder | look with the last state; the context feeds the cell | Bahdanau et al. 2015, appendix A.2 |
| UpdateThenLookDecoder | update, then look; input feeding if wanted | Luong et al. 2015, eq. 5-6, section 3.3 |
| UpdateLookAddDecoder | update, look, add what was seen to the state, normalise | TensorFlow's tutorial of 2022 |
| LookBetweenDecoder | the first layer looks, the layers above read the context | after Wu et al. 2016, section 3 |
| PlainDecoder | no look at all: a plain encoder-decoder | Sutskever et al. 2014 |

Each takes any number of steps in one call, `(embedded, state, encoded) -> (features, state, weights)`, and starts from
the encoder's summary. Where no step depends on the last look, all steps are one parallel call.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.attention import AttentionLayer, AttentionState
from heedful.layers import Dropout, Linear, Recurrent, RecurrentState

from ._sizes import check_size
from .encoders import EncoderOutput


@register_pytree
@dataclass(frozen=True)
class Encoded:
    """What a decoder works from: what its attention remembers (`None` without one) and the sentence's summary.

    And the ids of the source, where words may be copied from it.
    """

    memory: Any
    summary: Float[Tensor, "batch summary_dim"]
    source_ids: Int[Tensor, "batch source_len"] | None = None


@register_pytree
@dataclass(frozen=True)
class DecoderState:
    """Between two steps: the recurrent states, what is fed to the next step, and the attention's own state."""

    recurrent: RecurrentState
    upper: RecurrentState | None = None
    fed: Float[Tensor, "batch 1 fed_dim"] | None = None
    attention: AttentionState | None = None


@dataclass(frozen=True)
class DecoderOutput:
    """Features `[batch, steps, output_dim]` for the output layer, the next state, and the weights if asked for.

    Weights are `[batch, (layers,) (heads,) steps, source_len]`; those of self-attention, where there is some beside,
    end in the steps so far. `context` and `hidden`, what a recurrent decoder saw and the states of the layer that
    looks, are what the choice between saying and copying is made from.
    """

    features: Float[Tensor, "batch steps output_dim"]
    state: Any
    weights: Float[Tensor, "batch *heads steps source_len"] | None = None
    self_weights: Float[Tensor, "batch *heads steps so_far"] | None = None
    context: Float[Tensor, "batch steps context_dim"] | None = None
    hidden: Float[Tensor, "batch steps units"] | None = None


class Bridge(nn.Module):
    """First state of every decoder layer, `tanh(W summary)` (Bahdanau et al. 2015, appendix A.2.2)."""

    def __init__(self, summary_dim: int, units: int, layers: int) -> None:
        super().__init__()
        self.shape = (layers, units)
        self.linear = Linear(summary_dim, layers * units)

    def forward(self, summary: Float[Tensor, "batch summary_dim"]) -> Float[Tensor, "batch layers units"]:
        return torch.tanh(self.linear(summary)).unflatten(-1, self.shape)


class Decoder(nn.Module, ABC):
    """One wiring; subclasses are final.

    Attributes:
        embedding_dim: features of an embedded token.
        summary_dim: features of the encoder's summary.
        output_dim: features that a step gives to the output layer.

    >>> decoder = PlainDecoder(Recurrent("gru", 5, 7), embedding_dim=5, summary_dim=4, output_dim=6)
    >>> said = EncoderOutput(outputs=torch.ones(2, 3, 4), summary=torch.ones(2, 4))
    >>> encoded = decoder.remember(said, mask=torch.ones(2, 1, 3, dtype=torch.bool))
    >>> decoder(torch.ones(2, 9, 5), decoder.start(encoded), encoded).features.shape
    torch.Size([2, 9, 6])
    """

    embedding_dim: int
    summary_dim: int
    output_dim: int

    def remember(self, encoded: EncoderOutput, mask: Bool[Tensor, "batch 1 source_len"]) -> Encoded:
        """Prepare the encoder's outputs for looking at, once per sentence."""
        attention = getattr(self, "attention", None)
        memory = None if attention is None else attention.remember(encoded.outputs, mask=mask)
        return Encoded(memory, encoded.summary)

    @abstractmethod
    def start(self, encoded: Encoded) -> Any:
        """The state before the first token."""

    @abstractmethod
    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: Any,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        """Run over the embedded previous tokens."""


class LookThenUpdateDecoder(Decoder):
    """Bahdanau: `c_i` from `s_{i-1}`; `s_i = cell([E y; c_i], s_{i-1})`; features `tanh(W [s_i; E y; c_i])`.

    The paper reads out from `s_{i-1}` through maxout; reading from `s_i` through tanh is what most systems do.

    Args:
        attention: what to look with; its query has `recurrent`'s units.
        recurrent: layers whose input is the embedding and the context side by side.
        embedding_dim: features of an embedded token.
        context_dim: features of a context.
        summary_dim: features of the encoder's summary.
        output_dim: features for the output layer.
        dropout: share of the features dropped in training.

    Raises:
        ValueError: sizes that do not fit.

    >>> from heedful.attention import BahdanauAttention
    >>> attention, recurrent = BahdanauAttention(7, 4, hidden_dim=9), Recurrent("gru", 5 + 4, 7, layers=2)
    >>> decoder = LookThenUpdateDecoder(attention, recurrent, 5, context_dim=4, summary_dim=4, output_dim=6)
    """

    def __init__(
        self,
        attention: AttentionLayer,
        recurrent: Recurrent,
        embedding_dim: int,
        context_dim: int,
        summary_dim: int,
        output_dim: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_attention(attention, recurrent, context_dim)
        _check_input("recurrent", recurrent, embedding_dim=embedding_dim, context_dim=context_dim)
        self.attention, self.recurrent = attention, recurrent
        self.bridge = Bridge(summary_dim, recurrent.units, recurrent.layers)
        self.readout = Linear(recurrent.units + embedding_dim + context_dim, output_dim)
        self.dropout = Dropout(dropout)
        self.embedding_dim, self.summary_dim, self.output_dim = embedding_dim, summary_dim, output_dim

    def start(self, encoded: Encoded) -> DecoderState:
        return DecoderState(self.recurrent.begin(self.bridge(encoded.summary)))

    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: DecoderState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        states, contexts, weights = [], [], []
        recurrent, looked = state.recurrent, state.attention
        for token in embedded.split(1, 1):
            look, looked = self.attention.step(recurrent.top, encoded.memory, looked, need_weights)
            output, recurrent = self.recurrent(torch.cat((token, look.context), -1), recurrent)
            states.append(output)
            contexts.append(look.context)
            weights.append(look.weights)
        hidden, context = torch.cat(states, 1), torch.cat(contexts, 1)
        features = self.dropout(torch.tanh(self.readout(torch.cat((hidden, embedded, context), -1))))
        state = DecoderState(recurrent, attention=looked)
        return DecoderOutput(features, state, _join(weights), context=context, hidden=hidden)


class UpdateThenLookDecoder(Decoder):
    """Luong: `h_t = cell(E y_{t-1}, h_{t-1})`, look with `h_t`, features `tanh(W [c; h_t])`.

    With input feeding the features join the next step's input, `cell([E y_{t-1}; features_{t-1}])`, and steps follow
    each other; without, all steps are one call.

    Args:
        attention: what to look with; its query has `recurrent`'s units.
        recurrent: layers whose input is the embedding (with input feeding: beside the last features).
        context_dim: features of a context.
        summary_dim: features of the encoder's summary.
        output_dim: features for the output layer.
        input_feeding: hand the attentional state to the next step.
        dropout: share of the features dropped in training.

    Raises:
        ValueError: sizes that do not fit.

    >>> from heedful.attention import LuongAttention
    >>> attention, recurrent = LuongAttention(7, 4), Recurrent("lstm", 5 + 6, 7)
    >>> sizes = {"context_dim": 4, "summary_dim": 4, "output_dim": 6}
    >>> decoder = UpdateThenLookDecoder(attention, recurrent, input_feeding=True, **sizes)
    """

    def __init__(
        self,
        attention: AttentionLayer,
        recurrent: Recurrent,
        context_dim: int,
        summary_dim: int,
        output_dim: int,
        input_feeding: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_attention(attention, recurrent, context_dim)
        embedding_dim = recurrent.input_dim - (output_dim if input_feeding else 0)
        if embedding_dim < 1:
            raise ValueError(
                f"recurrent's input_dim is {recurrent.input_dim}; with input feeding it holds an embedded token beside "
                f"{output_dim} features. Build recurrent with the two together, embedding_dim + output_dim."
            )
        self.attention, self.recurrent = attention, recurrent
        self.bridge = Bridge(summary_dim, recurrent.units, recurrent.layers)
        self.combine = Linear(context_dim + recurrent.units, output_dim, bias=False)
        self.dropout = Dropout(dropout)
        self.input_feeding = input_feeding
        self.embedding_dim, self.summary_dim, self.output_dim = embedding_dim, summary_dim, output_dim

    def start(self, encoded: Encoded) -> DecoderState:
        recurrent = self.recurrent.begin(self.bridge(encoded.summary))
        summary = encoded.summary
        fed = summary.new_zeros(summary.shape[0], 1, self.output_dim) if self.input_feeding else None
        return DecoderState(recurrent, fed=fed)

    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: DecoderState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        if not self.input_feeding:
            return self._run(embedded, state, encoded, need_weights)
        outputs = []
        for token in embedded.split(1, 1):
            outputs.append(self._run(token, state, encoded, need_weights))
            state = outputs[-1].state
        features, context, hidden = (
            torch.cat([getattr(output, name) for output in outputs], 1) for name in ("features", "context", "hidden")
        )
        weights = _join([output.weights for output in outputs])
        return DecoderOutput(features, state, weights, context=context, hidden=hidden)

    def _run(self, inputs: Tensor, state: DecoderState, encoded: Encoded, need_weights: bool) -> DecoderOutput:
        if state.fed is not None:
            inputs = torch.cat((inputs, state.fed), -1)
        hidden, recurrent = self.recurrent(inputs, state.recurrent)
        look, looked = self.attention.look(hidden, encoded.memory, state.attention, need_weights)
        features = self.dropout(torch.tanh(self.combine(torch.cat((look.context, hidden), -1))))
        state = DecoderState(recurrent, fed=features if self.input_feeding else None, attention=looked)
        return DecoderOutput(features, state, look.weights, context=look.context, hidden=hidden)


class UpdateLookAddDecoder(Decoder):
    """`h_t = cell(E y_{t-1}, h_{t-1})`, look with `h_t`, features `norm(h_t + c)`, all steps in one call.

    That of TensorFlow's tutorial "Neural machine translation with attention" (2022), which looks with one head of
    `MultiHeadAttention`; of no paper. Its first state is 0, here it is made of the encoder's summary.

    Args:
        attention: what to look with; its query and its context have `recurrent`'s units.
        recurrent: layers whose input is the embedding.
        summary_dim: features of the encoder's summary.
        dropout: share of the features dropped in training.

    Raises:
        ValueError: sizes that do not fit.

    >>> from heedful.attention import MultiHeadAttention
    >>> attention = MultiHeadAttention(7, num_heads=1, key_dim=4)
    >>> UpdateLookAddDecoder(attention, Recurrent("gru", 5, 7), summary_dim=4).output_dim
    7
    """

    def __init__(self, attention: AttentionLayer, recurrent: Recurrent, summary_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        _check_attention(attention, recurrent, recurrent.units)
        self.attention, self.recurrent = attention, recurrent
        self.bridge = Bridge(summary_dim, recurrent.units, recurrent.layers)
        self.norm, self.dropout = nn.LayerNorm(recurrent.units), Dropout(dropout)
        self.embedding_dim, self.summary_dim, self.output_dim = recurrent.input_dim, summary_dim, recurrent.units

    def start(self, encoded: Encoded) -> DecoderState:
        return DecoderState(self.recurrent.begin(self.bridge(encoded.summary)))

    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: DecoderState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        hidden, recurrent = self.recurrent(embedded, state.recurrent)
        look, looked = self.attention.look(hidden, encoded.memory, state.attention, need_weights)
        features = self.dropout(self.norm(hidden + look.context))
        state = DecoderState(recurrent, attention=looked)
        return DecoderOutput(features, state, look.weights, context=look.context, hidden=hidden)


class LookBetweenDecoder(Decoder):
    """The first layer's state looks, the layers above read it beside the context, all steps in one call.

    After the Google system (Wu et al. 2016, section 3), whose bottom layer looks, too, but with its state of one step
    earlier. Features `tanh(W [s; E y; c])`, as in `LookThenUpdateDecoder`.

    Args:
        attention: what to look with; its query has `lower`'s units.
        lower: layers whose input is the embedding.
        upper: layers whose input is the lower output and the context side by side.
        embedding_dim: features of an embedded token.
        context_dim: features of a context.
        summary_dim: features of the encoder's summary.
        output_dim: features for the output layer.
        dropout: share of the features dropped in training.

    Raises:
        ValueError: sizes that do not fit.

    >>> from heedful.attention import BahdanauAttention
    >>> attention = BahdanauAttention(7, 4, hidden_dim=9)
    >>> lower, upper = Recurrent("gru", 5, 7), Recurrent("gru", 7 + 4, 8)
    >>> decoder = LookBetweenDecoder(attention, lower, upper, 5, context_dim=4, summary_dim=4, output_dim=6)
    """

    def __init__(
        self,
        attention: AttentionLayer,
        lower: Recurrent,
        upper: Recurrent,
        embedding_dim: int,
        context_dim: int,
        summary_dim: int,
        output_dim: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_attention(attention, lower, context_dim, "lower")
        _check_input("lower", lower, embedding_dim=embedding_dim)
        _check_input("upper", upper, lower_units=lower.units, context_dim=context_dim)
        self.attention, self.lower, self.upper = attention, lower, upper
        self.lower_bridge = Bridge(summary_dim, lower.units, lower.layers)
        self.upper_bridge = Bridge(summary_dim, upper.units, upper.layers)
        self.readout = Linear(upper.units + embedding_dim + context_dim, output_dim)
        self.dropout = Dropout(dropout)
        self.embedding_dim, self.summary_dim, self.output_dim = embedding_dim, summary_dim, output_dim

    def start(self, encoded: Encoded) -> DecoderState:
        lower = self.lower.begin(self.lower_bridge(encoded.summary))
        return DecoderState(lower, self.upper.begin(self.upper_bridge(encoded.summary)))

    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: DecoderState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        query, lower = self.lower(embedded, state.recurrent)
        query = self.dropout(query)
        look, looked = self.attention.look(query, encoded.memory, state.attention, need_weights)
        hidden, upper = self.upper(torch.cat((query, look.context), -1), state.upper)
        features = self.dropout(torch.tanh(self.readout(torch.cat((hidden, embedded, look.context), -1))))
        state = DecoderState(lower, upper, attention=looked)
        return DecoderOutput(features, state, look.weights, context=look.context, hidden=query)


class PlainDecoder(Decoder):
    """No attention: all the decoder knows of the source is its first state. For honest comparison.

    Args:
        recurrent: layers whose input is the embedding.
        embedding_dim: features of an embedded token.
        summary_dim: features of the encoder's summary.
        output_dim: features for the output layer.
        dropout: share of the features dropped in training.

    Raises:
        ValueError: sizes that do not fit.

    >>> decoder = PlainDecoder(Recurrent("gru", 5, 7), embedding_dim=5, summary_dim=4, output_dim=6)
    """

    def __init__(
        self, recurrent: Recurrent, embedding_dim: int, summary_dim: int, output_dim: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _check_input("recurrent", recurrent, embedding_dim=embedding_dim)
        self.recurrent = recurrent
        self.bridge = Bridge(summary_dim, recurrent.units, recurrent.layers)
        self.readout = Linear(recurrent.units + embedding_dim, output_dim)
        self.dropout = Dropout(dropout)
        self.embedding_dim, self.summary_dim, self.output_dim = embedding_dim, summary_dim, output_dim

    def start(self, encoded: Encoded) -> DecoderState:
        return DecoderState(self.recurrent.begin(self.bridge(encoded.summary)))

    def forward(
        self,
        embedded: Float[Tensor, "batch steps embedding_dim"],
        state: DecoderState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        hidden, recurrent = self.recurrent(embedded, state.recurrent)
        features = self.dropout(torch.tanh(self.readout(torch.cat((hidden, embedded), -1))))
        return DecoderOutput(features, DecoderState(recurrent))


def _join(weights: list[Any]) -> Tensor | None:
    return None if not weights or weights[0] is None else torch.cat(weights, -2)


def _check_attention(
    attention: AttentionLayer, recurrent: Recurrent, context_dim: int, name: str = "recurrent"
) -> None:
    check_size("attention's query_dim", attention.query_dim, recurrent.units, f"{name}'s units: its state is the query")
    check_size("attention's context_dim", attention.context_dim, context_dim, "context_dim")


def _check_input(name: str, recurrent: Recurrent, **parts: int) -> None:
    what = " + ".join(f"{part} ({size})" for part, size in parts.items())
    check_size(f"{name}'s input_dim", recurrent.input_dim, sum(parts.values()), f"which is {what}")
