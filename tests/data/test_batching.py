"""Batches: every sentence once, the same for the same seed and epoch, little padding, and tensors that are right."""

import random
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.batching import BatchSampler, collate, pad
from heedful.data.bundled import load_pairs
from heedful.data.readers import read_pairs
from heedful.data.tokenizers import TokenizerPair

lengths = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), max_size=60)
sentences = st.lists(st.lists(st.integers(4, 99), min_size=1, max_size=7), min_size=1, max_size=5)


def sampler_of(pairs, **options):
    return BatchSampler([source for source, _ in pairs], [target for _, target in pairs], **options)


def test_a_batch_by_hand():
    batch = collate([[5, 6, 7], [8], [9, 9]], [[4], [6, 5, 4, 4, 9], []], index=[2, 0, 1])
    assert batch.source.tolist() == [[9, 9, 0], [5, 6, 7], [8, 0, 0]]
    assert batch.source_lengths.tolist() == [2, 3, 1]
    assert batch.target_in.tolist() == [[2, 0, 0, 0, 0, 0], [2, 4, 0, 0, 0, 0], [2, 6, 5, 4, 4, 9]]
    assert batch.target_out.tolist() == [[3, 0, 0, 0, 0, 0], [4, 3, 0, 0, 0, 0], [6, 5, 4, 4, 9, 3]]
    assert batch.target_lengths.tolist() == [1, 2, 6]
    assert batch.index.tolist() == [2, 0, 1]
    assert batch.num_target_tokens == 9
    assert {tensor.dtype for tensor in vars(batch).values()} == {torch.int64}


def test_a_batch_moves_to_a_device_whole():
    moved = collate([[5, 6]], [[7]], index=[0]).to("meta")
    assert {tensor.device.type for tensor in vars(moved).values()} == {"meta"}


@given(sentences=sentences)
def test_padding_can_be_taken_off_again(sentences):
    padded, lengths = pad(sentences)
    assert [row[:length] for row, length in zip(padded.tolist(), lengths.tolist(), strict=True)] == sentences
    assert padded.shape == (len(sentences), max(map(len, sentences)))
    assert int(padded.count_nonzero()) == int(lengths.sum())


def test_nothing_at_all_can_be_padded():
    padded, lengths = pad([])
    assert padded.shape == (0, 0)
    assert lengths.shape == (0,)


def test_an_empty_source_is_refused():
    with pytest.raises(ValueError, match="The source of pair 1 has no tokens; leave empty sentences out"):
        collate([[5], []], [[6], [7]], index=[0, 1])


@given(pairs=lengths, tokens=st.integers(1, 80), window=st.integers(1, 70), epoch=st.integers(0, 5))
def test_every_sentence_comes_once_in_batches_that_fit(pairs, tokens, window, epoch):
    batches = sampler_of(pairs, tokens_per_batch=tokens, seed=3, window=window).epoch(epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(pairs)))
    for batch in batches:
        assert len(batch) == 1 or sum(pairs[index][1] + 1 for index in batch) <= tokens


def test_a_sentence_that_is_too_long_is_a_batch_of_its_own():
    batches = BatchSampler([2, 2, 2, 2], [3, 50, 3, 3], tokens_per_batch=12).epoch(0)
    assert sorted(map(sorted, batches)) == [[0, 2, 3], [1]]


def test_the_limit_counts_the_end_of_the_sentence():
    assert len(BatchSampler([1, 1], [4, 4], tokens_per_batch=10).epoch(0)) == 1
    assert len(BatchSampler([1, 1], [4, 4], tokens_per_batch=9).epoch(0)) == 2


def test_the_order_depends_on_seed_and_epoch_alone():
    pairs = [(1 + i % 7, i % 11) for i in range(500)]
    expected = sampler_of(pairs, tokens_per_batch=50, seed=5).epoch(2)
    # not the standard library's state: the shape checker of the tests draws from it
    states = str(np.random.get_state()), torch.get_rng_state().tolist()
    again = sampler_of(pairs, tokens_per_batch=50, seed=5)
    assert again.epoch(0) != expected
    assert again.epoch(2) == expected
    assert sampler_of(pairs, tokens_per_batch=50, seed=6).epoch(2) != expected
    assert (str(np.random.get_state()), torch.get_rng_state().tolist()) == states
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    assert again.epoch(2) == expected


def test_long_and_short_batches_come_mixed():
    pairs = [(1 + i % 40, i % 40) for i in range(4000)]
    means = [
        np.mean([pairs[index][1] for index in batch]) for batch in sampler_of(pairs, tokens_per_batch=200).epoch(0)
    ]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.1


def test_sentences_meet_other_sentences_in_another_epoch():
    pairs = [(3, 3)] * 100
    sampler = sampler_of(pairs, tokens_per_batch=20)
    assert {frozenset(batch) for batch in sampler.epoch(0)}.isdisjoint(frozenset(batch) for batch in sampler.epoch(1))


def test_fifty_thousand_pairs_are_batched_in_a_moment():
    random = np.random.default_rng(0)
    sampler = BatchSampler(random.integers(1, 40, 50_000), random.integers(1, 40, 50_000), tokens_per_batch=700)
    began = time.perf_counter()
    sampler.epoch(0)
    assert time.perf_counter() - began < 0.5


def shares_of_padding(pairs, *budgets):
    """Padded positions over all positions of an epoch, both sides, counted position by position."""
    tokenizers = TokenizerPair.train(pairs.source, pairs.target, kind="bpe", vocab_size=4000)
    sources, targets = tokenizers.source.encode_batch(pairs.source), tokenizers.target.encode_batch(pairs.target)
    for tokens_per_batch in budgets:
        sampler = BatchSampler([*map(len, sources)], [*map(len, targets)], tokens_per_batch=tokens_per_batch)
        batches = [collate(sources, targets, index) for index in sampler.epoch(1)]
        padded = sum(int((batch.source == 0).sum() + (batch.target_out == 0).sum()) for batch in batches)
        yield padded / sum(batch.source.numel() + batch.target_out.numel() for batch in batches)


def test_under_ten_per_cent_of_the_bundled_pairs_is_padding():
    assert max(shares_of_padding(load_pairs("tatoeba_en_fr", "train"), 700, 4000)) < 0.1


def test_under_ten_per_cent_of_multi30k_is_padding(data_folder):
    pairs = read_pairs(data_folder / "multi30k" / "train.en.gz", data_folder / "multi30k" / "train.de.gz")
    assert max(shares_of_padding(pairs, 700, 4000)) < 0.1


def test_unequal_lists_of_lengths_are_refused():
    with pytest.raises(ValueError, match="source_lengths has 2 entries but target_lengths has 3; give one of each"):
        BatchSampler([1, 2], [1, 2, 3], tokens_per_batch=10)


@pytest.mark.parametrize(("tokens", "window"), [(0, 5), (5, 0)])
def test_sizes_below_one_are_refused(tokens, window):
    with pytest.raises(ValueError, match=f"must be at least 1; got {tokens} and {window}"):
        BatchSampler([1], [1], tokens_per_batch=tokens, window=window)
