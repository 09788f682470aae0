"""Forecasts by an encoder-decoder that looks twice: at the series, then at the time steps.

Qin et al. 2017, "A dual-stage attention-based recurrent neural network for time series prediction" (DA-RNN, IJCAI,
https://arxiv.org/abs/1704.02971). There the decoder reads the past of one series and says one number. Here it runs over
the steps to come, all of which it says of every series, and what it says is added to a simple forecast, the last value
or a linear one: the network learns the rest.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful.attention import AttentionLayer
from heedful.layers import Recurrent, RecurrentState

from ._sizes import check_size
from .decoders import Decoder, DecoderOutput, Encoded
from .encoders import EncoderOutput
from .linear_forecast import last_value, linear_forecast

Base = Literal["last", "linear"]


class InputAttentionEncoder(nn.Module):
    """At each time step the state looks at the series, each a key of all its steps, and reads the values as weighted.

    `a_t = attention(h_{t-1}, x^1 ... x^n)`, `h_t = cell(a_t * x_t, h_{t-1})`: Qin et al., equations 8 to 11, whose
    query is the LSTM's hidden and cell state side by side and whose score is additive. Without attention: `cell(x_t)`.

    Args:
        recurrent: layers whose input is the values of all series at one step.
        attention: of a query as wide as `query_dim_of(recurrent)`, and keys as wide as the window; None looks at none.
        patch: rows that are one step, side by side; 1 as in the paper.

    Raises:
        ValueError: sizes that do not fit.

    >>> from heedful.attention import BahdanauAttention
    >>> encoder = InputAttentionEncoder(Recurrent("lstm", 3, 5), BahdanauAttention(2 * 5, 7, hidden_dim=4))
    >>> encoded, weights = encoder(torch.ones(2, 7, 3))
    >>> encoded.outputs.shape, weights.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 7, 3]))
    """

    def __init__(self, recurrent: Recurrent, attention: AttentionLayer | None, patch: int = 1) -> None:
        super().__init__()
        if patch < 1 or recurrent.input_dim % patch:
            raise ValueError(
                f"recurrent's input_dim is {recurrent.input_dim}; expected a multiple of patch, {patch}: a step reads "
                "so many rows side by side."
            )
        if attention is not None:
            check_size("attention's query_dim", attention.query_dim, query_dim_of(recurrent), "the state's features")
        self.recurrent, self.attention, self.output_dim = recurrent, attention, recurrent.units
        self.patch, self.num_series = patch, recurrent.input_dim // patch

    def forward(
        self, inputs: Float[Tensor, "batch window series"]
    ) -> tuple[EncoderOutput, Float[Tensor, "batch steps series"] | None]:
        """Read the window.

        Args:
            inputs: `[batch, window, series]`; the window is a multiple of the patch.

        Returns:
            The states, and how much each series was looked at at each step, `[batch, steps, series]`.
        """
        patches = inputs.unflatten(1, (-1, self.patch))
        shape = (inputs.shape[0], self.recurrent.layers, self.recurrent.units)
        state = self.recurrent.begin(inputs.new_zeros(shape))
        if self.attention is None:
            outputs, state = self.recurrent(patches.flatten(2), state)
            return EncoderOutput(outputs, state.hidden[:, -1]), None
        memory, looked = self.attention.remember(inputs.transpose(1, 2)), None
        states, weights = [], []
        for values in patches.split(1, 1):
            look, looked = self.attention.step(_query(state), memory, looked, need_weights=True)
            output, state = self.recurrent((look.weights.unsqueeze(2) * values).flatten(2), state)
            states.append(output)
            weights.append(look.weights)
        return EncoderOutput(torch.cat(states, 1), state.hidden[:, -1]), torch.cat(weights, 1)


def query_dim_of(recurrent: Recurrent) -> int:
    """Features of the query that the state makes: hidden and cell state of an LSTM, the hidden state of a GRU.

    >>> query_dim_of(Recurrent("lstm", 3, 5)), query_dim_of(Recurrent("gru", 3, 5))
    (10, 5)
    """
    return recurrent.units * (2 if recurrent.rnn.mode == "LSTM" else 1)


def _query(state: RecurrentState) -> Tensor:
    return state.top if state.cell is None else torch.cat((state.top, state.cell[:, -1:]), -1)


class Forecast(NamedTuple):
    """What a forecaster says of a batch of windows.

    Attributes:
        answer: `[batch, horizon, series]`.
        weights: `[batch, horizon, window]`, at which steps each step to come looked (`[batch, heads, horizon, window]`
            with several heads); None unless asked for, or without attention.
        input_weights: `[batch, window, series]`, at which series each step looked; likewise.
    """

    answer: Float[Tensor, "batch horizon series"]
    weights: Float[Tensor, "batch *heads horizon window"] | None = None
    input_weights: Float[Tensor, "batch window series"] | None = None


class DualStageForecaster(nn.Module):
    """Encoder, decoder and a simple forecast that what they say is added to, of series in one common unit.

    The encoder reads each series less its last value in the window, so that a level that training never saw changes
    nothing. The output layer begins at 0: before it has learnt, the model says the simple forecast.

    Args:
        encoder: reads the window.
        decoder: takes a learnt vector for each step to come in the place of embedded words.
        window: steps that are seen.
        horizon: steps that are forecast.
        num_series: series.
        base: the simple forecast: "last" or "linear".

    Attributes:
        mean, deviation: `[series]`, of the rows that were learnt from; what goes in has these taken out.
        linear: `[window, horizon]`, see `linear_forecast`. All three are set by who knows the data, and saved along.

    >>> from heedful.attention import BahdanauAttention
    >>> from heedful.models import LookThenUpdateDecoder
    >>> encoder = InputAttentionEncoder(Recurrent("gru", 3, 5), BahdanauAttention(5, 7, hidden_dim=4))
    >>> decoder = LookThenUpdateDecoder(BahdanauAttention(6, 5, 4), Recurrent("gru", 2 + 5, 6), 2, 5, 5, output_dim=8)
    >>> model = DualStageForecaster(encoder, decoder, window=7, horizon=4, num_series=3)
    >>> model(torch.ones(2, 7, 3)).answer.shape
    torch.Size([2, 4, 3])
    """

    mean: Tensor
    deviation: Tensor
    linear: Tensor

    def __init__(
        self,
        encoder: InputAttentionEncoder,
        decoder: Decoder,
        window: int,
        horizon: int,
        num_series: int,
        base: Base = "last",
    ) -> None:
        super().__init__()
        check_size("encoder's num_series", encoder.num_series, num_series, "num_series")
        check_size("window % encoder's patch", window % encoder.patch, 0, "whole patches; make window a multiple")
        self.encoder, self.decoder, self.base = encoder, decoder, base
        self.window, self.horizon = window, horizon
        self.steps = nn.Parameter(torch.empty(horizon, decoder.embedding_dim))
        self.output = nn.Linear(decoder.output_dim, num_series)
        self.register_buffer("mean", torch.zeros(num_series))
        self.register_buffer("deviation", torch.ones(num_series))
        self.register_buffer("linear", torch.zeros(window, horizon))
        nn.init.normal_(self.steps, std=0.1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(
        self,
        inputs: Float[Tensor, "batch window series"],
        lengths: Int[Tensor, " batch"] | None = None,
        need_weights: bool = False,
    ) -> Forecast:
        """Forecast the steps behind each window.

        Args:
            inputs: `[batch, window, series]`, with mean and deviation taken out.
            lengths: that of the window for each; for the training loop, which hands it on.
            need_weights: return what was looked at, too.

        Raises:
            ValueError: the windows are of another length.
        """
        check_size("the length of inputs", inputs.shape[1], self.window, "window")
        encoded, looks = self.read(inputs - inputs[:, -1:])
        said = self.say(encoded, need_weights)
        answer = self.simple(inputs) + self.output(said.features)
        if not need_weights:
            return Forecast(answer)
        patch = self.encoder.patch
        # each row has its part of what its patch was looked at
        rows = None if said.weights is None else said.weights.repeat_interleave(patch, -1) / patch
        return Forecast(answer, rows, None if looks is None else looks.repeat_interleave(patch, 1))

    def read(
        self, gaps: Float[Tensor, "batch window series"]
    ) -> tuple[Encoded, Float[Tensor, "batch steps series"] | None]:
        """What the decoder looks at, and how much each series was looked at at each step.

        Args:
            gaps: each series less its last value, `[batch, window, series]`.
        """
        encoded, looks = self.encoder(gaps)
        seen = torch.ones(encoded.outputs.shape[:2], dtype=torch.bool, device=gaps.device).unsqueeze(1)
        return self.decoder.remember(encoded, seen), looks

    def say(self, encoded: Encoded, need_weights: bool = False) -> DecoderOutput:
        """What the decoder says of the steps to come; `output` makes of it what is added to the simple forecast."""
        steps = self.steps.expand(encoded.summary.shape[0], -1, -1)
        return self.decoder(steps, self.decoder.start(encoded), encoded, need_weights)

    def simple(self, inputs: Float[Tensor, "batch window series"]) -> Float[Tensor, "batch horizon series"]:
        """The simple forecast that what the network says is added to."""
        if self.base == "last":
            return last_value(inputs, self.horizon)
        return linear_forecast(inputs, self.linear)
