"""Attention of a decoder over its own earlier states, against a memory that grows."""

import pytest
import torch

from heedful import padding_mask
from heedful.attention import Attention, IntraDecoderAttention, IntraTemporalAttention
from heedful.attention.normalizers import IntraTemporalNormalizer
from heedful.attention.scores import GeneralScore
from heedful.attention.state import reorder
from tests.tolerances import assert_close

BATCH, STEPS, DIM = 2, 5, 3


def states():
    return torch.randn(BATCH, STEPS, DIM, dtype=torch.float64, requires_grad=True)


def by_loop(attention, sequence):
    """Step after step over a list that grows, from the paper's equations 6 to 8."""
    weight, contexts, rows = attention.attention.score.weight, [], []
    for step, one in enumerate(sequence):
        earlier = sequence[:step]
        row = torch.softmax(torch.stack([one @ weight @ other for other in earlier]), 0) if step else one[:0]
        contexts.append(row @ earlier)
        rows.append(torch.nn.functional.pad(row, (0, len(sequence) - step)))
    return torch.stack(contexts), torch.stack(rows)


def test_it_is_the_loop_with_gradients():
    attention, sequence = IntraDecoderAttention(DIM).double(), states()
    output = attention(sequence, need_weights=True)
    contexts, rows = zip(*(by_loop(attention, one) for one in sequence), strict=True)
    assert_close(output.context, torch.stack(contexts))
    assert_close(output.weights, torch.stack(rows))
    assert not output.context[:, 0].any()
    leaves = (sequence, *attention.parameters())
    ours = torch.autograd.grad(output.context.square().sum(), leaves)
    for one, other in zip(ours, torch.autograd.grad(torch.stack(contexts).square().sum(), leaves), strict=True):
        assert_close(one, other)
    assert torch.autograd.gradcheck(lambda x: attention(x).context, sequence)


def test_steps_are_the_whole_and_a_beam_may_reorder_between_them():
    attention, sequence = IntraDecoderAttention(DIM).double(), states()
    whole, past = attention(sequence, need_weights=True), None
    assert whole.weights is not None
    for step in range(STEPS):
        output, past = attention.step(sequence[:, step : step + 1], past, need_weights=True)
        assert_close(output.context[:, 0], whole.context[:, step])
        assert output.weights is not None
        assert_close(output.weights[:, 0], whole.weights[:, step, :step])
    order = torch.tensor([1, 1, 0])
    later = torch.randn(BATCH, 1, DIM, dtype=torch.float64)
    moved, _ = attention.step(later[order], reorder(past, order))
    assert_close(moved.context, attention.step(later, past)[0].context[order])


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_padding_may_hold_anything(poison):
    attention, sequence = IntraDecoderAttention(DIM).double(), states()
    mask = padding_mask(torch.tensor([5, 3]), STEPS)
    output = attention(sequence, mask).context
    expected = torch.autograd.grad(output.sum(), sequence)
    assert not output[1, 3:].any()
    assert_close(output[1, :3], by_loop(attention, sequence[1, :3])[0])
    with torch.no_grad():
        sequence[1, 3:] = poison
    again = attention(sequence, mask).context
    assert again.equal(output)
    assert torch.autograd.grad(again.sum(), sequence)[0].equal(expected[0])


def test_no_steps_no_batch_and_half_precision():
    attention = IntraDecoderAttention(DIM)
    for batch, steps in ((0, 3), (2, 0), (2, 1)):
        assert not attention(torch.ones(batch, steps, DIM)).context.any()
    assert attention.half()(1e3 * torch.ones(2, 3, DIM).half()).context.isfinite().all()


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
    with pytest.raises(ValueError, match=r"query has 4 features; GeneralScore expected 3\."):
        attention(torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match=r"mask is float32; a mask is boolean"):
        attention(torch.zeros(2, 5, 3), torch.ones(2, 1, 5))
