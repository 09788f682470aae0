"""Erasure against a bag of words, whose answer is known for every text."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.metrics.faithfulness import SHARES, faithfulness, rank_agreement

WORTH = {"awful": -2.0, "dull": -1.0, "the": 0.0, "film": 0.1, "fine": 1.0, "great": 2.5, "[gone]": 0.0}
WORDS = sorted(WORTH)


def chance(text):
    return 1 / (1 + math.exp(-sum(WORTH[word] for word in text)))


def bag_of_words(texts):
    yes = np.array([chance(text) for text in texts])
    return np.stack([1 - yes, yes], axis=1)


def by_hand(text, scores, shares):
    """Both measures for one order, from the paper's definitions."""
    order = sorted(range(len(text)), key=lambda place: (-scores[place], place))
    answer = (lambda words: chance(words)) if chance(text) > 0.5 else (lambda words: 1 - chance(words))
    lost = []
    for share in shares:
        top = order[: math.ceil(share * len(text) - 1e-9)]
        without = [word for place, word in enumerate(text) if place not in top]
        alone = [word for place, word in enumerate(text) if place in top]
        lost.append((answer(text) - answer(without), answer(text) - answer(alone)))
    return [sum(column) / len(shares) for column in zip(*lost, strict=True)]


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 3)), min_size=1, max_size=12))
def test_it_is_the_definition(pairs):
    text, scores = [word for word, _ in pairs], np.array([score for _, score in pairs])
    if chance(text) == 0.5:
        return
    found = faithfulness(bag_of_words, text, scores)
    wanted = by_hand(text, scores.tolist(), SHARES)
    assert found.comprehensiveness.given == pytest.approx(wanted[0])
    assert found.sufficiency.given == pytest.approx(wanted[1])


def test_what_a_word_is_worth_is_the_most_faithful_score():
    text = ["the", "film", "great", "dull", "fine", "the", "film", "the"]
    found = faithfulness(bag_of_words, text, np.array([WORTH[word] for word in text]), draws=20)
    removed, kept = found.comprehensiveness, found.sufficiency
    assert removed.given > removed.shuffled > removed.reversed
    assert kept.given < kept.shuffled < kept.reversed
    upside_down = faithfulness(bag_of_words, text, -np.array([WORTH[word] for word in text]))
    assert upside_down.comprehensiveness.given < removed.given


def test_all_texts_come_in_one_call_and_a_blank_keeps_their_length():
    calls = []

    def predict(texts):
        calls.append(texts)
        return bag_of_words(texts)

    text = ["great", "film", "the"]
    found = faithfulness(predict, text, np.array([3.0, 2.0, 1.0]), shares=[0.4], blank="[gone]", draws=3)
    assert len(calls) == 1
    assert all(len(one) == 3 for one in calls[0])
    assert calls[0][:3] == [text, ["[gone]", "[gone]", "the"], ["great", "film", "[gone]"]]
    assert found == faithfulness(predict, text, np.array([3.0, 2.0, 1.0]), shares=[0.4], blank="[gone]", draws=3)
    assert found.sufficiency.given == pytest.approx(0)  # "the" is worth nothing


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"scores have shape \(2,\) for 1 tokens; expected a finite number for each"):
        faithfulness(bag_of_words, ["the"], np.ones(2))
    with pytest.raises(ValueError, match=r"scores have shape \(0,\) for 0 tokens"):
        faithfulness(bag_of_words, [], np.ones(0))
    with pytest.raises(ValueError, match=r"shares are \[0\.0\]; expected at least one, each above 0"):
        faithfulness(bag_of_words, ["the"], np.ones(1), shares=[0.0])
    with pytest.raises(ValueError, match=r"predict gave shape \(2,\); expected \[\d+, classes\]"):
        faithfulness(lambda texts: np.ones(2), ["the"], np.ones(1))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=9))
def test_the_agreement_of_two_orders_is_kendalls_tau_b(scores):
    pairs = [(a, b) for place, a in enumerate(scores) for b in scores[:place]]
    agree = sum(np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in pairs)
    untied = [sum(a[side] != b[side] for a, b in pairs) for side in (0, 1)]
    found = rank_agreement(*map(np.array, zip(*scores, strict=True)))
    if all(untied):
        assert found == pytest.approx(agree / math.sqrt(untied[0] * untied[1]))
    else:
        assert math.isnan(found)


def test_orders_of_other_lengths_do_not_agree_or_differ():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\); expected two vectors"):
        rank_agreement(np.ones(2), np.ones(3))
