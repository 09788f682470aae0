"""Word and phone error rates against every way to edit and against counts by hand."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.metrics.strings import edit_distance, exact_match, gathered, phone_error_rate, word_error_rate

PHONES = st.lists(st.sampled_from(["AA", "B", "T"]), max_size=6)


@cache
def fewest_edits(first, second):
    """Tries every way: drop, add or exchange the first symbol, or keep it where it is the same."""
    if not first or not second:
        return len(first) + len(second)
    ways = [fewest_edits(first[1:], second), fewest_edits(first, second[1:]), fewest_edits(first[1:], second[1:])]
    kept = fewest_edits(first[1:], second[1:]) if first[0] == second[0] else len(first) + len(second)
    return min(1 + min(ways), kept)


@given(first=PHONES, second=PHONES)
def test_the_distance_is_that_of_the_best_of_all_ways(first, second):
    assert edit_distance(first, second) == fewest_edits(tuple(first), tuple(second))


def test_a_word_is_right_that_has_one_of_its_pronunciations():
    outputs = ["R EH D", "R IY D ", "L  AY T", "T UW"]
    references = [["R EH D", "R IY D"], ["R EH D", "R IY D"], ["L AY T"], ["T AH", "T IH"]]
    assert word_error_rate(outputs, references).value == 25.0
    assert exact_match(outputs, references).value == 75.0
    assert word_error_rate(outputs, references).signature.startswith("words:4|references:7|closest:yes|version:")


def test_phones_are_counted_against_the_closest_pronunciation():
    # READ is one edit from either, and so is counted against one of three phones; TO needs two edits of the longer
    outputs, references = ["R D", "T"], [["R EH D", "R D Z Z", "R IY D"], ["T UW AH", "T AH T UW"]]
    assert phone_error_rate(outputs, references).value == pytest.approx(100 * (1 + 2) / (3 + 3))
    # of two that are as close, the longer one
    assert phone_error_rate(["A"], [["B", "A C"]]).value == pytest.approx(100 / 2)


def test_pairs_of_one_source_become_one_word():
    sources, outputs, references = ["b", "a", "b", "b"], ["1", "2", "1", "3"], ["x", "y", "1", "x"]
    assert gathered(sources, outputs, references) == (["1", "2"], [["x", "1", "x"], ["y"]])


@pytest.mark.parametrize("metric", [word_error_rate, exact_match, phone_error_rate])
@pytest.mark.parametrize(
    ("outputs", "references", "message"),
    [
        (["A"], [["A"], ["B"]], "1 outputs came with 2 lists of references"),
        ([], [], "there are no outputs to score"),
        (["A"], ["A"], r"references\[0\] is 'A'; give a list with at least one text"),
        (["A", "B"], [["A"], []], r"references\[1\] is \[\]; give a list"),
    ],
)
@pytest.mark.messages
def test_what_cannot_be_scored_is_refused(metric, outputs, references, message):
    with pytest.raises(ValueError, match=message):
        metric(outputs, references)


def test_references_without_phones_have_no_error_rate():
    with pytest.raises(ValueError, match="have no symbols to count errors by"):
        phone_error_rate(["A"], [[" "]])
