"""What the options refuse."""

import math

import pytest
from pydantic import ValidationError

from heedful.training import TrainingOptions


def test_a_run_must_end():
    with pytest.raises(ValidationError, match="nothing would ever end it"):
        TrainingOptions()


@pytest.mark.parametrize("limit", ["max_epochs", "max_steps", "max_seconds", "patience"])
def test_each_limit_ends_it(limit):
    assert getattr(TrainingOptions(**{limit: 3}), limit) == 3


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_that_falls_needs_to_know_the_end(schedule):
    with pytest.raises(ValidationError, match=f"schedule '{schedule}' falls to its limit; set max_epochs"):
        TrainingOptions(patience=3, schedule=schedule)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", "0.1"),
        ("max_steps", 2.5),
        ("max_epochs", True),
        ("label_smoothing", 1.0),
        ("gradient_clip", -1.0),
        ("betas", [0.9]),
        ("precision", "64"),
        ("teacher_forcing", {"start": 2.0}),
        ("learnig_rate", 0.1),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        TrainingOptions(**{"max_steps": 1, name: value})


@pytest.mark.parametrize(
    ("name", "value", "best", "better"),
    [
        ("loss", 1.0, 2.0, True),
        ("perplexity", 2.0, 1.0, False),
        ("bleu", 2.0, 1.0, True),
        ("accuracy", 1.0, 1.0, False),
        ("loss", math.nan, 1.0, False),
        ("bleu", math.nan, 1.0, False),
    ],
)
def test_a_metric_is_better_when_it_should_be(name, value, best, better):
    assert TrainingOptions(max_steps=1, best_by=name).is_better(value, best) is better


def test_a_precision_in_bits_needs_no_quotes():
    assert TrainingOptions(max_steps=1, precision=32).precision == "32"
    with pytest.raises(ValidationError, match="32"):
        TrainingOptions(max_steps=1, precision=64)
    with pytest.raises(ValidationError, match="32"):
        TrainingOptions(max_steps=1, precision=True)
