"""The GRU that is one node of the graph is torch's GRU."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful.functional import products
from heedful.layers import Recurrent, TokenEmbedding
from heedful.layers.gru import gru, suits_gru
from heedful.models import RecurrentEncoder
from tests.tolerances import assert_close

pytestmark = pytest.mark.skipif(not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="torch without oneDNN")


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(products, "has_slow_mkl", lambda: True)
    monkeypatch.setattr(products, "LEAST", 1)


def _graded(module, outputs, *inputs):
    """Outputs, and the gradients of a weighted sum of them."""
    torch.manual_seed(6)
    total = sum((output * torch.randn(output.shape, dtype=torch.float64).to(output.dtype)).sum() for output in outputs)
    return [*outputs, *torch.autograd.grad(total, [*inputs, *module.parameters()])]


def _assert_same(ours, theirs):
    for own, reference in zip(ours, theirs, strict=True):
        assert_close(own, reference)


@pytest.mark.parametrize("steps", [1, 7])
def test_a_recurrent_layer_is_that_of_torch(fast, steps):
    torch.manual_seed(5)
    layer = Recurrent("gru", 3, 5)
    found = []
    inputs, hidden = torch.randn(2, steps, 3), torch.randn(2, 1, 5)
    for dtype in (torch.float32, torch.float64):
        layer.to(dtype)
        own = inputs.to(dtype).requires_grad_(), hidden.to(dtype).requires_grad_()
        assert suits_gru(layer.rnn, own[0]) == (dtype == torch.float32)
        outputs, state = layer(own[0], layer.begin(own[1]))
        found.append(_graded(layer, (outputs, state.hidden), *own))
    _assert_same(*found)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.booleans())
def test_an_encoder_reads_the_real_tokens_of_each_sentence_both_ways(lengths, bidirectional):
    torch.manual_seed(4)
    encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, 5, bidirectional=bidirectional)
    source, lengths = torch.randint(1, 11, (len(lengths), 7)), torch.tensor(lengths)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "has_slow_mkl", lambda: True)
        patch.setattr(products, "LEAST", 1)
        for dtype in (torch.float32, torch.float64):
            said = encoder.to(dtype)(source, lengths)
            found.append(_graded(encoder, (said.outputs, said.summary)))
    _assert_same(*found)
    behind = torch.arange(7) >= lengths.unsqueeze(1)
    assert not found[0][0][behind].any()


def test_what_stands_behind_the_end_of_a_sentence_has_no_influence(fast):
    rnn = nn.GRU(3, 5, batch_first=True, bidirectional=True)
    inputs = torch.randn(2, 4, 3)
    other = inputs.clone()
    other[1, 2:] = 9.0
    for backwards in (False, True):
        first = gru(rnn, inputs, torch.zeros(2, 5), [2, 2, 1, 1], backwards)
        assert all(map(torch.equal, first, gru(rnn, other, torch.zeros(2, 5), [2, 2, 1, 1], backwards)))


def test_what_it_cannot_do_torch_does(fast):
    inputs = torch.randn(2, 7, 3)
    assert suits_gru(nn.GRU(3, 5), inputs)
    assert not suits_gru(nn.GRU(3, 5, num_layers=2), inputs)
    assert not suits_gru(nn.LSTM(3, 5), inputs)
    assert not suits_gru(nn.GRU(3, 5), inputs[:, :0])
    with torch.autocast("cpu", torch.bfloat16):
        assert not suits_gru(nn.GRU(3, 5), inputs)
