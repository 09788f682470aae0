"""Fused attention: masks, shapes, types, weights, against the formula in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from heedful.functional import additive_attention, additive_scores
from heedful.kernels.additive import chunked, cpu
from tests.kernels import oracle
from tests.kernels.oracle import largest, leaves
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("path")

SIZES = [(2, 3, 5, 7, 4), (3, 1, 7, 5, 2), (2, 20, 11, 80, 33), (1, 1, 1, 1, 1), (2, 5, 37, 16, 64)]
EMPTY = [(0, 2, 3, 5, 4), (2, 0, 3, 5, 4), (2, 3, 0, 5, 4), (2, 3, 5, 0, 4), (2, 3, 5, 7, 0), (2, 1, 0, 5, 4)]


def inputs(batch, queries, keys, units, value_dim, dtype=torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shapes = (batch, queries, units), (batch, keys, units), (batch, keys, value_dim), (units,)
    return tuple(torch.randn(*shape, dtype=dtype) for shape in shapes)  # pyright: ignore[reportReturnType]: four


def masks(batch, queries, keys) -> dict[str, Tensor | None]:
    lengths = torch.arange(batch) % max(keys, 1) + 1
    return {
        "none": None,
        "padding": torch.arange(keys) < lengths.view(-1, 1, 1),
        "ragged": torch.rand(batch, queries, keys) < 0.5,
        "causal": torch.ones(1, queries, keys, dtype=torch.bool).tril(keys - queries),
        "shared": torch.rand(1, 1, keys) < 0.7,
        "all hidden": torch.zeros(batch, 1, keys, dtype=torch.bool),
    }


def check(tensors: tuple[Tensor, ...], mask: Tensor | None) -> None:
    own, exact = leaves(*tensors), leaves(*tensors, dtype=torch.float64)
    context, weights = additive_attention(*own, mask, need_weights=True)
    expected = oracle.attention(*exact, mask)
    assert_close(context, expected[0])
    assert_close(weights, expected[1])
    flows = [torch.randn_like(context), torch.randn_like(weights)]
    found = oracle.gradients((context, weights), own, flows)
    for gradient, wanted in zip(found, oracle.gradients(expected, exact, flows), strict=True):
        assert_close(gradient, wanted)
    plain = additive_attention(*own, mask)
    assert_close(plain, context)
    exact = leaves(*tensors, dtype=torch.float64)
    expected = oracle.gradients(oracle.attention(*exact, mask)[0], exact, flows[:1])
    for gradient, wanted in zip(oracle.gradients(plain, own, flows[:1]), expected, strict=True):
        assert_close(gradient, wanted)


@pytest.mark.parametrize("mask", ["none", "padding", "ragged", "causal", "shared", "all hidden"])
@pytest.mark.parametrize("sizes", SIZES)
def test_context_weights_and_gradients(sizes, mask):
    check(inputs(*sizes), masks(*sizes[:3])[mask])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", EMPTY)
def test_empty_axes(sizes, dtype):
    check(inputs(*sizes, dtype=dtype), None)
    own = leaves(*inputs(*sizes, dtype=dtype))
    scores = additive_scores(own[0], own[1], own[3])
    assert scores.shape == (sizes[0], sizes[1], sizes[2])
    assert all(torch.isfinite(found).all() for found in torch.autograd.grad(scores.sum(), (own[0], own[1], own[3])))


@pytest.mark.parametrize("mask", ["none", "padding", "ragged"])
@pytest.mark.parametrize("queries", [1, 4])
def test_gradcheck_in_float64(queries, mask):
    query, key, value, energy = leaves(*inputs(2, queries, 5, 3, 2, dtype=torch.float64))
    chosen = masks(2, queries, 5)[mask]

    def run(*tensors):
        return additive_attention(*tensors, chosen, need_weights=True)

    assert torch.autograd.gradcheck(run, (query, key, value, energy))
    assert torch.autograd.gradcheck(additive_scores, (query, key, energy))


@pytest.mark.parametrize("filling", [torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
@pytest.mark.parametrize("queries", [1, 5, 20])
def test_what_nobody_may_see_has_no_influence(queries, filling):
    query, key, value, energy = inputs(3, queries, 7, 5, 4)
    mask = masks(3, queries, 7)["padding"]
    hidden = ~mask.expand(3, 1, 7).squeeze(1)
    key[hidden], value[hidden] = 0.0, 0.0
    dirty = key.clone(), value.clone()
    dirty[0][hidden], dirty[1][hidden] = filling, filling
    flow = torch.randn(3, queries, 4)
    clean_inputs, dirty_inputs = leaves(query, key, value, energy), leaves(query, *dirty, energy)
    clean, found = (additive_attention(*tensors, mask) for tensors in (clean_inputs, dirty_inputs))
    assert_close(found, clean)
    gradients = torch.autograd.grad(found, dirty_inputs, flow)
    for gradient, wanted in zip(gradients, torch.autograd.grad(clean, clean_inputs, flow), strict=True):
        assert_close(gradient, wanted)
    assert not gradients[1][hidden].any()
    assert not gradients[2][hidden].any()


def test_a_batch_item_that_sees_nothing_is_zero_with_zero_gradient():
    mask = torch.ones(3, 1, 7, dtype=torch.bool)
    mask[1] = False
    own = leaves(*inputs(3, 5, 7, 16, 4))
    context, weights = additive_attention(*own, mask, need_weights=True)
    assert not context[1].any()
    assert not weights[1].any()
    query, key, value, _ = torch.autograd.grad(context.square().sum() + weights.square().sum(), own)
    assert not any(gradient[1].any() for gradient in (query, key, value))
    assert all(gradient[0].any() for gradient in (query, key, value))


def test_a_key_hidden_from_some_queries_may_hold_any_finite_number():
    query, key, value, energy = inputs(1, 6, 6, 5, 4)
    key[0, 5] = 1e30
    check((query, key, value, energy), torch.ones(1, 6, 6, dtype=torch.bool).tril())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("queries", [1, 5])
def test_half_precision_is_computed_in_float32(dtype, queries):
    tensors = inputs(2, queries, 7, 5, 4, dtype=dtype)
    found, weights = additive_attention(*tensors, need_weights=True)
    assert found.dtype == weights.dtype == dtype
    wide = additive_attention(*(tensor.float() for tensor in tensors))
    assert torch.equal(found, wide.to(dtype))
    scores = additive_scores(tensors[0], tensors[1], tensors[3])
    assert scores.dtype == dtype
    assert torch.equal(scores, additive_scores(*(tensors[i].float() for i in (0, 1, 3))).to(dtype))
    own = leaves(*tensors)
    assert all(g.dtype == dtype for g in torch.autograd.grad(additive_attention(*own).float().sum(), own))


def test_a_projection_in_half_with_an_energy_in_float32():
    query, key, value, energy = inputs(2, 5, 7, 16, 4)
    own = leaves(query.bfloat16(), key.bfloat16(), value, energy)
    context = additive_attention(*own)
    assert context.dtype == torch.float32
    gradients = torch.autograd.grad(context.sum(), own)
    assert [g.dtype for g in gradients] == [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32]


def test_inputs_need_not_be_contiguous():
    query, key, value, energy = inputs(2, 5, 7, 16, 4)
    expected = additive_attention(query, key, value, energy)
    strided = [tensor.transpose(0, 1).contiguous().transpose(0, 1) for tensor in (query, key, value)]
    assert not strided[0].is_contiguous()
    wide_energy = torch.stack([energy, energy], 1)[:, 0]
    assert_close(additive_attention(*strided, wide_energy), expected)
    own = leaves(query, key, value, energy)
    flow = torch.randn(2, 4, 5).transpose(1, 2)
    wanted = torch.autograd.grad(additive_attention(*own), own, flow.contiguous())
    given = torch.autograd.grad(additive_attention(*own), own, flow)
    for found, want in zip(given, wanted, strict=True):
        assert_close(found, want)


def test_one_set_of_keys_for_the_whole_batch():
    query, key, value, energy = inputs(4, 5, 7, 16, 4)
    own = leaves(query, key[:1], value[:1], energy)
    shared = own[0], own[1].expand(4, -1, -1), own[2].expand(4, -1, -1), own[3]
    exact = leaves(query, key[:1], value[:1], energy, dtype=torch.float64)
    expected, _ = oracle.attention(exact[0], exact[1].expand(4, -1, -1), exact[2].expand(4, -1, -1), exact[3])
    context = additive_attention(*shared)
    assert_close(context, expected)
    for a, b in zip(torch.autograd.grad(context.sum(), own), torch.autograd.grad(expected.sum(), exact), strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("leading", [(), (2, 3)])
def test_any_number_of_leading_axes(leading):
    query, key = torch.randn(*leading, 5, 8), torch.randn(*leading, 7, 8)
    value, energy, mask = torch.randn(*leading, 7, 4), torch.randn(8), torch.rand(*leading, 5, 7) < 0.6
    context, weights = additive_attention(query, key, value, energy, mask, need_weights=True)
    assert context.shape == (*leading, 5, 4)
    assert weights.shape == additive_scores(query, key, energy).shape == (*leading, 5, 7)
    flat = (tensor.reshape(-1, *tensor.shape[-2:]) for tensor in (query, key, value))
    expected, _ = oracle.attention(*flat, energy, mask.reshape(-1, 5, 7))
    assert_close(context.reshape(-1, 5, 4), expected)


def test_many_blocks_are_one_attention(monkeypatch):
    tensors, mask = inputs(3, 37, 41, 32, 16), masks(3, 37, 41)["ragged"]
    own = leaves(*tensors)
    whole = torch.autograd.grad(additive_attention(*own, mask), own, torch.ones(3, 37, 16))
    monkeypatch.setattr(chunked, "BLOCK", 100)
    monkeypatch.setattr(cpu, "BLOCK", 100)
    blocks = torch.autograd.grad(additive_attention(*own, mask), own, torch.ones(3, 37, 16))
    for found, expected in zip(blocks, whole, strict=True):
        assert_close(found, expected)


def test_the_weights_come_with_the_same_context():
    tensors = inputs(2, 20, 30, 32, 16)
    context, weights = additive_attention(*tensors, need_weights=True)
    assert torch.equal(context, additive_attention(*tensors))
    assert_close(weights.sum(-1), torch.ones(2, 20))


@given(data=st.data(), sizes=st.tuples(*[st.integers(1, 9)] * 3), value_dim=st.integers(1, 20))
def test_any_sizes_and_masks(data, sizes, value_dim):
    batch, queries, keys = sizes
    units = data.draw(st.integers(1, 70))
    pattern = data.draw(st.lists(st.booleans(), min_size=queries * keys, max_size=queries * keys))
    mask = torch.tensor(pattern).view(1, queries, keys)
    tensors = inputs(batch, queries, keys, units, value_dim)
    context, weights = additive_attention(*tensors, mask, need_weights=True)
    expected = oracle.attention(*tensors, mask)
    assert_close(context, expected[0])
    assert_close(weights, expected[1])
    assert largest(weights.sum(-1) - mask.any(-1).float()) < 1e-5


@pytest.mark.messages
def test_units_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"query ends in 5 units, key in 6, energy is \[5\].*Project both"):
        additive_scores(torch.zeros(1, 2, 5), torch.zeros(1, 3, 6), torch.zeros(5))


@pytest.mark.messages
def test_a_mask_of_numbers_is_refused():
    query, key, value, energy = inputs(1, 2, 3, 5, 4)
    with pytest.raises(ValueError, match=r"mask is float32; a mask is boolean.*`mask=numbers > 0`"):
        additive_attention(query, key, value, energy, torch.zeros(1, 2, 3))  # pyright: ignore[reportArgumentType]
