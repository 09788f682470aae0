"""What every picture is made from refuses what cannot be drawn, and says why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.visual.alignment import Alignment, visible


def test_tokens_and_weights_are_kept():
    alignment = Alignment(("a", "b", "c"), ("x", "y"), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert (alignment.source, alignment.target) == (["a", "b", "c"], ["x", "y"])
    assert alignment.weights.dtype == np.float64


@pytest.mark.parametrize(
    ("source", "target", "weights", "message"),
    [
        (
            ["a", "b"],
            ["x"],
            np.ones((2, 3)),
            r"shape \(2, 3\) but there are 1 target and 2 source tokens; expected \(1, 2\)",
        ),
        (["a", "b"], ["x"], np.ones((2, 1)), r"expected \(1, 2\), \[target_len, source_len\]; transpose them"),
        (["a", "b"], ["x"], np.ones(2), r"shape \(2,\) but"),
        (["a"], ["x"], np.ones((1, 1, 1)), r"shape \(1, 1, 1\) but"),
        ([], ["x"], np.ones((1, 0)), "source has no tokens; expected at least one"),
        (["a"], [], np.ones((0, 1)), "target has no tokens"),
        ("a b", ["x"], np.ones((1, 3)), r"source is the string 'a b'; expected a list of tokens, try source.split\(\)"),
        (["a"], ["x"], np.full((1, 1), np.nan), "weights hold negative numbers, NaN or infinity"),
        (["a"], ["x"], np.full((1, 1), np.inf), "weights hold negative numbers, NaN or infinity"),
        (["a"], ["x"], np.full((1, 1), -0.1), "weights hold negative numbers, NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_named(source, target, weights, message):
    with pytest.raises(ValueError, match=message):
        Alignment(source, target, weights)


@given(st.text(), st.none() | st.integers(1, 20))
def test_a_visible_token_is_one_short_printable_line(token, width):
    shown = visible(token, width)
    assert shown
    assert shown.isprintable()
    assert width is None or len(shown) <= width


@given(st.text(alphabet="abcéß日 ", min_size=1))
def test_ordinary_tokens_are_shown_as_they_are(token):
    assert visible(token) == token
