"""The schedules against their formulas, and what they have in common."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.training import Ramp
from heedful.training.schedules import SCHEDULES, Progress, constant, cosine, inverse_sqrt, linear

steps = st.integers(1, 10_000)
fractions = st.floats(0, 1)


@given(step=steps, fraction=fractions, warmup_steps=st.integers(0, 500))
def test_every_factor_lies_between_zero_and_one(step, fraction, warmup_steps):
    for schedule in SCHEDULES.values():
        assert 0 <= schedule(Progress(step, fraction), warmup_steps) <= 1


@given(fraction=st.floats(0, 1, exclude_max=True), warmup_steps=st.integers(2, 500))
def test_every_schedule_warms_up_in_a_straight_line(fraction, warmup_steps):
    for schedule in SCHEDULES.values():
        half, whole = (
            schedule(Progress(step, fraction), 2 * warmup_steps) for step in (warmup_steps, 2 * warmup_steps)
        )
        assert half == pytest.approx(whole / 2)
        assert whole == pytest.approx(schedule(Progress(1, fraction), 0) if schedule is not inverse_sqrt else 1.0)


@given(step=steps, warmup_steps=st.integers(1, 4000))
def test_inverse_sqrt_is_that_of_the_transformer_scaled_to_one(step, warmup_steps):
    paper = min(step**-0.5, step * warmup_steps**-1.5)
    assert inverse_sqrt(Progress(step, 0.0), warmup_steps) == pytest.approx(paper * math.sqrt(warmup_steps))


def test_without_warm_up_the_first_step_has_the_peak_rate():
    for schedule in SCHEDULES.values():
        assert schedule(Progress(1, 0.0), 0) == 1.0


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 1.0), (1 / 3, 0.75), (0.5, 0.5), (2 / 3, 0.25), (1.0, 0.0)])
def test_cosine_and_linear_fall_to_zero(fraction, expected):
    assert cosine(Progress(50, fraction), 5) == pytest.approx(expected, abs=1e-12)
    assert linear(Progress(50, fraction), 5) == pytest.approx(1 - fraction)
    assert constant(Progress(50, fraction), 5) == 1.0


def test_a_ramp_runs_from_start_to_end():
    ramp = Ramp(start=1.0, end=0.4)
    assert [ramp.at(fraction) for fraction in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.7, 0.4])
