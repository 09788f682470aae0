"""What is told of pairs before a training, against counts by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.selection import sentence_key
from heedful.data.survey import SAMPLES, Survey, script_of
from heedful.data.tokenizers import Tokenizer, TokenizerPair, cut_words

sentence = st.text(st.sampled_from("aB é.\u00a0ж日<"), min_size=1, max_size=6)


def survey_of(pairs):
    survey = Survey()
    survey.see_all(pairs)
    return survey.finish()


@given(pairs=st.lists(st.tuples(sentence, sentence), min_size=1, max_size=12))
def test_counts_are_those_by_hand(pairs):
    survey = survey_of(pairs)
    assert survey.count == len(pairs)
    for side, texts in ((survey.source, [s for s, _ in pairs]), (survey.target, [t for _, t in pairs])):
        words = Counter(word for text in texts for word in cut_words(text))
        assert side.words == words
        assert side.lengths.tolist() == [len(cut_words(text)) for text in texts]
        assert side.alphabet == Counter("".join(texts))
        covered = np.cumsum(sorted(words.values(), reverse=True)) / max(sum(words.values()), 1)
        np.testing.assert_allclose(side.coverage(), covered)
        assert side.no_break_spaces == sum("\u00a0" in text for text in texts)
    keys = [(sentence_key(s), sentence_key(t)) for s, t in pairs]
    assert survey.repeated_pairs() == len(keys) - len(set(keys))
    assert survey.repeated_sources() == sum(count > 1 for count in Counter(s for s, _ in keys).values())
    assert survey.shared_sources([pairs[0][0].upper(), "not there"]) == (
        sentence_key(pairs[0][0].upper()) == keys[0][0]
    )
    assert len(survey.samples) == min(SAMPLES, len(set(pairs)))
    assert set(survey.samples) <= set(pairs)


def test_the_samples_do_not_depend_on_the_order():
    pairs = [(f"s{number}", f"t{number}") for number in range(50)]
    assert sorted(survey_of(pairs).samples) == sorted(survey_of(pairs[::-1]).samples)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("Taxi!", "taxi!", "same on both sides"),
        ("word " * 101, "Wort " * 90, "more than 100 words"),
        ("a", "x" * 15, "one side more than 4 times as long"),
        ("...", "Bon.", "no letter or digit on a side"),
        ("bell \x07", "cloche", "control or replacement characters"),
        ("\ufffd", "x", "control or replacement characters"),
        ("<b>bold</b>", "gras", "markup or a web address"),
        ("&nbsp;x", "x y", "markup or a web address"),
        ("see www.a.org", "voir", "markup or a web address"),
        ("Привет мир", "Bonjour", "in another script: Cyrillic"),
    ],
)
def test_odd_pairs_are_counted_with_an_example(source, target, reason):
    plain = [(f"sentence {number}", f"phrase {number}") for number in range(5)]
    survey = survey_of([*plain, (source, target), (source, target)])
    assert survey.odd[reason] == 2
    assert survey.examples[reason] == [(source, target)]
    assert not survey_of(plain).odd


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("abc дa", "Latin"),
        ("私の本", "Japanese"),
        ("我的书", "Chinese"),
        ("내 책", "Korean"),
        ("שלום", "Hebrew"),
        ("1.", "none"),
    ],
)
def test_the_script_is_that_of_most_letters(text, script):
    assert script_of(text) == script


def test_a_vocabulary_is_measured_by_its_unknown_tokens():
    known = Tokenizer.train(["a b c"], kind="word", vocab_size=20)
    survey = Survey()
    survey.see("a b x", "c c", TokenizerPair(known, known, True))
    assert (survey.source.tokens.tolist(), survey.source.unknown) == ([3], 1)
    assert (survey.target.tokens.tolist(), survey.target.unknown) == ([2], 0)
