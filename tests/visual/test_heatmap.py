"""Heat maps: the right cell is dark, the tokens stand in order, everything fits on the canvas, no script breaks it."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from heedful.visual.alignment import Alignment
from heedful.visual.fonts import DEFAULT, drawable, font_families
from heedful.visual.heatmap import draw_heatmap, grid_heat, write_heatmap
from heedful.visual.style import HEAT

from .samples import HOSTILE, SOURCE, TARGET, example, hostile, one_hot, parts


def cell_colors(figure: Figure, alignment: Alignment) -> np.ndarray:
    """The drawn colour near the upper left corner of each cell, where no number stands. [rows, columns, 3]"""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    rows, columns = alignment.weights.shape
    corners = [(column + 0.16, row + 0.16) for row in range(rows) for column in range(columns)]
    places = figure.axes[0].transData.transform(corners).round().astype(int)
    return np.array([pixels[pixels.shape[0] - 1 - y, x] for x, y in places]).reshape(rows, columns, 3)


def test_every_cell_has_the_colour_of_its_weight():
    alignment = example()
    colors = cell_colors(draw_heatmap(alignment, scale=1.0), alignment)
    expected = np.array(HEAT(alignment.weights))[..., :3] * 255
    np.testing.assert_allclose(colors, expected, atol=1.5)


def test_the_hot_cell_is_the_darkest_of_its_row():
    hot = [4, 0, 6, 2, 2]
    alignment = one_hot(hot, 7)
    colors = cell_colors(draw_heatmap(alignment), alignment)
    assert colors.sum(axis=-1).argmin(axis=1).tolist() == hot


def test_colours_darken_evenly_with_the_weight():
    luminance = HEAT(np.linspace(0, 1, 50))[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) < 0).all()


def test_tokens_stand_in_order_source_across_target_down():
    axes = draw_heatmap(example()).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == SOURCE
    assert [label.get_text() for label in axes.get_yticklabels()] == TARGET
    assert axes.xaxis.get_ticks_position() == "top"
    assert axes.yaxis_inverted()


def test_the_colour_bar_tells_the_scale():
    def ticks(alignment, **options):
        return [label.get_text() for label in draw_heatmap(alignment, **options).axes[1].get_yticklabels()]

    assert ticks(one_hot([0, 1], 3)) == ["0", "0.5", "1"]
    faint = Alignment(["a", "b"], ["x"], np.array([[0.2, 0.1]]))
    assert ticks(faint) == ["0", "0.1", "0.2"]
    assert ticks(faint, scale=1.0) == ["0", "0.5", "1"]
    assert ticks(Alignment(list("abcdefghijklmnopq"), ["x"], np.zeros((1, 17)))) == ["0", "1"]
    assert ticks(Alignment(["a"], ["x"], np.zeros((1, 1)))) == ["0", "0.5", "1"]
    assert ticks(Alignment(["a"], ["x"], np.array([[4.0]]))) == ["0", "2", "4"]


def test_percentages_stand_in_the_cells_of_short_sentences_only():
    short = Alignment(["a", "b"], ["x"], np.array([[0.87, 0.02]]))
    assert [text.get_text() for text in draw_heatmap(short).axes[0].texts] == ["87"]
    assert not draw_heatmap(one_hot(list(range(30)), 30)).axes[0].texts


@settings(max_examples=15)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.booleans())
def test_all_text_stays_on_the_canvas_and_no_label_covers_another(source_len, target_len, letters, titled):
    source = ["m" * (1 + i * 7 % letters) for i in range(source_len)]
    target = ["w" * (1 + i * 5 % letters) for i in range(target_len)]
    alignment = Alignment(source, target, np.ones((target_len, source_len)) / source_len, "caption " * letters * titled)
    figure = draw_heatmap(alignment, "title " * letters * titled)
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    across, down = axes.get_xticklabels(), axes.get_yticklabels()
    for label in [*across, *down, *figure.axes[1].get_yticklabels(), *figure.texts]:
        box = label.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
    heights = [label.get_window_extent(renderer) for label in down]
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(heights))
    if not across[0].get_rotation():
        widths = [label.get_window_extent(renderer) for label in across]
        assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(widths))


@settings(max_examples=10)
@given(parts())
def test_any_tokens_can_be_drawn_without_a_warning(sentence):
    draw_heatmap(Alignment(*sentence), title=sentence[0][0]).canvas.draw()


def test_hostile_tokens_can_be_drawn_and_written(tmp_path):
    for ending in ("png", "svg"):
        assert write_heatmap(hostile(), tmp_path / f"map.{ending}", title="<$&").stat().st_size > 1000


def test_the_default_font_is_enough_for_european_scripts():
    assert font_families(["chat", "œuvre", "кот", "γάτα", "kočka", "□∅…"]) == [DEFAULT]


def test_a_character_no_font_knows_becomes_a_box():
    nobody = "\ufdd0"
    assert drawable(f"a{nobody}b", font_families([nobody])) == "a□b"


@settings(max_examples=20)
@given(st.text())
def test_what_is_drawable_is_left_alone(text):
    families = font_families([text])
    shown = drawable(text, families)
    assert len(shown) == len(text)
    assert drawable(shown, families) == shown


def test_png_has_the_size_of_the_figure(tmp_path):
    path = write_heatmap(example(), tmp_path / "map.png", dpi=100)
    width, height = draw_heatmap(example()).get_size_inches() * 100
    with Image.open(path) as image:
        assert image.size == (int(width), int(height))


def test_svg_holds_the_tokens_as_text_in_order(tmp_path):
    path = write_heatmap(example("à bientôt"), tmp_path / "map.svg", title="Title & co")
    texts = ["".join(node.itertext()).strip() for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    tokens = [text for text in texts if text in {*SOURCE, *TARGET}]
    assert tokens == SOURCE + TARGET
    assert {"Title & co", "à bientôt"} <= set(texts)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_alignment_gives_the_same_bytes(tmp_path, ending):
    first, second = (write_heatmap(example(), tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
    assert first == second


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"map\.gif ends in '\.gif'; figures are written as \.png or \.svg"):
        write_heatmap(example(), tmp_path / "map.gif")
    assert not list(tmp_path.iterdir())


def test_pictures_never_touch_pyplot():
    code = (
        "import sys, heedful.visual.heatmap, heedful.visual.curves, heedful.visual.animation\n"
        "print({'matplotlib.pyplot', 'torch'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"


def test_hostile_tokens_are_all_tried():
    assert len(draw_heatmap(hostile()).axes[0].get_xticklabels()) == len(HOSTILE)


REGIONS = hnp.arrays(np.float64, (2, 6), elements=st.floats(0, 1))


@given(st.integers(0, 5), st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_a_region_alone_lights_its_own_cell(region, tall, wide, smooth):
    heat = grid_heat(np.eye(6)[region], grid=(2, 3), size=(2 * tall, 3 * wide), smooth=smooth)
    row, column = divmod(region, 3)
    inside = np.zeros(heat.shape, dtype=bool)
    inside[row * tall : (row + 1) * tall, column * wide : (column + 1) * wide] = True
    assert inside[np.unravel_index(heat.argmax(), heat.shape)]
    if not smooth:
        assert heat.tolist() == inside.astype(float).tolist()


@given(REGIONS, st.integers(2, 9), st.integers(3, 9))
def test_a_smooth_picture_is_the_bilinear_enlargement_of_torch(weights, height, width):
    grids = torch.from_numpy(weights).view(2, 1, 2, 3)
    expected = torch.nn.functional.interpolate(grids, (height, width), mode="bilinear", align_corners=False)
    assert grid_heat(weights, (2, 3), (height, width), smooth=True) == pytest.approx(expected.squeeze(1).numpy())


@given(REGIONS, st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_grid_keeps_its_extremes_and_on_request_its_sum(weights, height, width, smooth):
    heat = grid_heat(weights, (2, 3), (height, width), smooth)
    assert heat.shape == (2, height, width)
    assert weights.min() - 1e-12 <= heat.min() <= heat.max() <= weights.max() + 1e-12
    kept = grid_heat(weights, (2, 3), (height, width), smooth, keep_sum=True)
    reached = heat.sum(axis=(1, 2)) > 0  # a picture coarser than its grid may miss the only region that is lit
    assert kept.sum(axis=(1, 2))[reached] == pytest.approx(weights.sum(axis=1)[reached])
    assert grid_heat(weights, (2, 3), (2, 3), smooth).reshape(2, 6) == pytest.approx(weights)


def test_a_grid_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 6\) for a grid of 2 x 2; expected \[\.\.\., 4\], one weight for"):
        grid_heat(np.ones((2, 6)), (2, 2), (4, 4))
    with pytest.raises(ValueError, match=r"grid is \(0, 3\) and size \(4, 4\); expected \(rows, columns\) and"):
        grid_heat(np.ones(0), (0, 3), (4, 4))
