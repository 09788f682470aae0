"""Tasks made of numbers: their answers are where they say, and the old flaw is as large as it was measured."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.synthetic import add_two_numbers, attention_column, attention_step, find_maximum, looks_right


def drawn(seed: int = 7) -> np.random.RandomState:
    return np.random.RandomState(seed)


@given(st.integers(0, 99), st.integers(4, 20))
def test_two_numbers_that_are_apart_can_be_found_by_their_delimiters(seed, steps):
    task = add_two_numbers(5, drawn(seed), steps, apart=True)
    numbers = task.inputs.squeeze(-1)
    for row, places, answer in zip(numbers, task.places, task.answers, strict=True):
        first, second = places.nonzero().squeeze(1).tolist()
        assert second - first > 1
        assert row[first - 1] == row[second - 1] == 0
        assert answer == pytest.approx(float(row[first] + row[second]) / 2, abs=1e-6)


def test_the_old_generator_loses_a_tenth_of_its_answers():
    task = add_two_numbers(4000, drawn())
    numbers, lost = task.inputs.squeeze(-1), 0
    for row, places, answer in zip(numbers, task.places, task.answers, strict=True):
        first, second = places.nonzero().squeeze(1).tolist()
        if second - first == 1:
            lost += 1
            assert row[first] == 0
        else:
            assert answer == pytest.approx(float(row[first] + row[second]) / 2, abs=1e-6)
    # 36 of the 342 pairs are neighbours
    assert lost / 4000 == pytest.approx(36 / 342, abs=0.015)


def test_the_numbers_are_those_that_numpys_own_seed_gives():
    task = add_two_numbers(3, drawn(7), steps=6)
    np.random.seed(7)
    inputs = np.random.uniform(0, 1, (3, 6))
    pairs = [np.random.choice(range(1, 6), 2, replace=False) for _ in range(3)]
    answers = [0.5 * row[a] + 0.5 * row[b] for row, (a, b) in zip(inputs, pairs, strict=True)]
    assert task.answers.tolist() == pytest.approx(answers)
    assert [row.nonzero().squeeze(1).tolist() for row in task.places] == [sorted(pair) for pair in pairs]


def test_the_places_can_be_given():
    task = add_two_numbers(3, drawn(), at=(4, 9), delimiter=-1.0)
    assert task.places.nonzero()[:, 1].tolist() == [4, 9] * 3
    assert (task.inputs[:, [3, 8]] == -1).all()


def test_the_largest_number_is_uniform():
    task = find_maximum(4000, drawn())
    assert task.answers.equal(task.inputs.amax(1).squeeze(1))
    assert task.inputs.squeeze(-1)[task.places].equal(task.answers)
    assert (task.answers.mean().item(), task.answers.std().item()) == pytest.approx((1 / 2, 1 / 12**0.5), abs=0.02)


def test_the_column_and_the_step_are_the_answer_and_the_rest_is_noise():
    column, step = attention_column(2000, drawn(), 5, column=3), attention_step(2000, drawn(), 4, 3, step=2)
    assert column.inputs[:, 3].equal(column.answers)
    assert (step.inputs[:, 2] == step.answers.unsqueeze(1)).all()
    for task, others in ((column, [0, 1, 2, 4]), (step, [0, 1, 3])):
        assert task.answers.unique().tolist() == [0, 1]
        assert abs(task.inputs[:, others].mean()) < 0.05
    assert column.places[0].tolist() == [False, False, False, True, False]
    assert step.places[0].tolist() == [False, False, True, False]


def test_looking_right_needs_every_place():
    places = torch.tensor([[True, False, True, False]] * 3)
    weights = torch.tensor([[0.4, 0.1, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.5, 0.2]])
    assert looks_right(weights, places) == pytest.approx(1 / 3)


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match=r"steps is 3; expected at least 4, room for two numbers that are apart\."):
        add_two_numbers(1, drawn(), steps=3)
