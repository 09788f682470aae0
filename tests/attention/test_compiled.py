"""torch.compile in one graph and torch.export, from the same rows: pytest -m compile --jaxtyping-packages="""

import itertools

import pytest
import torch
from torch import nn
from torch.export import Dim

from tests.attention.cases import FEW_CASES, draw, each_of_few, gradients, some_mask
from tests.attention.rows import KEYS, QUERIES
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

MASK = torch.tensor([[[True, True, False, True, True]], [[False, True, True, True, False]]])

# an operator of torch, one of ours, and no fused operator
MACHINE_CODE = [FEW_CASES[0], next(case for case in FEW_CASES if "Additive" in str(case)), FEW_CASES[-1]]


def asked_for_weights(first: int):
    """Each case once, every other one asked for its weights: graphs take seconds."""
    return pytest.mark.parametrize(
        ("case", "need_weights"),
        [
            pytest.param(case, weights, id=f"{case}-{'weights' if weights else 'fused'}")
            for case, weights in zip(FEW_CASES, itertools.cycle((first == 0, first == 1)), strict=False)
        ],
    )


@asked_for_weights(0)
def test_compiled_in_one_graph(case, need_weights):
    attention = case.build()
    arguments, mask = draw(attention), some_mask()
    leaves = (*arguments, *attention.parameters())
    eager = attention(*arguments, mask, need_weights)
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments, mask, need_weights)
    assert_close(compiled.context, eager.context)
    assert not need_weights or assert_close(compiled.weights, eager.weights) is None
    for actual, expected in zip(gradients(compiled.context, *leaves), gradients(eager.context, *leaves), strict=True):
        assert_close(actual, expected)


# torch's own inductor still defines script methods when it is first imported
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("case", MACHINE_CODE, ids=str)
def test_compiled_to_machine_code(case):
    attention = case.build(torch.float32)
    arguments, mask = draw(attention, dtype=torch.float32), some_mask()
    leaves = (*arguments, *attention.parameters())
    eager = attention(*arguments, mask).context
    compiled = torch.compile(attention, fullgraph=True)(*arguments, mask).context
    assert_close(compiled, eager)
    for actual, expected in zip(gradients(compiled, *leaves), gradients(eager, *leaves), strict=True):
        assert_close(actual, expected)


class Stepper(nn.Module):
    """A decoder's view: remember, then step with a state that goes in and comes out."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, query, memory, state):
        return self.attention.step(query, memory, state)


@each_of_few
@torch.no_grad()
def test_a_compiled_step_takes_memory_and_state_as_they_are(case):
    attention = case.build()
    query, key, value = draw(attention)
    memory = attention.remember(key, value, MASK)
    step = torch.compile(Stepper(attention), fullgraph=True, backend="aot_eager")
    state = other = attention.begin(memory)
    for index in range(2):
        now = query[:, index : index + 1]
        (expected, state), (actual, other) = attention.step(now, memory, state), step(now, memory, other)
        assert_close(actual.context, expected.context)
        assert other.position.equal(state.position)


@asked_for_weights(1)
def test_exported(case, need_weights):
    """With batch, queries and keys of any size, but for a window that asks which of the two is longer."""
    attention = case.build().eval()
    arguments, mask = tuple(tensor.detach() for tensor in draw(attention)), MASK
    batch, queries, keys = Dim("batch", min=2), Dim("queries", min=2), Dim("keys", min=2)
    free = not case.window.aligned_to_end
    shapes = (
        {0: batch, 1: queries} if free else {0: batch},
        {0: batch, 1: keys} if free else {0: batch},
        {0: batch, 1: keys} if free else {0: batch},
        {0: batch, 2: keys} if free else {0: batch},
        None,
    )
    program = torch.export.export(attention, (*arguments, mask, need_weights), dynamic_shapes=shapes).module()
    for sizes in ((2, QUERIES, KEYS), (3, 4, 6) if free else (3, QUERIES, KEYS)):
        inputs = tuple(tensor.detach() for tensor in draw(attention, *sizes))
        mask = torch.rand(sizes[0], 1, sizes[2]) > 0.3
        mask[0] = False
        expected, actual = attention(*inputs, mask, need_weights), program(*inputs, mask, need_weights)
        assert_close(actual.context, expected.context)
        assert not need_weights or assert_close(actual.weights, expected.weights) is None


@each_of_few
@torch.no_grad()
def test_an_exported_step_takes_memory_and_state_as_they_are(case):
    attention = case.build().eval()
    query, key, value = draw(attention)
    memory = attention.remember(key, value, MASK)
    # some parts have a state from the first step on
    _, state = attention.step(query[:, :1], memory)
    program = torch.export.export(Stepper(attention), (query[:, :1], memory, state)).module()
    for index in (1, 2):
        now = query[:, index : index + 1]
        (expected, after), (actual, state) = attention.step(now, memory, state), program(now, memory, state)
        assert_close(actual.context, expected.context)
        assert after.position.equal(state.position)


def test_an_output_is_taken_apart_in_compiled_code():
    attention = FEW_CASES[0].build()

    def both(*arguments):
        context, weights = attention(*arguments, need_weights=True)
        return context, weights

    arguments = draw(attention)
    compiled = torch.compile(both, fullgraph=True, backend="aot_eager")(*arguments)
    for ours, theirs in zip(compiled, both(*arguments), strict=True):
        assert_close(ours, theirs)
