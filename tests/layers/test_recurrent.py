"""Recurrent layers with explicit state: nothing is remembered by the module, everything is carried by the caller."""

import pytest
import torch
from torch import nn

from heedful._pytree import reorder, repeat
from heedful.layers import Recurrent
from heedful.layers.recurrent import init_recurrent
from tests.tolerances import assert_close

each_kind = pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("gru", 3), ("lstm", 1), ("lstm", 2)])


def _layer(cell, layers, dropout=0.0):
    torch.manual_seed(2)
    return Recurrent(cell, 3, 5, layers, dropout).double()


def _begin(layer, batch=2):
    return layer.begin(torch.randn(batch, layer.layers, 5, dtype=torch.float64))


@each_kind
def test_all_steps_at_once_equal_one_step_after_the_other(cell, layers):
    layer = _layer(cell, layers)
    inputs, state = torch.randn(2, 7, 3, dtype=torch.float64), _begin(layer)
    outputs, last = layer(inputs, state)
    for step in range(7):
        output, state = layer(inputs[:, step : step + 1], state)
        assert_close(output, outputs[:, step : step + 1])
    assert_close(state.hidden, last.hidden)
    assert_close(state.top, outputs[:, -1:])
    assert (last.cell is None) == (cell == "gru")
    if last.cell is not None:
        assert_close(state.cell, last.cell)


@each_kind
def test_the_first_state_matters_and_no_call_remembers_the_one_before(cell, layers):
    layer = _layer(cell, layers)
    inputs, state = torch.randn(2, 1, 3, dtype=torch.float64), _begin(layer)
    first = layer(inputs, state)[0]
    elsewhere = layer(inputs, _begin(layer))[0]
    assert (first - elsewhere).abs().min() > 1e-6
    assert torch.equal(first, layer(inputs, state)[0])


@each_kind
def test_state_is_batch_first_and_reorders(cell, layers):
    layer = _layer(cell, layers)
    inputs, state = torch.randn(3, 2, 3, dtype=torch.float64), _begin(layer, 3)
    index = torch.tensor([2, 0, 0, 1])
    outputs, after = layer(inputs, state)
    moved, moved_after = layer(inputs[index], reorder(state, index))
    assert_close(moved, outputs[index])
    assert_close(moved_after.hidden, reorder(after, index).hidden)
    assert repeat(after, 2).hidden.shape == (6, layers, 5)


@each_kind
def test_values_are_those_of_torch(cell, layers):
    layer = _layer(cell, layers)
    theirs = (nn.GRU if cell == "gru" else nn.LSTM)(3, 5, layers, batch_first=True).double()
    theirs.load_state_dict(layer.rnn.state_dict())
    inputs, state = torch.randn(2, 7, 3, dtype=torch.float64), _begin(layer)
    hidden = state.hidden.transpose(0, 1).contiguous()
    expected, _ = theirs(inputs, hidden if cell == "gru" else (hidden, torch.zeros_like(hidden)))
    assert_close(layer(inputs, state)[0], expected)


def test_dropout_works_between_layers_in_training_only():
    inputs = torch.randn(2, 7, 3, dtype=torch.float64)
    layer = _layer("gru", 2, dropout=0.5)
    state = _begin(layer)
    assert not torch.equal(layer(inputs, state)[0], layer(inputs, state)[0])
    layer.eval()
    assert torch.equal(layer(inputs, state)[0], _layer("gru", 2)(inputs, state)[0])


def test_matrices_start_orthogonal_gate_by_gate_and_forget_gates_open():
    rnn = nn.LSTM(3, 5, 2, bidirectional=True)
    init_recurrent(rnn)
    for name, parameter in rnn.named_parameters():
        gates = parameter.detach().split(5)
        if "weight_hh" in name:
            for gate in gates:
                assert_close(gate @ gate.T, torch.eye(5))
        if "bias" in name:  # the two biases of a gate add up
            opened = [float(gate.mean()) for gate in gates]
            assert opened == ([0, 1, 0, 0] if "bias_ih" in name else [0, 0, 0, 0])
    assert rnn.weight_ih_l1.abs().max() <= (6 / (5 + 10)) ** 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, "cell is 'rnn'; expected 'gru' or 'lstm'"),
        ({"layers": 0}, "layers is 0; expected at least 1"),
        ({"units": 0}, "units is 0; expected at least 1"),
        ({"input_dim": 0}, "input_dim is 0; expected at least 1"),
    ],
)
@pytest.mark.messages
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Recurrent(**{"cell": "gru", "input_dim": 3, "units": 5, **options})
