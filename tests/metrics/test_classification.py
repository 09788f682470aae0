"""Scores of a classifier against counts by hand, text by text."""

import numpy as np
import pytest

from heedful.metrics.classification import (
    accuracy,
    calibration,
    confusion_matrix,
    expected_calibration_error,
    label_scores,
    macro_f1,
    relation_f1,
)

LABELS = 5


@pytest.fixture
def said():
    random = np.random.default_rng(3)
    # label 4 is neither right nor given, label 3 never right, label 2 never given
    return random.choice([0, 1, 2], 37), random.choice([0, 1, 3], 37)


def test_every_cell_counts_its_texts(said):
    right, answers = said
    matrix = confusion_matrix(right, answers, LABELS)
    for row in range(LABELS):
        for column in range(LABELS):
            pairs = zip(right, answers, strict=True)
            assert matrix[row, column] == sum((one, other) == (row, column) for one, other in pairs)


def test_scores_by_label_and_their_means_are_those_counted_by_hand(said):
    right, answers = said
    matrix = confusion_matrix(right, answers, LABELS)
    f1s = []
    for label, found in enumerate(label_scores(matrix)):
        hits = sum((right == label) & (answers == label))
        given, has = sum(answers == label), sum(right == label)
        precision, recall = hits / given if given else 0.0, hits / has if has else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        assert (found.precision, found.recall) == pytest.approx((precision, recall))
        assert (found.f1, found.support, found.answered) == (pytest.approx(f1), has, given)
        f1s += [f1] if has or given else []
    assert len(f1s) == LABELS - 1
    assert macro_f1(matrix) == pytest.approx(sum(f1s) / len(f1s))
    assert accuracy(matrix) == pytest.approx(sum(right == answers) / len(right))


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_calibration_is_the_sum_over_bins_written_out(bins):
    random = np.random.default_rng(5)
    # with confidences on the edges of bins
    confidences = np.concatenate([random.random(23), [0.0, 0.25, 0.5, 1.0]])
    hits = random.random(27) < 0.6
    total = 0.0
    for place in range(bins):
        inside = [
            text
            for text, one in enumerate(confidences)
            if place / bins < one <= (place + 1) / bins or (place == 0 and one == 0)
        ]
        if inside:
            mean = sum(confidences[text] for text in inside) / len(inside)
            total += len(inside) / 27 * abs(mean - sum(hits[text] for text in inside) / len(inside))
    assert expected_calibration_error(confidences, hits, bins) == pytest.approx(total)
    assert sum(one.count for one in calibration(confidences, hits, bins)) == 27


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: confusion_matrix(np.array([0, 1]), np.array([0]), 2), r"right has shape \(2,\) but answers \(1,\)"),
        (lambda: confusion_matrix(np.array([], int), np.array([], int), 2), "there are no answers to score"),
        (lambda: confusion_matrix(np.array([0, 2]), np.array([0, -1]), 2), "labels go from -1 to 2; expected 0 to 1"),
        (lambda: calibration(np.array([0.5]), np.array([True, False])), "confidences have shape"),
        (lambda: calibration(np.array([1.5]), np.array([True])), "outside 0 to 1; expected probabilities"),
        (lambda: calibration(np.array([np.nan]), np.array([True])), "outside 0 to 1; expected probabilities"),
    ],
)
@pytest.mark.messages
def test_what_cannot_be_scored_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_relation_f1_counts_as_the_official_scorer_does():
    labels = ["A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "Other"]
    matrix = np.array([[5, 2, 1, 3], [0, 4, 0, 1], [2, 0, 3, 1], [1, 1, 0, 7]])
    # of A 9 right of 16 there are, 15 answers (13 where A is, 2 of the wrong direction among them, and 4 elsewhere)
    precision, recall = 9 / 15, 9 / 16
    first = 2 * precision * recall / (precision + recall)
    second = 2 * (3 / 4) * (3 / 6) / (3 / 4 + 3 / 6)
    assert relation_f1(matrix, labels) == pytest.approx((first + second) / 2)
    # a relation that nobody has and nobody is given counts as 0
    assert relation_f1(np.diag([4, 0]), ["A(e1,e2)", "B(e2,e1)"]) == 0.5
    with pytest.raises(ValueError, match="no label names a relation and its direction"):
        relation_f1(np.eye(2, dtype=int), ["A", "(e1,e2)"])
