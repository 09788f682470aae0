"""Scores of translations, against sacreBLEU called independently and against BLEU written out by hand."""

import math
import subprocess
import sys
from collections import Counter

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from heedful.metrics.translation import Score, bleu, by_length, chrf, tokenized_bleu

HYPOTHESES = [
    "The cat sat on the mat.",
    "He doesn't know the answer, does he?",
    "A dog runs through the snow",
    "Two men are cooking in a small kitchen.",
    "I am.",
]
REFERENCES = [
    "The cat sat on a mat.",
    "He does not know the answer, does he?",
    "A brown dog is running through the snow.",
    "Two men cook in a tiny kitchen.",
    "I am.",
]
WORDS = st.sampled_from(["the", "a", "cat", "dog", "runs", "sat", ",", ".", "on", "mat"])
SENTENCES = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)


def bleu_by_hand(hypotheses, references):
    """Papineni et al. 2002, eqs. 1 to 4, with exponential smoothing of empty n-gram counts (Chen and Cherry 2014)."""
    pairs = [(h.split(), r.split()) for h, r in zip(hypotheses, references, strict=True)]
    logs, smoothing = [], 1.0
    for n in range(1, 5):
        matched = total = 0
        for hypothesis, reference in pairs:
            grams = [
                Counter(tuple(side[i : i + n]) for i in range(len(side) - n + 1)) for side in (hypothesis, reference)
            ]
            matched += sum((grams[0] & grams[1]).values())
            total += sum(grams[0].values())
        if total == 0:
            return 0.0
        if matched == 0:
            smoothing *= 2
        logs.append(math.log(matched / total if matched else 1 / (smoothing * total)))
    hypothesis_len = sum(len(h) for h, _ in pairs)
    reference_len = sum(len(r) for _, r in pairs)
    brevity = min(1.0, math.exp(1 - reference_len / hypothesis_len))
    return 100 * brevity * math.exp(sum(logs) / 4)


def test_bleu_is_what_sacrebleu_prints():
    assert bleu(HYPOTHESES, REFERENCES).value == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score


def test_bleu_signature_says_how_it_was_computed():
    signature = bleu(HYPOTHESES, REFERENCES).signature
    assert signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert "case:lc" in bleu(HYPOTHESES, REFERENCES, lowercase=True).signature
    assert "tok:char" in bleu(HYPOTHESES, REFERENCES, tokenize="char").signature


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_bleu_of_split_words_is_bleu_by_hand(pairs):
    hypotheses, references = (list(side) for side in zip(*pairs, strict=True))
    if not any(set(h.split()) & set(r.split()) for h, r in pairs):
        return  # sacreBLEU defines a corpus without one common word as 0
    assert bleu(hypotheses, references, tokenize="none").value == pytest.approx(bleu_by_hand(hypotheses, references))


def test_bleu_is_a_corpus_score_and_not_a_mean_of_sentences():
    corpus = bleu(HYPOTHESES, REFERENCES).value
    mean = sum(bleu([h], [r]).value for h, r in zip(HYPOTHESES, REFERENCES, strict=True)) / len(HYPOTHESES)
    assert abs(corpus - mean) > 1


def test_case_counts_unless_told_otherwise():
    assert bleu(["THE CAT SAT ON THE MAT"], ["the cat sat on the mat"]).value == 0
    assert bleu(["THE CAT SAT ON THE MAT"], ["the cat sat on the mat"], lowercase=True).value == pytest.approx(100)


def test_chrf_is_what_sacrebleu_prints():
    assert chrf(HYPOTHESES, REFERENCES).value == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    plus = sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES], word_order=2).score
    assert chrf(HYPOTHESES, REFERENCES, word_order=2).value == plus
    assert chrf(HYPOTHESES, REFERENCES, word_order=2).name == "chrF2++"


def test_tokenized_bleu_is_bleu_of_moses_tokens_in_lower_case():
    tokens = {
        "L'accord n'a PAS été signé, dit-il.": "l' accord n' a pas été signé , dit-il .",
        "L'accord a été signé !": "l' accord a été signé !",
        "L'accord n'a pas été signé hier.": "l' accord n' a pas été signé hier .",
        "L'accord a été signé.": "l' accord a été signé .",
    }
    lines = list(tokens)
    expected = bleu_by_hand([tokens[line] for line in lines[:2]], [tokens[line] for line in lines[2:]])
    score = tokenized_bleu(lines[:2], lines[2:], "fr")
    assert score.value == pytest.approx(expected)
    assert "tok:none" in score.signature
    assert "lowercased|moses:fr" in score.signature


def test_tokenized_bleu_uses_the_rules_of_the_language():
    hypothesis, reference = ["l'accord est bien signé"], ["cet accord est bien signé"]
    # English keeps the apostrophe with what follows, French with what comes before
    english = bleu_by_hand(["l 'accord est bien signé"], reference)
    french = bleu_by_hand(["l' accord est bien signé"], reference)
    assert english < french
    assert tokenized_bleu(hypothesis, reference, "en").value == pytest.approx(english)
    assert tokenized_bleu(hypothesis, reference, "fr").value == pytest.approx(french)


def test_a_score_prints_its_value_and_signature():
    assert str(Score("BLEU", 38.14, "tok:13a")) == "BLEU 38.1 (tok:13a)"


def test_each_bucket_scores_its_own_sentences():
    lengths = [6, 7, 6, 8, 2]
    short, middle, long = by_length(HYPOTHESES, REFERENCES, lengths, [(1, 5), (6, 7), (8, None)])
    assert [bucket.count for bucket in (short, middle, long)] == [1, 3, 1]
    assert [bucket.label for bucket in (short, middle, long)] == ["1-5", "6-7", "8+"]
    assert middle.score == bleu(HYPOTHESES[:3], REFERENCES[:3])
    assert long.score == bleu(HYPOTHESES[3:4], REFERENCES[3:4])


def test_a_bucket_without_sentences_has_no_score():
    (bucket,) = by_length(["a"], ["a"], [3], [(4, 9)])
    assert (bucket.count, bucket.score) == (0, None)


def test_the_metric_of_the_buckets_can_be_chosen():
    (bucket,) = by_length(HYPOTHESES, REFERENCES, [5] * 5, [(1, None)], metric=chrf)
    assert bucket.score == chrf(HYPOTHESES, REFERENCES)


@pytest.mark.parametrize("metric", [bleu, chrf, lambda h, r: tokenized_bleu(h, r, "en")])
def test_sides_that_do_not_fit_are_refused(metric):
    with pytest.raises(ValueError, match="2 hypotheses came with 1 references; give one reference per hypothesis"):
        metric(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no hypotheses to score"):
        metric([], [])


def test_one_string_is_not_a_list_of_sentences():
    with pytest.raises(ValueError, match="hypotheses is one string; give a list of sentences"):
        bleu("one sentence", ["one sentence"])


def test_other_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="tokenize is '13b'; choose one of 13a, intl"):
        bleu(["a"], ["a"], tokenize="13b")
    with pytest.raises(ValueError, match=r"language is 'german'; Moses has rules for .*de"):
        tokenized_bleu(["a"], ["a"], "german")
    with pytest.raises(ValueError, match="1 lengths came with 2 hypotheses"):
        by_length(["a", "b"], ["a", "b"], [1])
    with pytest.raises(ValueError, match=r"bucket \(5, 2\) ends before it begins"):
        by_length(["a"], ["a"], [1], [(5, 2)])


def test_scoring_loads_neither_torch_nor_matplotlib():
    code = "import sys, heedful.metrics.translation; print({'torch', 'matplotlib'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
