"""Additive attention by sines: off by no more than was asked for, whatever the numbers are."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heedful.functional import additive_attention, additive_scores, remember_keys, remember_values
from heedful.functional.harmonic import FARTHEST, LEAST, sine_terms, tanh_sines
from tests.tolerances import assert_close


def exact(query, key, energy):
    """energy . tanh(query + key) in float64."""
    return torch.tanh(query.double()[..., :, None, :] + key.double()[..., None, :, :]) @ energy.double()


def error(query, key, energy, tolerance):
    """Largest error of a score, in units of sum |energy|."""
    found = additive_scores(query, key, energy, method="harmonic", tolerance=tolerance)
    assert found.dtype == query.dtype
    return ((found.double() - exact(query, key, energy)).abs().max() / energy.double().abs().sum()).item()


@given(
    st.lists(st.floats(0, FARTHEST), min_size=1, max_size=5),
    st.floats(math.log(1e-12), math.log(0.9)).map(math.exp),
)
@example([0.19200000166893005], 0.003479977462601594)
@example([0.3160000145435333], 0.005553780302219849)
def test_the_sum_of_sines_is_tanh_within_the_tolerance(reaches, tolerance):
    counts, steps = tanh_sines(torch.tensor(reaches, dtype=torch.float64), tolerance)
    for reach, count, step in zip(reaches, counts.tolist(), steps.split(1), strict=True):
        frequency, weight = sine_terms(step, count)
        x = torch.linspace(-reach, reach, 2001, dtype=torch.float64)
        found = torch.sin(x[:, None] * frequency) @ weight[0]
        assert (found - torch.tanh(x)).abs().max() <= tolerance + 1e-14


def test_more_range_and_less_error_ask_for_more_sines():
    reaches = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    counts = torch.stack([tanh_sines(reaches, tolerance)[0] for tolerance in (0.1, 1e-2, 1e-4, 1e-8)])
    assert (counts.diff(dim=0) >= 0).all()
    assert (counts.diff(dim=1) >= 0).all()
    assert counts[1].tolist() == [1, 2, 3, 3, 4, 6, 10]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(-3, 3).map(lambda power: 10**power),
    shift=st.sampled_from([0.0, 3.0, -40.0, 1e4]),
    tolerance=st.floats(-4, -0.1).map(lambda power: 10**power),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_every_score_is_within_the_tolerance(seed, scale, shift, tolerance, dtype):
    torch.manual_seed(seed)
    tolerance = max(tolerance, LEAST[dtype])
    # units from narrow to wide, so that some are taken exactly; exact numbers, so that float64 sees the same
    widths = scale * torch.logspace(-1, 1, 7)
    query, key = torch.randn(2, 3, 7) * widths + shift, torch.randn(2, 5, 7) * widths - shift
    energy = torch.randn(7)
    assert error(query.to(dtype), key.to(dtype), energy.to(dtype), tolerance) <= tolerance


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    query, key, energy = (torch.randn(*shape).to(dtype) for shape in ((2, 3, 7), (2, 5, 7), (7,)))
    found = additive_scores(query, key, energy, method="harmonic", tolerance=1e-4)
    assert found.dtype == dtype
    assert_close(found, exact(query, key, energy))
    own = (query, remember_keys(key), remember_values(key), energy)
    context, weights = additive_attention(*own, need_weights=True, method="harmonic")
    assert context.dtype == weights.dtype == additive_attention(*own, method="harmonic").dtype == dtype


def test_many_units_round_to_less_than_a_tenth_of_the_least_tolerance():
    query, key, energy = torch.randn(1, 64, 512) * 2, torch.randn(1, 64, 512) * 2, torch.randn(512)
    wide = [part.double() for part in (query, key, energy)]
    fine, coarse = (
        additive_scores(*given, method="harmonic", tolerance=1e-4) for given in (wide, [query, key, energy])
    )
    assert (coarse.double() - fine).abs().max() <= 1e-5 * energy.abs().sum()


def test_gradients_are_those_of_the_sines():
    query, key = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    value, energy = torch.randn(2, 5, 6, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    key[..., 0] *= 40  # taken exactly
    own = [part.requires_grad_() for part in (query, key, value, energy)]
    mask = torch.rand(2, 3, 5) < 0.7
    results = []
    for method in ("harmonic", "exact"):
        context, weights = additive_attention(*own, mask, need_weights=True, method=method, tolerance=1e-10)
        grads = torch.autograd.grad(context.square().sum() + weights.square().sum(), own)
        results.append((context, weights, *grads))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=0)


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("remembered", [False, True])
def test_attention_hides_what_is_hidden(far, remembered):
    query, key, value, energy = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 6), torch.randn(4)
    if far:
        key[..., 1] *= 100
    seen = torch.tensor([[True, True, False, True, False], [False] * 5])[:, None]
    contexts = []
    for filler in (0.0, torch.nan, torch.inf, 1e30):
        for tensor in (key, value):
            tensor[~seen[:, 0]] = filler
        own = [part.clone().requires_grad_() for part in (query, key, value, energy)]
        given = [own[0], remember_keys(own[1]) if remembered else own[1], *own[2:]]
        context = additive_attention(*given, seen, method="harmonic")
        torch.testing.assert_close(context, additive_attention(*given, seen), atol=0.02, rtol=0)
        again, weights = additive_attention(*given, seen, need_weights=True, method="harmonic")
        torch.testing.assert_close(again, context)
        assert not weights[~seen.expand_as(weights)].any()
        grads = torch.autograd.grad(context.square().sum(), own)
        assert not grads[1][~seen[:, 0]].any()
        contexts.append((context, *grads))
    assert not contexts[0][0][1].any()
    for other in contexts[1:]:
        for ours, first in zip(other, contexts[0], strict=True):
            assert ours.equal(first)
    torch.testing.assert_close(
        contexts[0][0],
        additive_attention(query, key.nan_to_num(0, 0, 0), value.nan_to_num(0, 0, 0), energy, seen),
        atol=5e-2,
        rtol=0,
    )


def test_a_query_that_is_no_number_spoils_its_own_row_alone():
    query, key, energy = torch.randn(1, 3, 4), torch.randn(1, 5, 4), torch.randn(4)
    before = additive_scores(query, key, energy, method="harmonic", tolerance=1e-4)
    query[0, 1, 2] = torch.nan
    found = additive_scores(query, key, energy, method="harmonic", tolerance=1e-4)
    assert found[0, 1].isnan().all()
    bound = 2e-4 * energy.abs().sum().item()
    torch.testing.assert_close(found[0, ::2], before[0, ::2], atol=bound, rtol=0)


def test_leading_axes_nothing_at_all_and_graphs():
    query, key, value = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 6, 5), torch.randn(2, 3, 6, 7)
    energy, mask = torch.randn(5), torch.rand(2, 1, 4, 6) < 0.8
    found = additive_attention(query, key, value, energy, mask, method="harmonic", tolerance=1e-4)
    torch.testing.assert_close(found, additive_attention(query, key, value, energy, mask), atol=1e-2, rtol=0)
    assert_close(additive_scores(query, key, energy), exact(query, key, energy).float())
    empty = additive_attention(query[:0], key[:0], value[:0], energy, method="harmonic")
    assert empty.shape == (0, 3, 4, 7)
    assert additive_attention(query[:, :, :0], key, value, energy, method="harmonic").shape == (2, 3, 0, 7)
    nothing = additive_attention(query, key[:, :, :0], value[:, :, :0], energy, method="harmonic")
    assert not nothing.any()
    over = torch.func.vmap(lambda one: additive_scores(one, key[0], energy, method="harmonic"))(query)
    assert_close(over[1], additive_scores(query[1], key[0], energy))


@pytest.mark.messages
def test_a_method_or_tolerance_that_is_none_is_refused():
    given = torch.ones(1, 2, 3), torch.ones(1, 4, 3), torch.ones(3)
    for call in (additive_scores, lambda q, k, e, **how: additive_attention(q, k, k, e, **how)):
        with pytest.raises(ValueError, match="method is 'fourier'; expected one of 'exact', 'harmonic'"):
            call(*given, method="fourier")
        for tolerance in (0.0, 1e-5, 1.0, math.nan):
            message = rf"tolerance is {tolerance}; expected a number from 0.0001 to below 1 for float32\. .*exact"
            with pytest.raises(ValueError, match=message):
                call(*given, method="harmonic", tolerance=tolerance)
        call(*(part.double() for part in given), method="harmonic", tolerance=1e-5)
