"""Numbers about attention maps, against sums written out one weight at a time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heedful.metrics.evidence import attention_entropy, attention_sharpness, attention_summary, effective_keys

COUNTS = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 7)), elements=st.integers(0, 9)
)


def distributions(counts):
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)


def entropy_by_hand(row):
    return -sum(w * math.log(w) for w in row if w > 0)


@given(COUNTS)
def test_entropy_is_the_sum_written_out(counts):
    weights = distributions(counts)
    entropy, nats = attention_entropy(weights), attention_entropy(weights, normalized=False)
    assert entropy.shape == weights.shape[:-1]
    for place in np.ndindex(entropy.shape):
        expected = entropy_by_hand(weights[place])
        assert nats[place] == pytest.approx(expected, abs=1e-12)
        keys = weights.shape[-1]
        assert entropy[place] == pytest.approx(expected / math.log(keys) if keys > 1 else 0.0, abs=1e-12)


@given(COUNTS)
def test_normalised_entropy_lies_between_none_and_all(counts):
    entropy = attention_entropy(distributions(counts))
    assert (entropy >= 0).all()
    assert (entropy <= 1 + 1e-12).all()


@given(COUNTS, st.data())
def test_hidden_keys_are_as_if_they_were_not_there(counts, data):
    weights = distributions(counts)
    keep = data.draw(hnp.arrays(np.bool_, weights.shape[-1]))
    keep[0] = True
    kept = weights[..., keep]
    hidden = np.where(keep, weights, np.nan)
    for measure in (attention_entropy, attention_sharpness, effective_keys):
        np.testing.assert_allclose(measure(hidden, mask=keep), measure(kept), atol=1e-12)


@pytest.mark.parametrize("keys", [2, 3, 5, 7])
def test_uniform_and_one_hot_rows_have_known_numbers(keys):
    rows = np.stack([np.full(keys, 1 / keys), np.eye(keys)[1], np.zeros(keys)])
    np.testing.assert_allclose(attention_entropy(rows), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(attention_entropy(rows, normalized=False), [math.log(keys), 0, 0], atol=1e-12)
    np.testing.assert_allclose(attention_sharpness(rows), [1 / keys, 1, 0])
    np.testing.assert_allclose(effective_keys(rows), [keys, 1, 0])


def test_one_visible_key_has_no_entropy():
    mask = np.array([True, False, False])
    assert attention_entropy(np.array([[1.0, 0.0, 0.0]]), mask)[0] == 0


def test_a_diagonal_is_wholly_diagonal_and_an_antidiagonal_is_not():
    for size in (1, 2, 5, 7):
        assert attention_summary(np.eye(size)).diagonality == pytest.approx(1)
    assert attention_summary(np.eye(5)[::-1]).diagonality == pytest.approx(1 - (0.8 + 0.4 + 0 + 0.4 + 0.8) / 5)


def test_the_summary_of_a_small_map_is_what_a_person_computes():
    weights = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75], [0.0, 0.0, 0.0, 0.0]])
    summary = attention_summary(weights)
    np.testing.assert_allclose(summary.coverage, [0.5, 0.5, 0.25, 0.75])
    np.testing.assert_allclose(summary.position, [0.5, 2.75, np.nan])
    np.testing.assert_allclose(summary.jumps, [2.25, np.nan])
    assert summary.sharpness == pytest.approx((0.5 + 0.625) / 2)
    second = entropy_by_hand([0.25, 0.75])
    assert summary.entropy == pytest.approx((math.log(2) + second) / 2 / math.log(4))
    assert summary.effective_keys == pytest.approx((2 + math.exp(second)) / 2)
    assert summary.hidden_mass == 0


def test_mass_on_hidden_keys_shows():
    summary = attention_summary(np.array([[0.75, 0.25], [1.0, 0.0]]), mask=np.array([True, False]))
    assert summary.hidden_mass == pytest.approx(0.125)


def test_a_map_that_looks_at_nothing_has_a_summary_too():
    summary = attention_summary(np.zeros((2, 3)))
    assert (summary.entropy, summary.sharpness, summary.effective_keys, summary.diagonality) == (0, 0, 0, 0)
    assert np.isnan(summary.position).all()


def test_wrong_input_is_named():
    weights = np.eye(3)
    with pytest.raises(ValueError, match="mask holds float64; expected booleans, True where a key may be looked at"):
        attention_entropy(weights, mask=np.ones(3))
    with pytest.raises(ValueError, match=r"mask has shape \(2,\); expected one that broadcasts to \(3, 3\)"):
        attention_entropy(weights, mask=np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="negative, NaN or infinite"):
        attention_sharpness(-weights)
    with pytest.raises(ValueError, match="weights are one number"):
        effective_keys(np.array(1.0))
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \[target_len, source_len\]"):
        attention_summary(np.ones(3))
