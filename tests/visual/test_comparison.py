"""Models side by side: the curves hold the numbers, and the page is safe and needs nothing else."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from heedful.visual.comparison import Axes, Quality, Table, draw_quality, report
from heedful.visual.highlight import Reading
from tests.visual.samples import HOSTILE

MODELS = [
    Quality(
        "luong", [(np.array([10, 20]), np.array([1.0, 3.0])), (np.array([10]), np.array([2.0]))], np.array([4.0, 2.0])
    ),
    Quality("none", [(np.array([10, 20]), np.array([0.5, 0.7]))], np.array([np.nan, 1.0])),
]
AXES = Axes("BLEU in validation", "BLEU on the test pairs", "words of the source")


def test_each_training_is_a_line_and_each_model_a_colour():
    left, right = draw_quality(MODELS, ["1-5", "6+"], AXES).axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[1.0, 3.0], [2.0], [0.5, 0.7]]
    colors = [line.get_color() for line in left.lines]
    assert colors[0] == colors[1] != colors[2]
    assert [line.get_color() for line in right.lines] == [colors[0], colors[2]]
    assert [label.get_text() for label in right.get_xticklabels()] == ["1-5", "6+"]
    many = [Quality(str(number), [], np.ones(1)) for number in range(19)]
    looks = {(line.get_color(), str(line.get_linestyle())) for line in draw_quality(many, ["1+"], AXES).axes[1].lines}
    assert len(looks) == 19


def test_the_page_escapes_everything_and_holds_the_picture():
    reading = Reading(HOSTILE, np.arange(len(HOSTILE)))
    table = Table(HOSTILE[0], HOSTILE, [[*HOSTILE, reading]])
    page = report("<title>", ["a < b", "-3.4 % less"], [table], [draw_quality(MODELS, ["1-5", "6+"], AXES)])
    assert "<script" not in page
    assert page.count("<mark") == len(HOSTILE)
    assert "<p>a &lt; b</p>" in page
    assert "<p>-3.4\N{NO-BREAK SPACE}% less</p>" in page
    assert "https:" not in page
    assert "src=" not in page.replace("default-src", "").replace("style-src", "")
    picture = page[page.index("<svg") : page.index("</svg>") + 6]
    assert {"luong", "none", "updates"} <= {
        text.text for text in ElementTree.fromstring(picture).iterfind(".//{*}text")
    }


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="there are no models"):
        draw_quality([], [], AXES)
