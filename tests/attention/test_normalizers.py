"""One row per normaliser: how it is built, its weights for the visible scores of one query. The facts run from it."""

import pytest
import torch

from heedful.attention import normalizers
from heedful.attention.normalizers import Normalizer, SoftmaxNormalizer
from tests.attention.rows import BATCH, KEYS, QUERIES, NormalizerRow, built, exported, written
from tests.tolerances import assert_close


def softmax(scores, temperature=1.0):
    """Bahdanau 2015, equation 6; with a temperature, Chorowski 2015, section 2.3 (whose sharpening is its inverse)."""
    powers = torch.exp((scores - scores.detach().max()) / temperature)
    return powers / powers.sum()


NORMALIZERS = [
    NormalizerRow(SoftmaxNormalizer, softmax),
    NormalizerRow(lambda: SoftmaxNormalizer(0.4), lambda scores: softmax(scores, 0.4), "temperature"),
]

# Their weights depend on the queries before: tests/attention/test_monotonic.py
STATEFUL = {
    "ConstrainedSoftmaxNormalizer",
    "ConstrainedSparsemaxNormalizer",
    "ForwardNormalizer",
    "IntraTemporalNormalizer",
    "MonotonicNormalizer",
    "StepwiseNormalizer",
}

each_normalizer = pytest.mark.parametrize("row", NORMALIZERS, ids=str)


def test_every_normalizer_has_a_row():
    missing = exported(normalizers, Normalizer) - built(NORMALIZERS) - STATEFUL
    assert not missing, f"no row in NORMALIZERS of {__file__}: {', '.join(sorted(missing))}"


def test_every_normalizer_is_exported():
    missing = written(normalizers, Normalizer) - exported(normalizers, Normalizer)
    assert not missing, f"no line in heedful/attention/normalizers/__init__.py: {', '.join(sorted(missing))}"


@each_normalizer
def test_weights_are_those_of_the_formula_on_the_visible_scores(row):
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64)
    mask = torch.rand(BATCH, QUERIES, KEYS) > 0.3
    weights, _ = row.build()(scores, mask)
    for item in range(BATCH):
        for query in range(QUERIES):
            visible = mask[item, query]
            assert_close(weights[item, query, visible], row.weigh(scores[item, query, visible]))
            assert not weights[item, query, ~visible].any()


@each_normalizer
def test_a_score_of_minus_infinity_hides_its_key(row):
    scores = torch.randn(1, 1, KEYS, dtype=torch.float64)
    mask = torch.tensor([[[True, False, True, True, False]]])
    expected, _ = row.build()(scores, mask)
    actual, _ = row.build()(scores.masked_fill(~mask, -torch.inf), None)
    assert_close(actual, expected)


def test_a_constant_added_to_a_row_changes_nothing():
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64)
    shifted = scores + torch.randn(BATCH, QUERIES, 1, dtype=torch.float64) * 100
    assert_close(SoftmaxNormalizer(0.7)(shifted, None)[0], SoftmaxNormalizer(0.7)(scores, None)[0])


def test_temperature_sharpens_and_flattens():
    scores = torch.tensor([[[1.0, 3.0, 2.0]]])
    mask = torch.tensor([[[True, True, True]]])
    assert_close(SoftmaxNormalizer(1e-3)(scores, mask)[0], torch.tensor([[[0.0, 1.0, 0.0]]]))
    assert_close(SoftmaxNormalizer(1e9)(scores, mask)[0], torch.full((1, 1, 3), 1 / 3))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_no_positive_number_is_refused(temperature):
    with pytest.raises(ValueError, match=rf"temperature is {temperature}; expected a number above 0"):
        SoftmaxNormalizer(temperature)
