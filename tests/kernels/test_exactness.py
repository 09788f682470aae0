"""Scores and their gradients against direct tanh in float64, over every range that float32 has."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from heedful.functional import additive_scores
from heedful.kernels.additive import plan
from tests.kernels import oracle
from tests.kernels.oracle import largest, leaves

# Half a unit in the last place of float32 near 1.
U = 2.0**-24
ELEMENT = 5 * U

pytestmark = pytest.mark.usefixtures("path")


def normal(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    return torch.randn(*shape) * scale + shift


def error(query: Tensor, key: Tensor, energy: Tensor) -> float:
    """Largest error of a score, in units of sum|energy|."""
    found = additive_scores(query, key, energy).double()
    return largest(found - oracle.scores(query, key, energy)) / energy.double().abs().sum().item()


def gradient_errors(query: Tensor, key: Tensor, energy: Tensor, flow: Tensor) -> list[float]:
    """Largest error of each gradient, relative to its largest entry."""
    own, exact = leaves(query, key, energy), leaves(query, key, energy, dtype=torch.float64)
    found = oracle.gradients(additive_scores(*own), own, [flow])
    expected = oracle.gradients(oracle.scores(*exact), exact, [flow])
    return [largest(a - b) / max(largest(b), 1e-300) for a, b in zip(found, expected, strict=True)]


@pytest.mark.parametrize("scale", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("units", [1, 7, 16, 64, 100])
def test_ordinary_ranges(scale, units):
    query, key, energy = normal(2, 5, units, scale=scale), normal(2, 7, units, scale=scale), normal(units)
    assert error(query, key, energy) < 4e-7
    assert max(gradient_errors(query, key, energy, normal(2, 5, 7))) < 5e-6


@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e-2, 0.1])
def test_tiny_arguments(scale, queries):
    query, key, energy = normal(2, queries, 64, scale=scale), normal(2, 7, 64, scale=scale), normal(64)
    found = additive_scores(query, key, torch.ones(64)).double()
    assert largest(found - oracle.scores(query, key, torch.ones(64))) < 64 * 3e-7
    *projections, energy_error = gradient_errors(query, key, energy, normal(2, queries, 7))
    assert max(projections) < 1e-6
    assert energy_error < 1e-5


@pytest.mark.parametrize("shift", [5.0, 20.0, 35.0, 60.0, 1000.0, 20_000.0, 1e6])
def test_queries_and_keys_far_apart_cancel(shift):
    # Inputs exact in float32, so that the oracle sees the same numbers.
    query, key = normal(2, 5, 1, shift=shift), normal(2, 7, 1, shift=-shift)
    assert error(query, key, torch.ones(1)) < ELEMENT


def test_queries_and_keys_far_apart_saturate():
    query, key = torch.full((1, 5, 1), 20_000.0), torch.full((1, 7, 1), -15_000.0)
    assert additive_scores(query, key, torch.ones(1)).eq(1).all()
    assert additive_scores(-query, -key, torch.ones(1)).eq(-1).all()


@pytest.mark.parametrize("scale", [0.1, 3.0, 8.0, 100.0, 400.0])
@pytest.mark.parametrize("shift", [0.0, 300.0, 1e4])
def test_float64_by_narrow_and_wide_factors_and_directly(shift, scale):
    query, key = (normal(2, 5, 37).double() * scale + shift, normal(2, 7, 37).double() * scale - shift)
    energy, flow = normal(37).double(), normal(2, 5, 7)
    assert error(query, key, energy) < 1e-15
    assert max(gradient_errors(query, key, energy, flow)) < 1e-13


def test_the_naive_product_of_exponentials_has_no_number_there():
    query, key = torch.tensor(60.0), torch.tensor(-60.0)
    assert torch.isnan(torch.exp(2 * query) * torch.exp(2 * key))
    assert additive_scores(query.view(1, 1, 1), key.view(1, 1, 1), torch.ones(1)).item() == 0.0


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_saturated_units_give_the_sum_of_the_energy(sign):
    query, key, energy = normal(2, 5, 64, shift=1000 * sign), normal(2, 7, 64, shift=1000 * sign), normal(64)
    whole = sign * energy.double().sum().item()
    assert largest(additive_scores(query, key, energy).double() - whole) < 1e-6 * energy.abs().sum()
    own = leaves(query, key, energy)
    grad_query, grad_key, _ = oracle.gradients(additive_scores(*own), own, [torch.ones(2, 5, 7)])
    assert largest(grad_query) <= 7 * 3e-8 * largest(energy)
    assert largest(grad_key) <= 5 * 3e-8 * largest(energy)


@pytest.mark.parametrize("shift", [8.0, 10.0, 15.0, -15.0])
def test_the_slope_far_out_keeps_its_digits(shift):
    query, key, energy = normal(2, 5, 37, shift=shift), normal(2, 7, 37, shift=shift), normal(37)
    flow = normal(2, 5, 7)
    own = leaves(query, key, energy)
    grad_query, grad_key, _ = oracle.gradients(additive_scores(*own), own, [flow])
    # 1 - tanh^2 has no digit left there, not in float64 either
    slope = torch.cosh(query.double()[:, :, None] + key.double()[:, None]) ** -2 * energy * flow[..., None]
    for found, expected in ((grad_query, slope.sum(2)), (grad_key, slope.sum(1))):
        assert largest(found - expected) < 1e-5 * largest(expected)


@pytest.mark.parametrize("queries", [2, 4])
def test_a_channel_with_two_wide_ranges(queries):
    query = torch.tensor([-43.0, 43.0] * (queries // 2)).view(1, queries, 1)
    key = torch.tensor([43.5, -43.2]).view(1, 2, 1)
    found = additive_scores(query, key, torch.ones(1))[0, :2]
    torch.testing.assert_close(found, torch.tensor([[0.4621172, -1.0], [1.0, -0.1973753]]), rtol=0, atol=1e-6)


def test_a_very_wide_range():
    query, key, energy = normal(2, 5, 64, scale=40), normal(2, 7, 64, scale=40), normal(64)
    assert error(query, key, energy) < 4e-7
    assert max(gradient_errors(query, key, energy, normal(2, 5, 7))) < 5e-6


def test_only_a_wild_unit_is_taken_directly():
    query, key = normal(2, 5, 64), normal(2, 7, 64)
    query[1, 2, 11], key[0, 3, 40] = 50.0, -1e30
    found = plan.plan(query, key, torch.ones(64), None)
    columns = None if found.direct is None else found.direct.columns
    assert columns is not None
    assert columns.tolist() == [11, 40]
    assert error(query, key, normal(64)) < 4e-7
    assert max(gradient_errors(query, key, normal(64), normal(2, 5, 7))) < 5e-6


def test_a_wild_unit_costs_no_other_score_its_bits():
    query, key, energy = normal(2, 5, 64), normal(2, 7, 64), normal(64)
    energy[11] = 0.0
    calm = additive_scores(query, key, energy)
    query[..., 11] = 1e6
    assert largest(additive_scores(query, key, energy) - calm) < 4e-7 * energy.abs().sum()


@pytest.mark.parametrize(
    ("query", "key", "expected"),
    [
        (torch.inf, 3.0, 1.0),
        (-torch.inf, 3.0, -1.0),
        (3.0, torch.inf, 1.0),
        (torch.inf, torch.inf, 1.0),
        (torch.inf, -torch.inf, torch.nan),
        (torch.nan, 3.0, torch.nan),
        (3.0, torch.nan, torch.nan),
    ],
)
@pytest.mark.parametrize("queries", [1, 5])
def test_infinity_and_nan_stay_in_their_row(query, key, expected, queries):
    queries_, keys = normal(3, queries, 5), normal(3, 7, 5)
    clean = additive_scores(queries_, keys, torch.ones(5))
    queries_[1, 0, 2], keys[1, 4, 2] = query, key
    found = additive_scores(queries_, keys, torch.ones(5))
    exact = oracle.scores(queries_, keys, torch.ones(5))
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=3e-6, equal_nan=True)
    assert largest(found[0] - clean[0]) < 3e-6
    assert largest(found[2] - clean[2]) < 3e-6
    others = [unit for unit in range(5) if unit != 2]
    rest = torch.tanh(queries_[1, 0, others] + keys[1, 4, others]).sum().item()
    torch.testing.assert_close(found[1, 0, 4].item() - rest, expected, rtol=0, atol=3e-6, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("queries", [1, 5])
def test_a_key_that_is_no_number_leaves_the_gradients_of_the_others(dtype, queries):
    query, key, energy = (normal(*shape).to(dtype) for shape in ((1, queries, 5), (1, 7, 5), (5,)))
    key[0, 3, 2] = torch.nan
    own = leaves(query, key, energy)
    grad_query, grad_key, _ = oracle.gradients(additive_scores(*own), own, [torch.ones(1, queries, 7)])
    assert torch.isnan(grad_key).nonzero().tolist() == [[0, 3, 2]]
    assert torch.isnan(grad_query[0]).any(0).tolist() == [False, False, True, False, False]


def spread(*shape: int, low: float = -30, high: float = 30) -> Tensor:
    magnitude = 10 ** (torch.rand(*shape, dtype=torch.float64) * (high - low) + low)
    return (magnitude * torch.where(torch.rand(*shape) < 0.5, -1, 1)).float()


@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("kind", ["in one unit", "across units", "small units among large"])
def test_magnitudes_from_1e_30_to_1e30(kind, queries):
    query, key, energy = spread(2, queries, 20), spread(2, 7, 20), normal(20)
    if kind != "in one unit":
        scale = 10 ** torch.linspace(-30, 30 if kind == "across units" else 0, 20)
        query, key = normal(2, queries, 20) * scale, normal(2, 7, 20) * scale
    assert error(query, key, energy) < 1e-6
    assert max(gradient_errors(query, key, energy, normal(2, queries, 7))) < 1e-5


@pytest.mark.parametrize("size", [1e-30, 1e10, 1e15, 1e30])
@pytest.mark.parametrize("scale", [1.0, 8.0, 60.0])
@pytest.mark.parametrize("queries", [1, 5])
def test_an_energy_of_any_size(queries, scale, size):
    query, key = normal(2, queries, 80, scale=scale), normal(2, 7, 80, scale=scale)
    energy, flow = normal(80, scale=size), normal(2, queries, 7)
    assert error(query, key, energy) < 1e-6
    assert max(gradient_errors(query, key, energy, flow)) < 1e-5


@pytest.mark.parametrize("flush", [False, True])
def test_denormal_arguments(flush):
    query, key, energy = torch.full((1, 5, 3), 1e-42), torch.full((1, 7, 3), -2e-42), normal(3)
    torch.set_flush_denormal(flush)
    try:
        assert error(query, key, energy) < 4e-7
        assert all(map(torch.isfinite, map(torch.tensor, gradient_errors(query, key, energy, normal(1, 5, 7)))))
    finally:
        torch.set_flush_denormal(False)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
moderate = st.floats(width=32, min_value=-1024, max_value=1024)


@settings(max_examples=100)
@given(data=st.data(), sizes=st.tuples(*[st.integers(1, 5)] * 3), units=st.sampled_from([1, 3, 17]))
def test_any_finite_numbers(data, sizes, units):
    batch, queries, keys = sizes

    def draw(numbers: st.SearchStrategy[float], *shape: int) -> Tensor:
        count = torch.Size(shape).numel()
        return torch.tensor(data.draw(st.lists(numbers, min_size=count, max_size=count))).view(shape)

    query, key = draw(finite, batch, queries, units), draw(finite, batch, keys, units)
    energy, flow = draw(moderate, units), draw(moderate, batch, queries, keys)
    found, exact = additive_scores(query, key, energy).double(), oracle.scores(query, key, energy)
    assert largest(found - exact) <= 1e-6 * energy.double().abs().sum().item() + 1e-37
    own = leaves(query, key, energy)
    gradients = oracle.gradients(additive_scores(*own), own, [flow])
    # Element by element: the slope and the tanh are off by no more than some units in the last place.
    bound = 1e-6 * flow.abs().sum().item() * max(1.0, largest(energy)) + 1e-30
    own = leaves(query, key, energy, dtype=torch.float64)
    for gradient, expected in zip(gradients, oracle.gradients(oracle.scores(*own), own, [flow]), strict=True):
        assert largest(gradient - expected) <= bound
