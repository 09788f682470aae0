"""Few elements, or hardly a key: the plain formula is taken, and nobody can tell but by the clock."""

import pytest
import torch

from heedful.functional import additive_attention
from heedful.kernels.additive import op, plan, reference
from tests.kernels import oracle
from tests.tolerances import assert_close


@pytest.fixture(autouse=True, scope="module")
def _no_call_is_too_small():
    """Here they are."""


@pytest.fixture
def plain(monkeypatch):
    """How often the plain formula was taken."""
    calls = []

    def counted(*given):
        calls.append(given)
        return formula(*given)

    formula = reference.small_attention
    monkeypatch.setattr(reference, "small_attention", counted)
    return calls


def tensors(batch, queries, keys, units, dtype=torch.float32):
    shapes = (batch, queries, units), (batch, keys, units), (batch, keys, 3), (units,)
    return [torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in shapes]


SMALL = [(1, 1, 1, 16), (2, 3, 5, 7), (1, 16, 16, 16), (9, 8, 1, 300), (40, 3, 2, 65), (2, 5, 7, 0)]


@pytest.mark.parametrize("sizes", SMALL)
def test_the_plain_formula_is_taken_and_right(sizes, plain):
    own = tensors(*sizes)
    exact = oracle.leaves(*own, dtype=torch.float64)
    context, weights = additive_attention(*own, need_weights=True)
    expected, expected_weights = oracle.attention(*exact)
    assert_close(context, expected)
    assert_close(weights, expected_weights)
    flow = torch.randn_like(context)
    for found, wanted in zip(
        torch.autograd.grad(context, own, flow), torch.autograd.grad(expected, exact, flow.double()), strict=True
    ):
        assert_close(found, wanted)
    assert len(plain) == 1


@pytest.mark.parametrize("sizes", [(1, 16, 17, 16), (2, 64, 64, 64)])
def test_beyond_that_it_is_not(sizes, plain):
    additive_attention(*tensors(*sizes))
    assert not plain


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", [(2, 1, 5, 7), (1, 8, 8, 16), (2, 3, 5, 7), (3, 50, 7, 15)])
def test_without_gradient_the_kernel_takes_little_without_factors(sizes, masked, plain):
    own = [tensor.detach() * 9 for tensor in tensors(*sizes)]
    mask = torch.rand(sizes[:3]) < 0.7 if masked else None
    assert plan.plan(*own[:2], own[3], None).product is None
    context, weights = additive_attention(*own, mask, need_weights=True)
    expected, expected_weights = oracle.attention(*own, mask)
    assert_close(context, expected)
    assert_close(weights, expected_weights)
    assert not plain


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype, plain):
    own = [tensor.detach().to(dtype) for tensor in tensors(2, 3, 5, 7)]
    found = additive_attention(*own)
    assert not plain
    wide = additive_attention(*(tensor.float() for tensor in own))
    assert torch.equal(found, wide.to(dtype))


def test_autocast_and_masks_stay_with_the_kernels(plain):
    own = tensors(2, 3, 5, 7)
    with torch.autocast("cpu", torch.bfloat16):
        inside = additive_attention(*own)
    additive_attention(*own, torch.ones(2, 3, 5, dtype=torch.bool))
    assert not plain
    assert_close(inside, additive_attention(*own))


def test_both_ways_agree(monkeypatch):
    own = tensors(2, 3, 5, 7, torch.float64)
    small = additive_attention(*own)
    monkeypatch.setattr(op, "_is_small", lambda *_: False)
    assert_close(small, additive_attention(*own))


@pytest.mark.parametrize("sizes", [(1, 1, 1, 16), (9, 8, 1, 300), (3, 1, 1, 5)])
def test_the_only_key_is_read_whole(sizes):
    own = tensors(*sizes)
    exact = oracle.leaves(*own, dtype=torch.float64)
    context = additive_attention(*own)
    expected, _ = oracle.attention(*exact)
    assert torch.equal(context, own[2].expand_as(context))
    flow = torch.randn_like(context)
    for found, wanted in zip(
        torch.autograd.grad(context, own, flow), torch.autograd.grad(expected, exact, flow.double()), strict=True
    ):
        assert_close(found, wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", range(4))
def test_the_only_key_shows_what_is_no_number(which, dtype):
    own = [tensor.detach() for tensor in tensors(3, 2, 1, 5, dtype)]
    own[which].view(-1)[0] = torch.nan
    expected, _ = oracle.attention(*own)
    assert torch.equal(additive_attention(*own).isnan(), expected.isnan())


def test_the_only_key_may_be_huge_and_its_value_infinite():
    query, key, value, energy = (tensor.detach() for tensor in tensors(2, 1, 1, 5))
    value[0, 0, 0] = torch.inf
    assert torch.equal(additive_attention(query * 3e38, key * 3e38, value, energy), value)
