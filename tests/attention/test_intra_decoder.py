"""Attention of a decoder over its own earlier states, against a memory that grows."""

from typing import NamedTuple

import pytest
import torch
from torch import nn

from heedful import padding_mask
from heedful.attention import Attention, IntraDecoderAttention, IntraTemporalAttention, KeyValueAttention
from heedful.attention.normalizers import IntraTemporalNormalizer
from heedful.attention.scores import GeneralScore
from heedful.attention.state import reorder
from tests.tolerances import assert_close

BATCH, STEPS, DIM = 2, 5, 3


def general(p, one, other):
    """Paulus 2018, section 2.2."""
    return one @ p["weight"] @ other


def additive(p, one, other):
    """Daniluk 2017: w . tanh(W key + U earlier key)."""
    return p["energy"] @ torch.tanh(p["query_proj"] @ one + p["key_proj"] @ other)


class Row(NamedTuple):
    """A layer, its score of one state's key and an earlier one's, where key and value end, and how far it looks."""

    layer: nn.Module
    score: object
    dim: int
    key: slice
    value: slice
    span: int = STEPS


def build(name):
    if name == "intra-decoder":
        row = Row(IntraDecoderAttention(DIM), general, DIM, slice(0, DIM), slice(0, DIM))
    elif name == "key-value":
        row = Row(KeyValueAttention(2 * DIM, hidden_dim=4), additive, 2 * DIM, slice(0, DIM), slice(DIM, 2 * DIM))
    else:
        layer = KeyValueAttention(3 * DIM, span=2, parts=3)
        row = Row(layer, additive, 3 * DIM, slice(0, DIM), slice(DIM, 2 * DIM), 2)
    row.layer.double()
    return row


each_layer = pytest.mark.parametrize("name", ["intra-decoder", "key-value", "key-value-predict"])


def states(row):
    return torch.randn(BATCH, STEPS, row.dim, dtype=torch.float64, requires_grad=True)


def by_loop(row, sequence):
    """Step after step over a list that grows, from the papers."""
    parameters = dict(row.layer.attention.score.named_parameters())
    contexts, rows = [], []
    for step, one in enumerate(sequence):
        first = max(step - row.span, 0)
        earlier = sequence[first:step]
        compared = [row.score(parameters, one[row.key], other[row.key]) for other in earlier]
        shares = torch.softmax(torch.stack(compared), 0) if step else one[:0]
        contexts.append(shares @ earlier[:, row.value])
        rows.append(nn.functional.pad(shares, (first, len(sequence) - step)))
    return torch.stack(contexts), torch.stack(rows)


@each_layer
def test_it_is_the_loop_with_gradients(name):
    row = build(name)
    layer, sequence = row.layer, states(row)
    output = layer(sequence, need_weights=True)
    contexts, rows = zip(*(by_loop(row, one) for one in sequence), strict=True)
    assert_close(output.context, torch.stack(contexts))
    assert_close(output.weights, torch.stack(rows))
    assert not output.context[:, 0].any()
    leaves = (sequence, *layer.parameters())
    ours = torch.autograd.grad(output.context.square().sum(), leaves)
    for one, other in zip(ours, torch.autograd.grad(torch.stack(contexts).square().sum(), leaves), strict=True):
        assert_close(one, other)
    assert torch.autograd.gradcheck(lambda x: layer(x).context, sequence)


@each_layer
def test_steps_are_the_whole_and_a_beam_may_reorder_between_them(name):
    row = build(name)
    layer, sequence = row.layer, states(row)
    whole, past = layer(sequence, need_weights=True), None
    for step in range(STEPS):
        output, past = layer.step(sequence[:, step : step + 1], past, need_weights=True)
        assert_close(output.context[:, 0], whole.context[:, step])
        assert_close(output.weights[:, 0], whole.weights[:, step, :step])
    order = torch.tensor([1, 1, 0])
    later = torch.randn(BATCH, 1, row.dim, dtype=torch.float64)
    moved, _ = layer.step(later[order], reorder(past, order))
    assert_close(moved.context, layer.step(later, past)[0].context[order])


@each_layer
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_padding_may_hold_anything(name, poison):
    row = build(name)
    layer, sequence = row.layer, states(row)
    mask = padding_mask(torch.tensor([5, 3]), STEPS)
    output = layer(sequence, mask).context
    expected = torch.autograd.grad(output.sum(), sequence)
    assert not output[1, 3:].any()
    assert_close(output[1, :3], by_loop(row, sequence[1, :3])[0])
    with torch.no_grad():
        sequence[1, 3:] = poison
    again = layer(sequence, mask).context
    assert again.equal(output)
    assert torch.autograd.grad(again.sum(), sequence)[0].equal(expected[0])


@each_layer
def test_no_steps_no_batch_and_half_precision(name):
    row = build(name)
    layer = row.layer.float()
    for batch, steps in ((0, 3), (2, 0), (2, 1)):
        assert not layer(torch.ones(batch, steps, row.dim)).context.any()
    assert layer.half()(1e3 * torch.ones(2, 3, row.dim).half()).context.isfinite().all()


def test_intra_temporal_attention_is_its_parts():
    named = IntraTemporalAttention(4, 6).double()
    by_hand = Attention(GeneralScore(4, 6), normalizer=IntraTemporalNormalizer()).double()
    by_hand.load_state_dict(named.state_dict())
    query, key = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 6).double()
    ours, theirs = named(query, key, need_weights=True), by_hand(query, key, need_weights=True)
    assert ours.context.equal(theirs.context)
    assert ours.weights.equal(theirs.weights)


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    attention = IntraDecoderAttention(DIM)
    with pytest.raises(ValueError, match=r"key has 4 features; GeneralScore expected 3\."):
        attention(torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match=r"mask is float32; a mask is boolean"):
        attention(torch.zeros(2, 5, 3), torch.ones(2, 1, 5))
    with pytest.raises(ValueError, match=r"a state has 4 features; KeyValueAttention expected 6\."):
        KeyValueAttention(6)(torch.zeros(2, 5, 4))
    for parts, dim in ((4, 8), (3, 8)):
        with pytest.raises(ValueError, match=rf"parts is {parts} for {dim} features; expected 2 \(key, value\) or 3"):
            KeyValueAttention(dim, parts=parts)
    with pytest.raises(ValueError, match="span is 0; expected a whole number"):
        KeyValueAttention(6, span=0)
