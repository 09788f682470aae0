"""Single and half precision: within the one table of tolerances of the same numbers in float64."""

import copy

import pytest
import torch

from heedful.attention import Attention
from heedful.attention.scores import DotScore
from tests.attention.cases import draw, each_case, each_of_few, gradients, some_mask, weights_of
from tests.tolerances import assert_close

HALF = (torch.bfloat16, torch.float16)
each_half = pytest.mark.parametrize("dtype", HALF, ids=str)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, *HALF], ids=str)


def wide(tensors):
    return tuple(tensor.detach().double().requires_grad_() for tensor in tensors)


@each_case
@each_dtype
def test_context_and_weights_are_those_of_float64(case, dtype):
    attention = case.compose().to(dtype)
    reference = copy.deepcopy(attention).double()
    arguments, mask = draw(attention, dtype=dtype), some_mask()
    expected = reference(*wide(arguments), mask, need_weights=True)
    for need_weights in (False, True):
        output = attention(*arguments, mask, need_weights)
        assert output.context.dtype == dtype
        assert_close(output.context, expected.context)
    weights = weights_of(output)
    assert weights.dtype == dtype
    assert_close(weights, weights_of(expected))


@each_of_few
def test_a_step_in_half_precision_gives_half_precision(case):
    attention = case.compose().bfloat16()
    query, key, value = draw(attention, dtype=torch.bfloat16)
    memory = attention.remember(key, value)
    for need_weights in (False, True):
        output, _ = attention.step(query[:, :1], memory, need_weights=need_weights)
        assert output.context.dtype == torch.bfloat16
    assert weights_of(output).dtype == torch.bfloat16


@each_of_few
def test_gradients_in_float32_are_those_of_float64(case):
    attention = case.compose()
    reference = copy.deepcopy(attention).double()
    arguments, mask = draw(attention, dtype=torch.float32), some_mask()
    copies = wide(arguments)
    expected = gradients(reference(*copies, mask).context, *copies, *reference.parameters())
    for need_weights in (False, True):
        context = attention(*arguments, mask, need_weights).context
        actual = gradients(context, *arguments, *attention.parameters())
        for ours, theirs in zip(actual, expected, strict=True):
            assert_close(ours, theirs)


@each_of_few
@each_half
def test_scores_beyond_the_range_of_half_precision_stay_finite(case, dtype):
    attention = case.compose().to(dtype)
    arguments, mask = draw(attention, dtype=dtype), some_mask()
    with torch.no_grad():
        arguments[0].mul_(300)
        arguments[1].mul_(300)
    for need_weights in (False, True):
        output = attention(*arguments, mask, need_weights)
        assert output.context.isfinite().all()
        assert all(each.isfinite().all() for each in gradients(output.context, *arguments))
    total = weights_of(output).sum(-1)
    assert not case.distribution or assert_close(total, (total > 0).double(), dtype) is None


@each_half
@pytest.mark.parametrize("size", [100.0, 1000.0])
def test_close_scores_that_are_large_are_told_apart(dtype, size):
    """1e4 and 1e4 + 1 are one number in float16, 1e6 is none."""
    query = torch.tensor([[[size, 1.0]]], dtype=dtype)
    key = torch.tensor([[[size, 0.0], [size, 1.0]]], dtype=dtype)
    value = torch.tensor([[[0.0], [1.0]]], dtype=dtype)
    expected = torch.sigmoid(torch.tensor(1.0))
    for need_weights in (False, True):
        context = Attention(DotScore(2))(query, key, value, need_weights=need_weights).context
        assert_close(context.flatten()[0], expected, dtype)


@each_of_few
def test_mixed_precision_stays_near(case):
    attention = case.compose()
    arguments, mask = draw(attention, dtype=torch.float32), some_mask()
    expected = attention(*arguments, mask).context
    for need_weights in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            context = attention(*arguments, mask, need_weights).context
        assert_close(context, expected, torch.bfloat16)
        assert all(each.isfinite().all() for each in gradients(context, *arguments, *attention.parameters()))
