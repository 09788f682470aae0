"""The Neural Turing Machine's addressing by place, against loops written from the paper."""

import math

import pytest
import torch

from heedful.functional.addressing import circular_shift, interpolate, sharpen
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, MOVES = 2, 3, 7, 5
LENGTHS = torch.tensor([7, 4])


def draw(lengths=None):
    """Rows that sum to 1 over the keys of each item, shifts that do, gates and powers."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64, generator=generator)
    if lengths is not None:
        scores = scores.masked_fill(torch.arange(KEYS) >= lengths.view(-1, 1, 1), -torch.inf)
    shift = torch.randn(BATCH, QUERIES, MOVES, dtype=torch.float64, generator=generator).softmax(-1)
    number = torch.rand(BATCH, QUERIES, dtype=torch.float64, generator=generator)
    return scores.softmax(-1), shift, number


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
def test_a_shift_is_a_circular_convolution_over_the_keys_of_each_item(lengths):
    weights, shift, _ = draw(lengths)
    expected = torch.zeros_like(weights)
    for item in range(BATCH):
        ring = KEYS if lengths is None else int(lengths[item])
        for query in range(QUERIES):
            for key in range(ring):
                for move in range(MOVES):
                    expected[item, query, (key + move - 2) % ring] += (
                        shift[item, query, move] * weights[item, query, key]
                    )
    found = circular_shift(weights, shift, lengths)
    assert_close(found, expected)
    assert_close(found.sum(-1), torch.ones(BATCH, QUERIES, dtype=torch.float64))


def test_each_keeps_the_sum_and_has_an_end_where_it_changes_nothing():
    weights, shift, number = draw()
    previous = weights.roll(2, -1)
    assert_close(interpolate(weights, previous, torch.ones_like(number)), weights)
    assert_close(interpolate(weights, previous, torch.zeros_like(number)), previous)
    stay = torch.eye(MOVES, dtype=torch.float64)[2].expand_as(shift)
    assert torch.equal(circular_shift(weights, stay), weights)
    assert_close(sharpen(weights, torch.ones_like(number)), weights)
    for found in (interpolate(weights, previous, number), sharpen(weights, 1 + 9 * number)):
        assert_close(found.sum(-1), torch.ones_like(number))
    assert_close(sharpen(weights / 2, 1 + number).sum(-1), torch.full_like(number, 0.5))


def test_sharpening_is_a_power_over_its_sum_and_does_not_underflow():
    weights, _, number = draw()
    for item in range(BATCH):
        powers = [float(weight) ** (1 + float(number[item, 1])) for weight in weights[item, 1]]
        expected = torch.tensor([power / math.fsum(powers) for power in powers], dtype=torch.float64)
        assert_close(sharpen(weights, 1 + number)[item, 1], expected)
    flat = torch.full((1, 1, 1000), 1e-3)
    assert_close(sharpen(flat, torch.tensor([[50.0]])), flat)


@pytest.mark.parametrize("keys", [0, 1, KEYS])
def test_gradients_are_right_and_rows_of_zeros_stay_and_have_finite_ones(keys):
    weights, shift, number = (part.detach().requires_grad_() for part in draw())
    assert torch.autograd.gradcheck(interpolate, (weights, weights.detach().roll(1, -1), number))
    assert torch.autograd.gradcheck(lambda w, s: circular_shift(w, s, LENGTHS), (weights, shift))
    assert torch.autograd.gradcheck(lambda w, p: sharpen(w, 1 + p), (weights, number))
    nothing = torch.zeros(BATCH, QUERIES, keys, dtype=torch.float64, requires_grad=True)
    for found in (circular_shift(nothing, shift), sharpen(nothing, 1 + number)):
        assert found.shape == nothing.shape
        assert not found.any()
        slopes = torch.autograd.grad(found.sum(), (nothing, shift, number), allow_unused=True)
        assert all(slope is None or slope.isfinite().all() for slope in slopes)


def test_an_even_number_of_moves_is_refused():
    with pytest.raises(ValueError, match="shift has 4 moves; expected an odd number, one to stay"):
        circular_shift(torch.ones(1, 1, 3), torch.ones(1, 1, 4))
