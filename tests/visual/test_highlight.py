"""Texts whose words are marked."""

from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given

from heedful.visual.highlight import Reading, highlights, write_highlights
from tests.visual.samples import HOSTILE, parts


class Marks(HTMLParser):
    """The words and shares that a browser finds in a page."""

    def __init__(self):
        super().__init__()
        self.words, self.shares, self.inside, self.tags = [], [], False, []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "mark":
            self.inside = True
            self.words.append("")
            self.shares.append(float(dict(attributes)["style"].removeprefix("--share:")))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "mark"

    def handle_data(self, data):
        if self.inside:
            self.words[-1] += data


def found(page: str) -> Marks:
    marks = Marks()
    marks.feed(page)
    return marks


@given(parts())
def test_the_word_looked_at_most_has_the_full_colour_and_the_others_their_share(drawn):
    words, _, weights = drawn
    marks = found(highlights([Reading(words, weights[0])]))
    assert len(marks.words) == len(words)
    top = weights[0].max() or 1.0
    assert marks.shares == pytest.approx((weights[0] / top).tolist(), abs=6e-4)


def test_words_captions_and_titles_may_hold_anything():
    page = highlights([Reading(HOSTILE, np.ones(len(HOSTILE)), "</p><script>1</script>")], "<title>")
    marks = found(page)
    assert "script" not in marks.tags
    assert marks.words[0] == "</script>"
    assert "https:" not in page


def test_a_page_is_written_whole(tmp_path):
    path = write_highlights(
        [Reading(["good"], np.ones(1)), Reading(["bad"], np.ones(1))], tmp_path / "new" / "page.html"
    )
    assert found(path.read_text(encoding="utf-8")).words == ["good", "bad"]


@pytest.mark.parametrize(
    ("words", "weights", "message"),
    [
        (["a", "b"], np.ones(3), r"weights have shape \(3,\) but there are 2 words; give one each"),
        ("ab", np.ones(2), r"there are 2 words; give one each"),
        (["a"], -np.ones(1), r"weights hold negative numbers, NaN or infinity"),
        (["a"], np.full(1, np.nan), r"weights hold negative numbers, NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_refused(words, weights, message):
    with pytest.raises(ValueError, match=message):
        Reading(words, weights)


def test_no_readings_are_refused():
    with pytest.raises(ValueError, match=r"there are no readings; expected at least one"):
        highlights([])


def test_a_document_has_a_line_a_sentence_marked_by_the_sum_of_its_words():
    reading = Reading(["so", "good", "it", "is"], np.array([0.1, 0.3, 0.4, 0.2]), "", [1, 3])
    assert reading.line_weights.tolist() == pytest.approx([0.1, 0.9])
    page = highlights([reading])
    assert page.count("<p>") == 2
    marks = found(page)
    assert marks.words == ["10%", "so", "90%", "good", "it", "is"]
    assert marks.shares == pytest.approx([1 / 9, 0.25, 1, 0.75, 1, 0.5], abs=6e-4)
    with pytest.raises(ValueError, match=r"lines are \[2, 1\] but there are 4 words"):
        Reading(reading.words, reading.weights, "", [2, 1])
