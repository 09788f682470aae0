"""The dual-stage forecaster against loops written from the paper, and the two simple forecasts by hand."""

import numpy as np
import pytest
import torch

from heedful.attention import BahdanauAttention, SineAttention
from heedful.layers import Recurrent
from heedful.models import (
    DualStageForecaster,
    InputAttentionEncoder,
    LookThenUpdateDecoder,
    PlainDecoder,
    UpdateThenLookDecoder,
    fit_linear,
    last_value,
    linear_forecast,
    query_dim_of,
)
from tests.tolerances import assert_close

BATCH, WINDOW, SERIES, UNITS, HIDDEN, HORIZON = 2, 6, 3, 5, 4, 7


def make_encoder(cell="lstm", patch=1, attention=BahdanauAttention):
    recurrent = Recurrent(cell, patch * SERIES, UNITS)
    look = attention(query_dim_of(recurrent), WINDOW, HIDDEN) if attention else None
    return InputAttentionEncoder(recurrent, look, patch).double()


def make_forecaster(cell="lstm", patch=1, base="last", kind="bahdanau", attention=BahdanauAttention):
    encoder = make_encoder(cell, patch, attention)
    sizes = {"context_dim": UNITS, "summary_dim": UNITS, "output_dim": 8}
    look = BahdanauAttention(9, UNITS, HIDDEN)
    if kind == "bahdanau":
        decoder = LookThenUpdateDecoder(look, Recurrent(cell, 2 + UNITS, 9), embedding_dim=2, **sizes)
    elif kind == "luong":
        decoder = UpdateThenLookDecoder(look, Recurrent(cell, 2, 9), **sizes)
    else:
        decoder = PlainDecoder(Recurrent(cell, 2, 9), 2, UNITS, 8)
    model = DualStageForecaster(encoder, decoder, WINDOW, HORIZON, SERIES, base).double()
    torch.nn.init.normal_(model.output.weight)
    torch.nn.init.normal_(model.linear)
    return model


def by_hand(encoder, window):
    """States and weights of one window, number by number: equations 8 to 11, and the LSTM's own or the GRU's."""
    p = dict(encoder.named_parameters())
    energy, query, key = (p[f"attention.score.{name}"] for name in ("energy", "query_proj", "key_proj"))
    w_ih, w_hh, b_ih, b_hh = (
        p[f"recurrent.rnn.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden = cell = torch.zeros(UNITS, dtype=torch.float64)
    states, looks = [], []
    lstm = encoder.recurrent.rnn.mode == "LSTM"
    for step in range(0, WINDOW, encoder.patch):
        asks = torch.cat((hidden, cell)) if lstm else hidden
        scores = [energy @ torch.tanh(query @ asks + key @ window[:, one]) for one in range(SERIES)]
        weights = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
        read = torch.cat([weights * window[step + row] for row in range(encoder.patch)])
        ours, theirs = w_ih @ read + b_ih, w_hh @ hidden + b_hh
        if lstm:
            gate_in, forget, new, out = (ours + theirs).split(UNITS)
            cell = forget.sigmoid() * cell + gate_in.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
        else:
            (r, z, n), (hr, hz, hn) = ours.split(UNITS), theirs.split(UNITS)
            update = (z + hz).sigmoid()
            hidden = (1 - update) * (n + (r + hr).sigmoid() * hn).tanh() + update * hidden
        states.append(hidden)
        looks.append(weights)
    return torch.stack(states), torch.stack(looks)


@pytest.mark.parametrize(("cell", "patch"), [("lstm", 1), ("gru", 1), ("lstm", 3)])
def test_the_input_attention_is_that_of_the_paper(cell, patch):
    encoder, inputs = make_encoder(cell, patch), torch.randn(BATCH, WINDOW, SERIES, dtype=torch.float64)
    encoded, weights = encoder(inputs)
    for row in range(BATCH):
        states, looks = by_hand(encoder, inputs[row])
        assert_close(encoded.outputs[row], states)
        assert_close(encoded.summary[row], states[-1])
        assert_close(weights[row], looks)


@pytest.mark.parametrize("kind", ["bahdanau", "luong", "plain"])
@pytest.mark.parametrize("patch", [1, 2])
def test_a_forecast_is_the_simple_one_and_what_the_network_adds(kind, patch):
    model = make_forecaster(patch=patch, kind=kind).eval()
    inputs = torch.randn(BATCH, WINDOW, SERIES, dtype=torch.float64)
    found = model(inputs, need_weights=True)
    encoded, looks = model.encoder(inputs - inputs[:, -1:])
    memory = model.decoder.remember(encoded, torch.ones(BATCH, 1, WINDOW // patch, dtype=torch.bool))
    said = model.decoder(model.steps.expand(BATCH, -1, -1), model.decoder.start(memory), memory, True)
    expected = inputs[:, -1:] + said.features @ model.output.weight.T + model.output.bias
    assert_close(found.answer, expected)
    assert_close(model(inputs).answer, found.answer)
    assert found.input_weights.shape == (BATCH, WINDOW, SERIES)
    assert_close(found.input_weights[:, ::patch], looks)
    if kind == "plain":
        assert found.weights is None
        return
    assert found.weights.shape == (BATCH, HORIZON, WINDOW)
    assert_close(found.weights.sum(-1), torch.ones(BATCH, HORIZON, dtype=torch.float64))
    assert_close(found.weights[..., ::patch] * patch, said.weights)


def test_a_level_goes_through_as_it_is_and_a_fresh_model_says_the_simple_forecast():
    inputs = torch.randn(BATCH, WINDOW, SERIES, dtype=torch.float64)
    for base, attention in (("last", None), ("linear", SineAttention)):
        model = make_forecaster(base=base, attention=attention).eval()
        assert_close(model(inputs + 100).answer, model(inputs).answer + 100)
        torch.nn.init.zeros_(model.output.weight)
        simple = last_value(inputs, HORIZON) if base == "last" else linear_forecast(inputs, model.linear)
        assert_close(model(inputs).answer, simple)


@pytest.mark.messages
def test_sizes_that_do_not_fit_are_refused():
    model = make_forecaster(patch=2)
    with pytest.raises(ValueError, match="the length of inputs is 8; expected 6, window"):
        model(torch.zeros(1, 8, SERIES, dtype=torch.float64))
    with pytest.raises(ValueError, match="input_dim is 3; expected a multiple of patch, 2"):
        InputAttentionEncoder(Recurrent("gru", 3, 5), None, patch=2)
    with pytest.raises(ValueError, match="attention's query_dim is 5; expected 10, the state's features"):
        InputAttentionEncoder(Recurrent("lstm", 3, 5), BahdanauAttention(5, 6, 4))
    with pytest.raises(ValueError, match="encoder's patch is 1; expected 0, whole patches"):
        DualStageForecaster(model.encoder, model.decoder, 7, HORIZON, SERIES)


def test_the_linear_forecast_is_the_least_squares_of_another_library():
    random = np.random.default_rng(1)
    rows = torch.from_numpy(random.standard_normal((40, 2)).cumsum(0))
    windows = [(rows[first : first + 4].unsqueeze(0), rows[first + 4 : first + 6].unsqueeze(0)) for first in range(35)]
    own, ahead = [], []
    for seen, answers in windows:
        for place in range(2):
            own.append((seen[0, :, place] - seen[0, -1, place]).numpy())
            ahead.append((answers[0, :, place] - seen[0, -1, place]).numpy())
    for ridge in (1e-9, 0.3):
        mean = np.mean(np.sum(np.square(own), 0))
        stacked = np.vstack([np.array(own), np.sqrt(ridge * mean) * np.eye(4)])
        expected = np.linalg.lstsq(stacked, np.vstack([np.array(ahead), np.zeros((4, 2))]), rcond=None)[0]
        found = fit_linear(windows, windows, [ridge])
        assert np.abs((found.numpy() - expected) @ np.ones((2, 1)))[:3].max() < 1e-6
        seen = windows[3][0]
        for place in range(2):
            last = float(seen[0, -1, place])
            by_row = [
                last + sum(found[row, step].item() * (float(seen[0, row, place]) - last) for row in range(4))
                for step in range(2)
            ]
            assert_close(linear_forecast(seen, found)[0, :, place], torch.tensor(by_row, dtype=torch.float64))
    better = min((1e-9, 1e9), key=lambda ridge: _error(fit_linear(windows[:20], windows, [ridge]), windows[20:]))
    chosen = fit_linear(windows[:20], windows[20:], [1e-9, 1e9])
    assert_close(chosen, fit_linear(windows[:20], windows, [better]))
    with pytest.raises(ValueError, match="no window to learn from"):
        fit_linear([], windows)


def _error(weight, windows):
    return sum(float((linear_forecast(seen, weight) - answers).square().sum()) for seen, answers in windows)
