"""Training curves: what is drawn is what came in, smoothed without inventing anything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.colors import to_rgb
from PIL import Image

from heedful.visual.curves import Curve, draw_curves, smooth, write_curves
from heedful.visual.style import SERIES

VALUES = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-5, 5) | st.just(np.nan))


def run(label="attention", level=2.0, points=300):
    steps = np.arange(1, points + 1)
    values = level + 5 * np.exp(-steps / 50) + np.random.default_rng(0).normal(0, 0.2, points)
    checks = np.arange(100, points + 1, 100)
    return Curve(label, steps, values, checks, level + 0.5 + 5 * np.exp(-checks / 50))


@given(VALUES, st.floats(0.3, 5))
def test_smoothing_is_the_weighted_mean_written_out(values, width):
    result = smooth(values, width)
    reach = max(1, int(np.ceil(3 * width)))
    for i in range(len(values)):
        near = [j for j in range(max(0, i - reach), min(len(values), i + reach + 1)) if np.isfinite(values[j])]
        weights = [np.exp(-0.5 * ((i - j) / width) ** 2) for j in near]
        expected = sum(w * values[j] for w, j in zip(weights, near, strict=True)) / sum(weights) if near else np.nan
        assert result[i] == pytest.approx(expected, nan_ok=True, abs=1e-9)


@given(VALUES)
def test_smoothing_stays_between_the_extremes(values):
    result = smooth(values, 2.0)
    known = result[np.isfinite(result)]
    if known.size:
        assert known.min() >= np.nanmin(values) - 1e-9
        assert known.max() <= np.nanmax(values) + 1e-9


def test_each_model_is_drawn_faintly_then_smoothly_then_at_its_checks():
    first, second = run(), run("no attention", 3.0)
    lines = draw_curves({"loss": [first, second]}).axes[0].get_lines()
    assert len(lines) == 6
    for curve, color, (batches, course, checks) in zip((first, second), SERIES, (lines[:3], lines[3:]), strict=False):
        np.testing.assert_array_equal(batches.get_ydata(), curve.values)
        np.testing.assert_array_equal(course.get_xdata(), curve.steps)
        np.testing.assert_array_equal(
            checks.get_xydata(), np.stack([curve.validation_steps, curve.validation_values], 1)
        )
        assert (batches.get_alpha() or 1) < 0.3
        assert course.get_color() == checks.get_color() == color


def test_the_legend_names_the_models():
    legend = draw_curves({"loss": [run(), run("_twin, at $2")]}).axes[0].get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [
        "attention, training",
        "attention, validation",
        r"twin, at \$2, training",
        r"twin, at \$2, validation",
    ]


def test_every_quantity_has_a_panel():
    figure = draw_curves({"loss per token": [run()], "accuracy": [run(), run("b")]}, title="Title")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss per token", "accuracy"]


def test_checks_are_never_cut_off_but_a_wild_batch_is():
    curve = run(points=1000)
    curve.values[500] = 1000.0
    late = Curve("late", curve.steps, curve.values, np.array([1000.0]), np.array([30.0]))
    bottom, top = draw_curves({"loss": [late]}).axes[0].get_ylim()
    assert 30 < top < 100
    assert bottom < curve.values.min() + 0.5


@pytest.mark.parametrize(
    "curve",
    [
        Curve("one point", np.array([1.0]), np.array([2.0])),
        Curve("nothing", np.zeros(0), np.zeros(0)),
        Curve("never finite", np.arange(3.0), np.full(3, np.nan)),
        Curve("sometimes finite", np.arange(4.0), np.array([1.0, np.inf, np.nan, 2.0])),
        Curve("checks only", np.zeros(0), np.zeros(0), np.arange(3.0), np.ones(3)),
        Curve("損失 🐱", np.arange(3), np.array([3.0, 2.0, 1.0])),
    ],
    ids=lambda curve: curve.label,
)
def test_odd_curves_are_drawn_too(curve):
    draw_curves({"loss": [curve]}).canvas.draw()


def test_the_picture_shows_both_colours(tmp_path):
    path = write_curves({"loss": [run(), run("twin", 3.0)]}, tmp_path / "loss.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=float)
    for color in SERIES[:2]:
        distance = np.abs(pixels - np.array(to_rgb(color)) * 255).sum(axis=-1)
        assert (distance < 6).sum() > 500


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"curve 'a': steps has shape \(3,\) and values \(2,\); expected two vectors"):
        Curve("a", np.arange(3), np.arange(2))
    with pytest.raises(ValueError, match=r"curve 'a': validation_steps has shape \(1, 1\)"):
        Curve("a", np.arange(3), np.arange(3), np.ones((1, 1)), np.ones((1, 1)))
    for nothing in ({}, {"loss": []}):
        with pytest.raises(ValueError, match="nothing to draw; expected at least one panel with at least one Curve"):
            draw_curves(nothing)
