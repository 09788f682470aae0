"""Keras' first values."""

import pytest
import torch
from torch import nn

from heedful.layers import init_like_keras
from tests.tolerances import assert_close


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_recurrent_layers_begin_as_in_keras(kind, gates):
    rnn = kind(32, 100, bidirectional=True)
    init_like_keras(rnn)
    for direction in ("", "_reverse"):
        inner = getattr(rnn, f"weight_hh_l0{direction}").detach()
        assert_close(inner.T @ inner, torch.eye(100))
        outer = getattr(rnn, f"weight_ih_l0{direction}").detach()
        limit = (6 / (32 + 100 * gates)) ** 0.5
        assert 0.95 * limit < outer.abs().max() <= limit
        bias, other = getattr(rnn, f"bias_ih_l0{direction}"), getattr(rnn, f"bias_hh_l0{direction}")
        wanted = torch.zeros(gates, 100)
        wanted[1] = kind is nn.LSTM
        assert bias.equal(wanted.flatten())
        assert not other.any()
        assert (bias.requires_grad, other.requires_grad) == (True, False)


def test_linear_layers_begin_as_in_keras_wherever_they_stand():
    model = nn.Sequential(nn.Linear(30, 50), nn.ReLU(), nn.Linear(50, 1, bias=False))
    init_like_keras(model)
    limit = (6 / 80) ** 0.5
    assert 0.95 * limit < model[0].weight.detach().abs().max() <= limit
    assert not model[0].bias.any()
