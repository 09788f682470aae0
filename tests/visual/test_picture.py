"""Looks over a picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.visual.picture import draw_looks, spread, write_looks

PICTURE = np.full((12, 18, 3), 200, dtype=np.uint8)


def test_the_place_looked_at_keeps_its_light_and_the_others_are_dark():
    weights = np.zeros((1, 3, 3))
    weights[0, 0, 2] = 0.7
    (axes,) = draw_looks(PICTURE, ["dog"], weights).axes
    shown = np.asarray(axes.images[0].get_array())
    assert shown[0, -1, 0] == pytest.approx(200 / 255)
    assert shown[-1, 0, 0] == pytest.approx(0.25 * 200 / 255)


def test_every_word_has_its_panel_even_a_short_caption():
    for words in (["a"], list("abcdefg")):
        figure = draw_looks(PICTURE[..., 0], words, np.ones((len(words), 2, 2)))
        assert [axes.get_title() for axes in figure.axes] == words


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))
def test_spreading_keeps_a_constant_and_stays_between_the_extremes(rows, columns, height, width):
    grid = np.random.default_rng(rows * columns).random((rows, columns))
    wide = spread(grid, height, width)
    assert wide.shape == (height, width)
    assert grid.min() - 1e-12 <= wide.min() <= wide.max() <= grid.max() + 1e-12
    assert spread(np.full((rows, columns), 0.3), height, width) == pytest.approx(0.3)
    assert spread(grid, rows, columns) == pytest.approx(grid)


def test_words_may_hold_anything_and_a_look_at_nothing_is_dark(tmp_path):
    path = write_looks(PICTURE, ["$x_1$", "日本"], np.zeros((2, 2, 2)), tmp_path / "looks.png", "a$b")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("picture", "weights", "message"),
    [
        (np.ones((4, 4, 2)), np.ones((1, 2, 2)), r"the picture has shape \(4, 4, 2\); expected \[height, width, 3\]"),
        (
            np.full((4, 4), 3.5),
            np.ones((1, 2, 2)),
            r"the picture holds numbers outside 0 to 1; expected 0 to 1, or int",
        ),
        (PICTURE, np.ones((1, 4)), r"weights have shape \(1, 4\) for 1 words; expected \[words, rows, columns\]"),
        (PICTURE, np.ones((2, 2, 2)), r"weights have shape \(2, 2, 2\) for 1 words"),
        (PICTURE, -np.ones((1, 2, 2)), r"weights hold negative numbers, NaN or infinity"),
    ],
)
def test_what_cannot_be_drawn_is_refused(picture, weights, message):
    with pytest.raises(ValueError, match=message):
        draw_looks(picture, ["dog"], weights)
