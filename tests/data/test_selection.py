"""What stays of a training set: the first of equal pairs, and no source sentence on both sides."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.bundled import load_pairs
from heedful.data.selection import Selection, number_of, sentence_key

word = st.sampled_from(["a", "A", "b", "ä", "a\u0308", "Ａ", " a", "c d", "c  d", "e", "f", "g"])


def select(pairs, **options):
    selection = Selection(**options)
    for source, target in pairs:
        selection.see(source, target)
    kept, held_out = selection.finish()
    return kept.tolist(), held_out.tolist()


@given(pairs=st.lists(st.tuples(word, word), max_size=40))
def test_the_first_of_equal_pairs_stays(pairs):
    kept, held_out = select(pairs, deduplicate=True)
    seen, expected = set(), []
    for source, target in pairs:
        key = (sentence_key(source), sentence_key(target))
        expected.append(key not in seen)
        seen.add(key)
    assert (kept, held_out) == (expected, [])


@given(pairs=st.lists(st.tuples(word, word), max_size=60), hold_out=st.integers(1, 5), deduplicate=st.booleans())
def test_no_source_is_on_both_sides_and_every_pair_on_one(pairs, hold_out, deduplicate):
    kept, held_out = select(pairs, hold_out=hold_out, deduplicate=deduplicate)
    ours = {sentence_key(pairs[place][0]) for place in held_out}
    theirs = {sentence_key(source) for (source, _), stays in zip(pairs, kept, strict=True) if stays}
    assert not ours & theirs
    assert len(ours) == min(hold_out, len(pairs) // 10, len({sentence_key(source) for source, _ in pairs}))
    assert not any(kept[place] for place in held_out)
    if not deduplicate:
        assert sum(kept) + len(held_out) == len(pairs)
    # the smallest hashes, by the plain definition
    numbers = sorted({number_of(sentence_key(source)) for source, _ in pairs})[: len(ours)]
    assert {number_of(key) for key in ours} == set(numbers)


def test_the_choice_depends_on_the_sentences_and_not_on_their_order():
    pairs = load_pairs("tatoeba_en_fr", "val")
    both = list(zip(pairs.source, pairs.target, strict=True))
    _, held_out = select(both, hold_out=50)
    chosen = {both[place] for place in held_out}
    assert len({sentence_key(source) for source, _ in chosen}) == 50
    random.Random(3).shuffle(both)
    _, held_out = select(both, hold_out=50)
    assert {both[place] for place in held_out} == chosen


def test_the_hash_is_that_of_every_machine():
    assert number_of("où est mon livre ?") == 0xDF3E213CB3617E40


def test_many_pairs_of_one_source_stay_together():
    pairs = [("same", str(number)) for number in range(500)] + [(str(number), "x") for number in range(500)]
    kept, held_out = select(pairs, hold_out=90)
    assert (0 in held_out) == (499 in held_out) == (not kept[0])


@pytest.mark.parametrize(
    ("one", "other"), [("Straße", "STRASSE"), ("ﬁn", "fin"), ("a\u00a0b", "a b"), ("é", "e\u0301")]
)
def test_two_writings_of_one_sentence_have_one_key(one, other):
    assert sentence_key(one) == sentence_key(other)


def test_deduplication_takes_eight_bytes_a_pair():
    selection = Selection(deduplicate=True, hold_out=10)
    for number in range(5000):
        selection.see(str(number), "x")
    assert selection._pairs.itemsize * len(selection._pairs) == 8 * 5000
    assert len(selection._near) <= 80
    assert np.frombuffer(selection._pairs, np.uint64).shape == (5000,)
