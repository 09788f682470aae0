"""The picture of pairs shows the numbers it was given."""

import numpy as np
import pytest
from PIL import Image

from heedful.visual.survey import draw_survey, write_survey

LENGTHS = {"source": np.array([3, 4, 4, 9]), "target": np.array([4, 4, 6, 200])}
RATIOS = np.array([1.3, 1.0, 1.5, 22.0])
COVERAGE = {"source": np.array([0.5, 0.8, 1.0]), "target": np.array([1.0])}


def test_every_sentence_is_in_a_bar_and_the_curve_is_the_coverage():
    lengths, ratios, coverage = draw_survey(LENGTHS, RATIOS, COVERAGE).axes
    for patch, values in zip(lengths.patches[::2], LENGTHS.values(), strict=True):
        x, y = patch.get_xy().T
        assert x.min() < values.min()
        assert y.max() <= len(values)
    assert [text.get_text() for text in lengths.get_legend().get_texts()] == ["source", "target"]
    assert ratios.texts[0].get_text() == "median 1.40"
    for line, values in zip(coverage.lines, COVERAGE.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * values)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(values) + 1))


def test_it_is_written_as_a_picture(tmp_path):
    path = write_survey(LENGTHS, RATIOS, COVERAGE, tmp_path / "new" / "pairs.png", dpi=40)
    with Image.open(path) as picture:
        assert picture.size == (660, 168)


def test_one_pair_can_be_drawn_and_none_is_refused():
    one = {"source": np.array([1])}
    assert len(draw_survey(one, np.array([1.0]), {"source": np.array([1.0])}).axes) == 3
    with pytest.raises(ValueError, match="there is nothing to draw; expected at least one sentence on each side"):
        draw_survey({"source": np.array([])}, np.array([]), {})
