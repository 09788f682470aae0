"""Scores of a classifier: accuracy, precision, recall and F1 by label, their means, and calibration."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Guo et al. 2017, section 4
BINS = 15
_RELATION = re.compile(r"(.+)\((?:e1,e2|e2,e1)\)")


@dataclass(frozen=True)
class LabelScore:
    """How well one label is found.

    Attributes:
        precision: part of the texts given this label that have it; 0 where none was given it.
        recall: part of the texts with this label that were given it; 0 where none has it.
        f1: harmonic mean of the two; 0 where both are.
        support: texts that have it.
        answered: texts that were given it.
    """

    precision: float
    recall: float
    f1: float
    support: int
    answered: int


@dataclass(frozen=True)
class Bin:
    """Texts whose answers were about equally certain.

    Attributes:
        confidence: mean probability of the answers.
        accuracy: part of the answers that are right.
        count: texts.
    """

    confidence: float
    accuracy: float
    count: int


def confusion_matrix(right: np.ndarray, answers: np.ndarray, num_labels: int) -> np.ndarray:
    """How many texts with each label (rows) were given each label (columns): `[labels, labels]`.

    Args:
        right: `[texts]`, places of the right labels, from 0.
        answers: `[texts]`, places of the labels that were given.
        num_labels: labels that there are.

    Raises:
        ValueError: the two differ in number, there is no text, or a place is not below `num_labels`.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    right, answers = np.asarray(right), np.asarray(answers)
    if right.shape != answers.shape or right.ndim != 1:
        raise ValueError(f"right has shape {right.shape} but answers {answers.shape}; give one of each for each text")
    if not len(right):
        raise ValueError("there are no answers to score; give at least one text")
    both = np.concatenate([right, answers])
    if both.min() < 0 or both.max() >= num_labels:
        raise ValueError(f"labels go from {both.min()} to {both.max()}; expected 0 to {num_labels - 1}")
    matrix = np.zeros((num_labels, num_labels), dtype=np.int64)
    np.add.at(matrix, (right, answers), 1)
    return matrix


def label_scores(matrix: np.ndarray) -> list[LabelScore]:
    """Precision, recall and F1 of each label of a confusion matrix, rows the right labels.

    >>> first, second = label_scores(np.array([[3, 1], [0, 1]]))
    >>> first.precision, first.recall, round(second.f1, 3)
    (1.0, 0.75, 0.667)
    """
    hits = np.diag(matrix).astype(np.float64)
    support, answered = matrix.sum(1), matrix.sum(0)
    precision, recall = _part(hits, answered), _part(hits, support)
    f1 = _part(2 * hits, support + answered)
    columns = zip(precision, recall, f1, support, answered, strict=True)
    return [LabelScore(float(p), float(r), float(f), int(s), int(a)) for p, r, f, s, a in columns]


def accuracy(matrix: np.ndarray) -> float:
    """Part of the texts that were given the right label.

    >>> accuracy(np.array([[3, 1], [0, 1]]))
    0.8
    """
    return float(np.trace(matrix) / matrix.sum())


def macro_f1(matrix: np.ndarray) -> float:
    """Mean of the F1 of the labels, each counting the same; one that no text has and none was given does not count.

    >>> round(macro_f1(np.array([[3, 1, 0], [0, 1, 0], [0, 0, 0]])), 3)
    0.762
    """
    return float(np.mean([one.f1 for one in label_scores(matrix) if one.support + one.answered]))


def relation_of(label: str) -> str | None:
    """The relation that a label names with its direction; None where it names none.

    >>> relation_of("Cause-Effect(e2,e1)"), relation_of("Other")
    ('Cause-Effect', None)
    """
    match = _RELATION.fullmatch(label)
    return match and match[1]


def is_relation(label: str) -> bool:
    """Whether a label names a relation and its direction.

    >>> is_relation("Cause-Effect(e2,e1)"), is_relation("Other")
    (True, False)
    """
    return relation_of(label) is not None


def relation_f1(matrix: np.ndarray, labels: Sequence[str]) -> float:
    """The official score of SemEval-2010 task 8 (Hendrickx et al. 2010, section 4.3): mean F1 of the relations.

    A label such as `Cause-Effect(e2,e1)` is a relation with a direction; one without, such as `Other`, has no F1 of its
    own. An answer is right where relation and direction are; one with the wrong direction counts among the answers of
    its relation, which has one precision and one recall for both directions.

    Args:
        matrix: of confusion, rows the right labels.
        labels: their names, in its order.

    Raises:
        ValueError: no label has a direction.

    >>> labels = ["Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other"]
    >>> round(relation_f1(np.array([[3, 1, 0], [0, 2, 0], [1, 0, 5]]), labels), 3)
    0.769
    """
    relations = [*map(relation_of, labels)]
    scores = []
    for relation in dict.fromkeys(name for name in relations if name):
        own = np.array([name == relation for name in relations])
        hits, known, answered = np.trace(matrix[own][:, own]), matrix[own].sum(), matrix[:, own].sum()
        scores.append(2 * hits / max(known + answered, 1))
    if not scores:
        raise ValueError("no label names a relation and its direction, as Cause-Effect(e2,e1) does")
    return float(np.mean(scores))


def calibration(confidences: np.ndarray, hits: np.ndarray, bins: int = BINS) -> list[Bin]:
    """What is claimed beside what is true: bins of equal width over the confidence (Guo et al. 2017, section 2).

    A confidence on the edge of two bins counts to the lower one; bins without a text are left out.

    Args:
        confidences: `[texts]`, the probability of each answer, in [0, 1].
        hits: `[texts]`, whether the answer is right.
        bins: how many.

    Raises:
        ValueError: the two differ in number, there is no text, or a confidence is no probability.

    >>> calibration(np.array([0.9, 0.8, 0.1]), np.array([True, False, False]), bins=2)[1].accuracy
    0.5
    """
    confidences, hits = np.asarray(confidences, dtype=np.float64), np.asarray(hits, dtype=bool)
    if confidences.shape != hits.shape or confidences.ndim != 1 or not len(hits):
        raise ValueError(f"confidences have shape {confidences.shape} and hits {hits.shape}; give one of each, or more")
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("confidences hold numbers outside 0 to 1; expected probabilities")
    places = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    return [
        Bin(float(confidences[here].mean()), float(hits[here].mean()), int(here.sum()))
        for here in (places == place for place in range(bins))
        if here.any()
    ]


def expected_calibration_error(confidences: np.ndarray, hits: np.ndarray, bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy over the bins of `calibration`, by texts (Guo et al. 2017, equation 3).

    Arguments and errors as of `calibration`.

    >>> round(expected_calibration_error(np.array([0.9, 0.8]), np.array([True, False]), bins=2), 3)
    0.35
    """
    found = calibration(confidences, hits, bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in found) / len(np.asarray(hits))


def _part(some: np.ndarray, of_all: np.ndarray) -> np.ndarray:
    """Some of all, 0 where there are none."""
    return np.divide(some, of_all, out=np.zeros_like(some), where=of_all > 0)
