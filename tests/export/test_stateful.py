"""Attention whose looks depend on the looks before: its first state is there before them, and a graph steps on."""

import copy

import pytest
import torch
from torch import nn
from torch.export import Dim

from heedful.attention import Attention, MultiHeadAttention
from heedful.attention.normalizers import ConstrainedSoftmaxNormalizer, ForwardNormalizer, StepwiseNormalizer
from heedful.attention.scores import AdditiveScore, CoverageScore, SoftcapScore
from heedful.attention.windows import (
    AndWindow,
    AttentionWindow,
    LocalMonotonicWindow,
    LocalPredictiveWindow,
    WaitKWindow,
)
from heedful.export.deferred_state import defer_first_state
from heedful.export.recurrent import scanned
from heedful.export.trees import Plain, filled, named, quiet, structure
from heedful.functional import padding_mask
from heedful.tasks.build import MECHANISMS
from tests.export.small import shake, small_model, tokenizer_pair
from tests.tolerances import assert_close

ROWS = {
    **{name: make for name, make in MECHANISMS.items() if getattr(make(4, 6, 5), "stateful", False)},
    "budgets": lambda *_: Attention(AdditiveScore(4, 6, 5), normalizer=ConstrainedSoftmaxNormalizer(sink=True)),
    "soft cap": lambda *_: Attention(SoftcapScore(CoverageScore(4, 6, 5))),
    "window": lambda *_: Attention(AdditiveScore(4, 6, 5), AndWindow(WaitKWindow(2), AttentionWindow(1, 1))),
    "heads": lambda *_: MultiHeadAttention(4, 2, key_dim=6, attention=Attention(CoverageScore(2, 2, 5))),
}


class Step(nn.Module):
    """A look whose state and memory are plain tensors."""

    def __init__(self, attention, state, memory):
        super().__init__()
        self.attention, self.state, self.memory = attention, structure(state), structure(memory)

    def forward(self, query, state, memory):
        output, after = self.attention.step(query, filled(self.memory, memory), filled(self.state, state), True)
        return output.context, output.weights, named(after)


def remembered(attention, batch, keys):
    """A memory whose first items are padded, each differently."""
    lengths = keys - torch.arange(batch) % keys
    key = torch.randn(batch, keys, 6, dtype=next(attention.parameters()).dtype)
    with Plain():
        return attention.remember(key, mask=padding_mask(lengths, keys))


@pytest.mark.parametrize("name", ROWS)
@torch.no_grad()
def test_steps_from_the_first_state_are_those_without_one(name):
    attention = shake(ROWS[name](4, 6, 5)).double()
    memory = remembered(attention, 3, 7)
    state, begun = None, attention.start(memory)
    for query in torch.randn(5, 3, 1, 4).double():
        # kernels would be compiled first
        with Plain():
            expected, state = attention.step(query, memory, state, need_weights=True)
            found, begun = attention.step(query, memory, begun, need_weights=True)
        assert_close(found.weights, expected.weights)
        assert_close(found.context, expected.context)
    for ours, theirs in zip(named(begun).items(), named(state).items(), strict=True):
        assert ours[0] == theirs[0]
        assert_close(ours[1], theirs[1], torch.float64)


# a graph takes a second to make; others are checked as parts of models
@pytest.mark.compile
@pytest.mark.parametrize("name", ["dynamic_convolution", "forward_transition", "milk", "neural_coverage", "heads"])
@torch.no_grad()
def test_a_graph_steps_from_the_first_state_as_attention_does_without_one(name):
    attention = shake(ROWS[name](4, 6, 5))
    memory = remembered(attention, 2, 5)
    state = attention.start(memory)
    given = torch.randn(2, 1, 4), named(state), named(memory)
    axes = [{key: dict.fromkeys(sizes(one), Dim.AUTO) for key, one in tree.items()} for tree in given[1:]]
    with quiet():
        graph = torch.export.export(
            Step(attention, state, memory), given, dynamic_shapes=({0: Dim.AUTO}, *axes), strict=False
        ).module()
    for batch, keys in ((3, 7), (1, 2), (4, 70)):
        memory = remembered(attention, batch, keys)
        own, begun = None, named(attention.start(memory))
        for query in torch.randn(5, batch, 1, 4):
            with Plain():
                expected, own = attention.step(query, memory, own, need_weights=True)
            context, weights, begun = graph(query, begun, named(memory))
            assert_close(context, expected.context)
            assert_close(weights, expected.weights)


def sizes(tensor):
    """The axes of a tensor of the example that count items or keys."""
    return [axis for axis, size in enumerate(tensor.shape) if (size == 5 and axis) or axis == 0]


@pytest.mark.parametrize("normalizer", [ForwardNormalizer, StepwiseNormalizer, ConstrainedSoftmaxNormalizer])
@torch.no_grad()
def test_what_a_window_decides_is_known_at_the_first_query(normalizer):
    # where the first query looks is predicted from it
    look = shake(Attention(AdditiveScore(4, 6, 5), LocalPredictiveWindow(4, half_width=1), normalizer())).double()
    late = copy.deepcopy(look)
    defer_first_state(late)
    memory = remembered(look, 3, 7)
    state, begun = None, late.start(memory)
    for query in 3 * torch.randn(5, 3, 1, 4).double():
        expected, state = look.step(query, memory, state, need_weights=True)
        found, begun = late.step(query, memory, begun, need_weights=True)
        assert_close(found.weights, expected.weights)


def test_a_first_state_that_a_window_decides_is_refused():
    look = Attention(AdditiveScore(4, 6, 5), LocalMonotonicWindow(2), ForwardNormalizer())
    with pytest.raises(ValueError, match="depends on LocalMonotonicWindow; leave the state out at the first step"):
        look.start(look.remember(torch.ones(2, 3, 6)))


@pytest.mark.compile
@torch.no_grad()
def test_a_graph_of_an_encoder_looks_step_after_step():
    looks = {"score": "coverage", "window": {"name": "sliding", "left": 2, "right": 1}, "normalizer": "stepwise"}
    model = small_model(tokenizer_pair(), transformer={"encoder_self": looks})
    defer_first_state(model)
    given = torch.full((2, 5), 4), torch.tensor([5, 3])
    axes = {0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO}
    with quiet():
        graph = torch.export.export(scanned(model.encoder), given, dynamic_shapes=axes, strict=False).module()
    for batch, steps in ((3, 7), (1, 1), (4, 20)):
        source, lengths = torch.randint(4, 30, (batch, steps)), steps - torch.arange(batch) % steps
        expected, found = model.encoder(source, lengths), graph(source, lengths)
        assert_close(found.outputs, expected.outputs)
        assert_close(found.summary, expected.summary)
