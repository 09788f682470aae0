"""Metrics as sums over examples: each gives what the metric of the whole set gives, and which way is better."""

import random

import numpy as np
import pytest

from heedful.metrics import strings
from heedful.metrics.captions import score_captions
from heedful.metrics.classification import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    relation_f1,
)
from heedful.metrics.counts import METRICS, count_captions, count_errors, count_labels, count_losses, count_texts
from heedful.metrics.rouge import rouge
from heedful.metrics.translation import bleu, chrf, tokenized_bleu
from heedful.tasks.recipe import CAPTION_METRICS, FORECAST_METRICS, LABEL_METRICS, VALIDATION_METRICS

REFERENCES = [["a red dog runs fast"], ["two cats sleep here", "two small cats sleep"], ["the man sees a red dog"]]
OUTPUTS = ["a red dog runs", "two cats sleep there", "a man sees the red dogs"]
ONE = [own[0] for own in REFERENCES]


def of_all(counted):
    return counted.score(counted.numbers.sum(0))


TEXTS = {
    "bleu": lambda: bleu(OUTPUTS, ONE),
    "chrf": lambda: chrf(OUTPUTS, ONE),
    "tokenized_bleu": lambda: tokenized_bleu(OUTPUTS, ONE, "en"),
    "wer": lambda: strings.word_error_rate(OUTPUTS, [[one] for one in ONE]),
    "per": lambda: strings.phone_error_rate(OUTPUTS, [[one] for one in ONE]),
    "exact_match": lambda: strings.exact_match(OUTPUTS, [[one] for one in ONE]),
    "rouge1": lambda: rouge(OUTPUTS, [[one] for one in ONE], "rouge1"),
    "rougeL": lambda: rouge(OUTPUTS, [[one] for one in ONE], "rougeL"),
}


@pytest.mark.parametrize("metric", TEXTS)
def test_the_score_of_the_sums_is_that_of_all_texts(metric):
    found = count_texts(metric, OUTPUTS, [[one] for one in ONE], "en")
    assert len(found.numbers) == len(OUTPUTS)
    assert of_all(found) == pytest.approx(TEXTS[metric]().value)


@pytest.mark.parametrize("metric", CAPTION_METRICS)
def test_captions_have_several_references(metric):
    (wanted,) = score_captions(OUTPUTS, REFERENCES, [metric])
    assert of_all(count_captions(metric, OUTPUTS, REFERENCES)) == pytest.approx(wanted.value)


def test_labels_count_by_hit_label_relation_and_bin():
    chance, labels = np.random.default_rng(3), ["Made(e1,e2)", "Made(e2,e1)", "Other", "Part(e1,e2)", "never"]
    right, answers = chance.integers(0, 4, 61), chance.integers(0, 4, 61)
    confidences = chance.uniform(0.2, 1, 61)
    matrix = confusion_matrix(right, answers, len(labels))
    wanted = {
        "accuracy": accuracy(matrix),
        "macro_f1": macro_f1(matrix),
        "relation_f1": relation_f1(matrix, labels),
        "calibration_error": expected_calibration_error(confidences, right == answers),
    }
    assert {*wanted} == {*LABEL_METRICS}
    for metric, value in wanted.items():
        assert of_all(count_labels(metric, right, answers, confidences, labels)) == pytest.approx(100 * value)


def test_units_are_sums_over_their_examples():
    found = count_errors(np.array([1.0, 2, 3]), np.array([2.0, 2, 1]), np.array([0, 1, 0]), np.array([1, 1, 2]))
    assert found.by_unit().tolist() == [[4, 3], [2, 2]]
    assert of_all(found) == pytest.approx(6 / 5)
    assert of_all(count_losses([[3.0, 2], [1.0, 2]])) == pytest.approx(np.e)


def test_every_metric_of_a_recipe_says_which_way_is_better():
    """Answers that get worse word by word never get a better score."""
    assert {*METRICS} >= {*VALIDATION_METRICS, *CAPTION_METRICS, *FORECAST_METRICS, *LABEL_METRICS} - {"loss"}
    chance = random.Random(1)
    worse = [" ".join(chance.sample(["some", "other", "words", "that", "nobody", "said"], 4)) for _ in ONE]
    for metric in TEXTS:
        good, bad = (of_all(count_texts(metric, said, [[one] for one in ONE], "en")) for said in (ONE, worse))
        assert (bad > good) == METRICS[metric].lower
    assert {name for name, one in METRICS.items() if one.lower} == {
        *("wer", "per", "cer", "perplexity", "calibration_error", "mse", "mae")
    }
