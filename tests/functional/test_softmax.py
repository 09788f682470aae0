"""Softmax over what may be seen, against torch's softmax of the visible slice."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.functional import masked_softmax, widen
from tests.tolerances import assert_close


@given(st.integers(0, 4), st.integers(0, 6), st.sampled_from([1.0, 30.0, 1e4, 1e300]), st.booleans())
def test_each_row_is_the_softmax_of_its_visible_scores(queries, keys, size, wholly_visible):
    scores = torch.randn(2, queries, keys, dtype=torch.float64) * size
    mask = torch.rand(2, queries, keys) > (0.0 if wholly_visible else 0.5)
    weights = masked_softmax(scores.masked_fill(~mask, torch.nan), mask)
    for row, visible, weight in zip(scores.flatten(0, 1), mask.flatten(0, 1), weights.flatten(0, 1), strict=True):
        assert_close(weight[visible], torch.softmax(row[visible], 0))
        assert not weight[~visible].any()


def test_without_a_mask_it_is_the_softmax():
    scores = torch.randn(2, 3, 5, dtype=torch.float64)
    assert_close(masked_softmax(scores), torch.softmax(scores, -1))


def test_heads_and_more_axes_stay_in_front():
    scores, mask = torch.randn(2, 7, 3, 5, dtype=torch.float64), torch.rand(2, 1, 3, 5) > 0.3
    weights = masked_softmax(scores, mask)
    for head in range(7):
        assert_close(weights[:, head], masked_softmax(scores[:, head], mask[:, 0]))


@pytest.mark.parametrize("mask", [None, torch.tensor([[[True], [False], [True]]])], ids=["none", "a row"])
def test_a_score_of_minus_infinity_hides_its_key(mask):
    scores = torch.tensor([[[0.0, -torch.inf, 1.0], [0.0, 1.0, 2.0], [-torch.inf] * 3]], requires_grad=True)
    weights = masked_softmax(scores, mask)
    assert weights[0, 0, 1] == 0
    assert not weights[0, 2].any()
    assert_close(weights.sum(-1), torch.tensor([[1.0, 1.0 if mask is None else 0.0, 0.0]]))
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert gradient.isfinite().all()
    assert not gradient[0, 2].any()
    assert gradient[0, 0, 1] == 0


def test_gradients_are_those_of_finite_differences_and_none_reach_what_is_hidden():
    scores = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(2, 3, 5) > 0.4
    mask[1, 2] = False
    assert torch.autograd.gradcheck(masked_softmax, (scores, mask))
    assert torch.autograd.gradgradcheck(masked_softmax, (scores, mask))
    (gradient,) = torch.autograd.grad(masked_softmax(scores, mask).square().sum(), scores)
    assert not gradient[~mask].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_half_precision_is_summed_in_float32(dtype):
    scores, mask = torch.randn(2, 3, 3000).to(dtype), torch.rand(2, 3, 3000) > 0.2
    weights = masked_softmax(scores, mask)
    assert weights.dtype == dtype
    assert_close(weights, masked_softmax(scores.double(), mask))
    assert_close(weights.double().sum(-1), torch.ones(2, 3), torch.float16 if dtype != torch.bfloat16 else dtype)


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
    ids=str,
)
def test_only_half_precision_is_widened(dtype, wide):
    tensor = torch.randn(3, dtype=dtype)
    assert widen(tensor).dtype == wide
    assert widen(tensor).equal(tensor.to(wide))
    assert (widen(tensor) is tensor) == (dtype == wide)
