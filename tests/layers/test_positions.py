"""Positions against the papers' formulas, written out place by place, and in complex numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.layers import LearnedPositions, RotaryPositions, SinusoidalPositions
from tests.tolerances import assert_close

STEPS = 5


def sinusoid(place: int, dim: int) -> list[float]:
    """One row of the paper's table."""
    row = []
    for feature in range(dim):
        angle = place / 10000 ** ((feature - feature % 2) / dim)
        row.append(math.cos(angle) if feature % 2 else math.sin(angle))
    return row


@pytest.mark.parametrize("dim", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("offset", [0, 3, 100_000])
def test_sines_and_cosines_take_turns(dim, offset):
    steps = torch.randn(2, STEPS, dim, dtype=torch.float64)
    expected = torch.tensor([sinusoid(offset + place, dim) for place in range(STEPS)], dtype=torch.float64)
    assert_close(SinusoidalPositions(dim)(steps, offset) - steps, expected.expand(2, -1, -1))
    halves = torch.cat((expected[:, ::2], expected[:, 1::2]), 1)
    assert_close(SinusoidalPositions(dim, interleaved=False)(steps, offset) - steps, halves.expand(2, -1, -1))


def test_a_later_place_is_a_rotation_of_an_earlier_one():
    table = SinusoidalPositions(6)(torch.zeros(1, 9, 6, dtype=torch.float64))[0]
    angle = torch.tensor([4 / 10000 ** (pair / 3) for pair in range(3)], dtype=torch.float64)
    sin, cos = table[:5, ::2], table[:5, 1::2]
    assert_close(table[4:, ::2], sin * angle.cos() + cos * angle.sin())
    assert_close(table[4:, 1::2], cos * angle.cos() - sin * angle.sin())


@pytest.mark.parametrize("build", [SinusoidalPositions, lambda dim: LearnedPositions(11, dim), RotaryPositions])
def test_step_by_step_equals_all_at_once_with_an_offset_for_each_item(build):
    layer = build(6).double()
    steps = torch.randn(2, STEPS, 6, dtype=torch.float64)
    first = torch.tensor([1, 4])
    together = layer(steps, first)
    for item, start in enumerate(first.tolist()):
        for place in range(STEPS):
            assert_close(together[item, place], layer(steps[item : item + 1, place : place + 1], start + place)[0, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("build", [SinusoidalPositions, RotaryPositions])
def test_far_places_keep_the_precision_of_the_type(build, dtype):
    steps = torch.randn(2, STEPS, 6, dtype=torch.float64).to(dtype)
    low, exact = build(6)(steps, 1_000_000), build(6)(steps.double(), 1_000_000)
    assert low.dtype == dtype
    assert_close(low, exact, dtype)


def test_learned_places_are_rows_of_the_table_and_learn():
    layer = LearnedPositions(7, 3).double()
    steps = torch.zeros(2, STEPS, 3, dtype=torch.float64)
    assert layer(steps, 2).equal(layer.table[2:].expand(2, -1, -1))
    layer(steps, 2).sum().backward()
    assert layer.table.grad is not None
    assert layer.table.grad[:, 0].tolist() == [0, 0, 2, 2, 2, 2, 2]


@pytest.mark.messages
@pytest.mark.parametrize("offset", [3, torch.tensor([0, 3])], ids=["one", "each"])
def test_a_learned_table_has_an_end(offset):
    message = r"5 steps from offset 3 reach beyond the table of 7 places\. Build it with max_len=8"
    with pytest.raises(ValueError, match=message):
        LearnedPositions(7, 3)(torch.zeros(2, STEPS, 3), offset)
    with pytest.raises(ValueError, match="from offset -1 reach beyond"):
        LearnedPositions(7, 3)(torch.zeros(2, STEPS, 3), -1)


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_rotation_is_a_product_of_complex_numbers_and_leaves_the_rest(interleaved, factor):
    vectors = torch.randn(2, 3, STEPS, 8, dtype=torch.float64)
    turned = RotaryPositions(6, base=500.0, interleaved=interleaved, factor=factor)(vectors, 4)
    for place in range(STEPS):
        for pair in range(3):
            first, second = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + 3)
            angle = (4 + place) / factor * 500 ** (-pair / 3)
            number = torch.complex(vectors[..., place, first], vectors[..., place, second])
            number = number * complex(math.cos(angle), math.sin(angle))
            assert_close(turned[..., place, first], number.real)
            assert_close(turned[..., place, second], number.imag)
    assert turned[..., 6:].equal(vectors[..., 6:])


def test_the_two_orders_agree_after_a_permutation_of_features():
    vectors, order = torch.randn(2, STEPS, 6, dtype=torch.float64), [0, 2, 4, 1, 3, 5]
    halves = RotaryPositions(6, interleaved=False)(vectors[..., order])
    assert_close(halves, RotaryPositions(6)(vectors)[..., order])


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 100_000))
def test_a_product_of_rotated_vectors_knows_the_distance_alone(query_place, key_place, shift):
    query, key = torch.randn(2, 1, 1, 6, dtype=torch.float64)
    rotary = RotaryPositions(6)
    score = (rotary(query, query_place) * rotary(key, key_place)).sum()
    assert_close(score, (rotary(query, query_place + shift) * rotary(key, key_place + shift)).sum())
    assert_close(rotary(query, shift).norm(), query.norm())


def test_rotation_has_its_gradient():
    vectors = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(RotaryPositions(4), (vectors, 3))


@pytest.mark.messages
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RotaryPositions(5), r"dim is 5; expected an even number, pairs of features\. Turn the first 4"),
        (lambda: RotaryPositions(4, base=0.0), r"base is 0\.0; expected a number above 0"),
        (lambda: RotaryPositions(4, factor=-1.0), r"factor is -1\.0; expected a number above 0"),
        (lambda: RotaryPositions(4)(torch.zeros(1, 2, 3)), "the sequence has 3 features; RotaryPositions expected 4"),
        (lambda: SinusoidalPositions(0), "dim is 0; expected a whole number"),
        (lambda: SinusoidalPositions(4)(torch.zeros(1, 2, 3)), "the sequence has 3 features; SinusoidalPositions"),
        (lambda: SinusoidalPositions(4)(torch.zeros(2, 4)), r"the sequence has shape \(2, 4\)"),
        (lambda: LearnedPositions(0, 4), "max_len is 0; expected a whole number"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("build", [SinusoidalPositions, lambda dim: LearnedPositions(11, dim), RotaryPositions])
def test_empty_batches_and_no_steps(build):
    layer = build(4)
    assert layer(torch.zeros(0, 3, 4)).shape == (0, 3, 4)
    assert layer(torch.zeros(2, 0, 4)).shape == (2, 0, 4)


@pytest.mark.compile
@pytest.mark.parametrize("build", [SinusoidalPositions, lambda dim: LearnedPositions(11, dim), RotaryPositions])
@pytest.mark.parametrize("offset", [2, torch.tensor([0, 3])], ids=["one", "each"])
def test_compiled_in_one_graph(build, offset):
    layer, steps = build(4), torch.randn(2, STEPS, 4)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(steps, offset)
    assert_close(compiled, layer(steps, offset))
