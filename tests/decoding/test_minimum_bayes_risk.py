"""Minimum-Bayes-risk choice against a double loop."""

import pytest
import sacrebleu

from heedful.decoding import expected_utilities, minimum_bayes_risk

TEXTS = ["the cat sat down", "a cat sat down", "dogs", "the cat sat down", "", "the cat is down"]


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_utilities_are_means_of_sacrebleus_scores(name):
    score = sacrebleu.sentence_chrf if name == "chrf" else sacrebleu.sentence_bleu
    expected = [sum(score(text, [other]).score for other in TEXTS) / len(TEXTS) for text in TEXTS]
    assert expected_utilities(TEXTS, name) == pytest.approx(expected, abs=1e-9)
    assert minimum_bayes_risk(TEXTS, name) == 0


def test_a_function_serves_and_ties_go_to_the_first():
    assert minimum_bayes_risk(["b", "a", "c"], lambda text, reference: float(text == "c")) == 2
    assert minimum_bayes_risk(["b", "a"], lambda text, reference: 1.0) == 0


def test_nothing_to_choose_from_and_another_name_are_refused():
    with pytest.raises(ValueError, match="texts is empty"):
        minimum_bayes_risk([])
    with pytest.raises(ValueError, match="utility is 'rouge'"):
        minimum_bayes_risk(["a"], "rouge")
