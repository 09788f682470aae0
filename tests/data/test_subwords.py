"""BPE-dropout: at rate 0 plain BPE, its cuts as frequent as the paper says, and the same for the same seed."""

from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.bundled import load_pairs
from heedful.data.subwords import SubwordSampler
from heedful.data.tokenizers import Tokenizer

TEXTS = load_pairs("tatoeba_en_fr", "val").target[:400]
KINDS = {"bpe": 600, "byte_bpe": 700}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request):
    return Tokenizer.train(TEXTS, kind=request.param, vocab_size=KINDS[request.param])


def as_lists(ids):
    return [sentence.tolist() for sentence in ids]


def test_without_dropout_it_is_the_encoding_of_the_tokenizer(tokenizer):
    texts = [*TEXTS, "", " ", "日本語 and ☃☃☃ snow", "I'm l'été\u00a0!", "▁", "<s> <pad>"]
    assert as_lists(SubwordSampler(tokenizer, 0.0).encode_all(texts, [1])) == tokenizer.encode_batch(texts)


@given(texts=st.lists(st.text(max_size=20), max_size=5), rate=st.sampled_from([0.0, 0.1, 0.9]))
def test_any_text_reads_the_same_however_it_is_cut(texts, rate):
    for kind, size in KINDS.items():
        tokenizer = TOKENIZERS.setdefault(kind, Tokenizer.train(TEXTS, kind=kind, vocab_size=size))
        found = as_lists(SubwordSampler(tokenizer, rate).encode_all(texts, [3]))
        assert [*map(tokenizer.decode, found)] == [tokenizer.decode(tokenizer.encode(text)) for text in texts]


TOKENIZERS = {}


def chances(symbols, merges, rate):
    """The probability of every cut, from the paper's algorithm: at each step the first merge that is not left out."""
    ranks = {(left, right): (rank, new) for rank, (left, right, new) in enumerate(merges)}

    @cache
    def of(symbols):
        possible = sorted((*ranks[pair], place) for place, pair in enumerate(pairwise(symbols)) if pair in ranks)
        found = Counter({symbols: rate ** len(possible)})
        for before, (_, new, place) in enumerate(possible):
            for cut, chance in of((*symbols[:place], new, *symbols[place + 2 :])).items():
                found[cut] += (1 - rate) * rate**before * chance
        return found

    return of(tuple(symbols))


@pytest.mark.parametrize("word", ["maison", "ananas"])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_the_cuts_are_as_frequent_as_the_paper_says(tokenizer, word, rate):
    entries, merges = tokenizer.merges()
    (text,) = tokenizer.cut(word)
    expected = chances([entries[character] for character in text], merges, rate)
    assert sum(expected.values()) == pytest.approx(1)
    draws = 20_000
    found = Counter(map(tuple, as_lists(SubwordSampler(tokenizer, rate).encode_all([word] * draws, [5]))))
    assert set(found) <= set(expected)
    for cut, chance in expected.items():
        assert abs(found[cut] - draws * chance) < 5 * np.sqrt(draws * chance * (1 - chance)) + 1


def test_the_same_seed_cuts_the_same_and_another_otherwise(tokenizer):
    sampler, again = SubwordSampler(tokenizer, 0.1), SubwordSampler(tokenizer, 0.1)
    first = as_lists(sampler.encode_all(TEXTS, [1, 0]))
    assert as_lists(sampler.encode_all(TEXTS, [1, 1])) != first
    assert as_lists(again.encode_all(TEXTS, [1, 0])) == first
    plain = sum(map(len, tokenizer.encode_batch(TEXTS)))
    assert 1.03 * plain < sum(map(len, first)) < 1.6 * plain


def test_what_cannot_be_cut_by_chance_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"rate is 1.0; expected a probability from 0 up to, but not, 1"):
        SubwordSampler(tokenizer, 1.0)
    with pytest.raises(ValueError, match="kind 'word' has no merges; subword regularisation is for 'bpe'"):
        SubwordSampler(Tokenizer.train(["a b"], kind="word"), 0.1)
