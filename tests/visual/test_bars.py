"""Weights as bars."""

import numpy as np
import pytest

from heedful.visual.bars import draw_bars, write_bars


def test_a_bar_is_as_high_as_its_weight():
    (axes,) = draw_bars(np.array([0.1, 0.7, 0.2]), ["a", "$b", "日本"]).axes
    assert [bar.get_height() for bar in axes.patches] == [0.1, 0.7, 0.2]
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["a", "$b"]


def test_places_have_numbers_where_there_are_no_labels(tmp_path):
    figure = draw_bars(np.ones(3), title="mean")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1", "2"]
    assert write_bars(np.ones(3), tmp_path / "bars.svg", title="mean").read_text().count("mean")


@pytest.mark.parametrize("weights", [np.ones((2, 2)), np.ones(0), -np.ones(2), np.full(2, np.inf)])
def test_what_cannot_be_drawn_is_refused(weights):
    with pytest.raises(ValueError, match=r"expected \[places\] of finite numbers from 0 up"):
        draw_bars(weights)


def test_labels_must_fit():
    with pytest.raises(ValueError, match=r"there are 2 labels for 3 weights; expected one for each"):
        draw_bars(np.ones(3), ["a", "b"])
