"""CIDEr-D by hand, BLEU with several references by sacreBLEU itself, and what cannot be scored."""

import math

import pytest
import sacrebleu

from heedful.metrics.captions import score_captions


def test_cider_is_that_of_a_calculation_by_hand():
    captions, references = ["red dog", "a cat"], [["red dog", "dog runs"], ["a cat"]]
    # Two pictures: "red", "dog", "runs", "red dog", "dog runs" are each in one, so each weighs log 2. The caption
    # "red dog" has two words and one pair. Beside itself: 1 for words, 1 for pairs, 0 for three and four words.
    # Beside "dog runs": of the words one of two is common, 1 / (sqrt 2 sqrt 2); no pair is.
    first = ((1 + 1) / 4 + (1 / 2 + 0) / 4) / 2
    second = (1 + 1) / 4
    (score,) = score_captions(captions, references, ["cider"])
    assert score.value == pytest.approx(1000 * (first + second) / 2, rel=1e-12)
    assert score.signature.startswith("nrefs:var|")
    # a word said twice counts as often as the reference says it; the length differs by one: exp(-1 / 72)
    (score,) = score_captions(["dog dog", "a cat"], [["Dog."], ["A cat!"]], ["cider"])
    clipped = math.exp(-1 / 72) * (1 * 1) / (2 * 1) / 4
    assert score.value == pytest.approx(1000 * (clipped + 2 / 4) / 2, rel=1e-12)
    # what every picture's references say weighs nothing, and of one picture that is all
    assert score_captions(["a", "a"], [["a dog"], ["a cat"]], ["cider"])[0].value == 0
    assert score_captions(["a dog"], [["a dog"]], ["cider"])[0].value == 0


def test_other_scores_take_the_best_of_several_references():
    captions = ["a dog runs over the grass", "two cats sleep on a sofa"]
    references = [["the dog runs over the grass", "a dog is on the grass"], ["Two cats sleep on a sofa."]]
    bleu, chrf, exact = score_captions(captions, references, ["bleu", "chrf", "exact_match"])
    streams = [["the dog runs over the grass", "Two cats sleep on a sofa."], ["a dog is on the grass", None]]
    assert bleu.value == pytest.approx(sacrebleu.corpus_bleu(captions, streams).score)
    assert chrf.value == pytest.approx(sacrebleu.corpus_chrf(captions, streams).score)
    assert (exact.value, "nrefs:var" in bleu.signature) == (50.0, True)


@pytest.mark.messages
def test_what_cannot_be_scored_is_refused():
    for captions, references in (([], []), (["a"], []), (["a"], [[]])):
        with pytest.raises(ValueError, match="give each caption a list of one reference or more"):
            score_captions(captions, references, ["bleu"])
    with pytest.raises(ValueError, match="metric is 'meteor'; choose one of bleu, chrf, cider, exact_match, cer"):
        score_captions(["a"], [["a"]], ["meteor"])
