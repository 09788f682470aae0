"""Pairs on the disk and what an epoch draws from them: every pair once in a pass, a function of (seed, epoch) alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import DataError, OutputError
from heedful.data import storage
from heedful.data.ids import Ids
from heedful.data.readers import Pairs
from heedful.data.sampler import PairSampler, join
from heedful.data.selection import Selection, sentence_key
from heedful.data.storage import CorpusFolder, MemoryStorage, store


def numbered(first, last):
    return [(f"s{number}", f"t{number}") for number in range(first, last)]


def in_memory(pairs, origin="here"):
    return MemoryStorage(Pairs([source for source, _ in pairs], [target for _, target in pairs], {}, origin))


def both(pairs):
    return list(zip(pairs.source, pairs.target, strict=True))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(storage, "BLOCK", 7)


# --- on the disk ---


def test_what_was_stored_comes_back_in_any_order_of_blocks(tmp_path):
    corpora = [("a", numbered(0, 30)), ("b", numbered(100, 103)), ("c", numbered(200, 214))]
    kept = store(tmp_path / "corpus", corpora, Selection(), lambda: {"more": [1]})
    for found in (kept, CorpusFolder(tmp_path / "corpus")):
        assert [storage.origin for storage in found.storages] == ["a", "b", "c"]
        assert [storage.num_pairs for storage in found.storages] == [30, 3, 14]
        assert [storage.num_blocks for storage in found.storages] == [5, 1, 2]
        assert [both(storage.read(range(storage.num_blocks))) for storage in found.storages] == [
            pairs for _, pairs in corpora
        ]
        assert both(found.storages[0].read([4, 1])) == numbered(28, 30) + numbered(7, 14)
        assert found.facts["more"] == [1]
        assert len(found.held_out) == 0


def test_what_is_left_out_on_the_disk_is_what_is_left_out_in_memory(tmp_path):
    corpora = [("a", numbered(0, 60) + numbered(10, 20)), ("b", numbered(55, 90))]
    found = store(tmp_path / "corpus", corpora, Selection(deduplicate=True, hold_out=6))
    selection = Selection(deduplicate=True, hold_out=6)
    everything = [pair for _, pairs in corpora for pair in pairs]
    for pair in everything:
        selection.see(*pair)
    kept, held_out = selection.finish()
    assert both(found.held_out) == [everything[place] for place in held_out]
    assert len(found.held_out) == 6
    whole = [pair for storage in found.storages for pair in both(storage.read(range(storage.num_blocks)))]
    assert whole == [pair for pair, stays in zip(everything, kept, strict=True) if stays]
    assert len(whole) == 90 - 6
    assert not {sentence_key(source) for source, _ in whole} & set(found.held_out.source)


def test_a_store_that_fails_on_the_way_leaves_what_stood_there(tmp_path):
    def broken():
        yield "a", "b"
        raise DataError("the file ends here")

    store(tmp_path / "corpus", [("a", numbered(0, 3))], Selection())
    with pytest.raises(DataError, match="the file ends here"):
        store(tmp_path / "corpus", [("a", broken())], Selection())
    assert both(CorpusFolder(tmp_path / "corpus").storages[0].read([0])) == numbered(0, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize("name", ["pairs.parquet", "kept.npy", "facts.json", "held_out.json"])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_damaged_store_is_told_in_one_sentence(tmp_path, name, part):
    store(tmp_path, [("a", numbered(0, 30))], Selection())
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match=r"is damaged \(.*\); delete it, and the same command makes it anew\.$"):
        CorpusFolder(tmp_path).storages[0].read([0])


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        store(tmp_path / "file" / "corpus", [("a", numbered(0, 3))], Selection())


# --- drawing ---


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    epoch_pairs=st.integers(1, 60),
    seed=st.integers(0, 3),
)
def test_every_pair_comes_once_in_each_pass(sizes, epoch_pairs, seed):
    corpora = [numbered(100 * place, 100 * place + size) for place, size in enumerate(sizes)]
    sampler = PairSampler([in_memory(pairs) for pairs in corpora], epoch_pairs=epoch_pairs, seed=seed)
    epochs = -(-2 * sum(sizes) // epoch_pairs) + 1
    drawn = [sampler.epoch(number) for number in range(epochs)]
    assert all(len(pairs) for pairs in drawn)
    for place, pairs in enumerate(corpora):
        own = [pair for epoch in drawn for pair in both(epoch) if int(pair[0][1:]) // 100 == place]
        counts = Counter(own)
        assert set(counts) == set(pairs)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_what_an_epoch_draws_depends_on_seed_and_number_alone(tmp_path):
    found = store(tmp_path, [("a", numbered(0, 300)), ("b", numbered(300, 400))], Selection())
    expected = [both(PairSampler(found.storages, epoch_pairs=80, seed=4).epoch(number)) for number in range(9)]
    again = PairSampler(CorpusFolder(tmp_path).storages, epoch_pairs=80, seed=4)
    assert [both(again.epoch(number)) for number in reversed(range(9))] == expected[::-1]
    assert both(PairSampler(found.storages, epoch_pairs=80, seed=5).epoch(0)) != expected[0]
    assert expected[0] != expected[5]


def test_corpora_are_drawn_by_their_weights():
    sampler = PairSampler(
        [in_memory(numbered(0, 50)), in_memory(numbered(1000, 2000))], weights=[3.0, 1.0], epoch_pairs=200
    )
    for number in range(5):
        small = [source for source in sampler.epoch(number).source if int(source[1:]) < 1000]
        assert len(small) == 150
        assert Counter(Counter(small).values()) == {3: 50}
    assert (
        len({source for number in range(20) for source in sampler.epoch(number).source if int(source[1:]) >= 1000})
        == 1000
    )


def test_an_uneven_share_adds_up_over_epochs():
    sampler = PairSampler(
        [in_memory(numbered(0, 100)), in_memory(numbered(1000, 1100))], weights=[1.0, 0.03], epoch_pairs=10
    )
    counts = [sum(int(source[1:]) >= 1000 for source in sampler.epoch(number).source) for number in range(100)]
    assert set(counts) == {0, 1}
    assert sum(counts) == round(1000 * 0.03 / 1.03)


def test_without_wishes_an_epoch_is_everything_in_its_order():
    sampler = PairSampler([in_memory(numbered(0, 5)), in_memory(numbered(5, 9))])
    assert sampler.whole
    assert both(sampler.epoch(0)) == both(sampler.epoch(3)) == numbered(0, 9)


def test_a_sample_keeps_the_proportions(tmp_path):
    found = store(tmp_path, [("a", numbered(0, 700)), ("b", numbered(1000, 3100))], Selection())
    sampler = PairSampler(found.storages, weights=[3.0, 1.0], epoch_pairs=50)
    sample = sampler.sample(280)
    small = sum(int(source[1:]) < 1000 for source in sample.source)
    assert (small, len(sample) - small) == (210, 70)
    assert sampler.sample(5000).source == [source for source, _ in numbered(0, 700) + numbered(1000, 3100)]


def test_wrong_wishes_are_refused():
    storage = in_memory(numbered(0, 5))
    with pytest.raises(ValueError, match=r"weights must be 1 numbers above 0, one for each corpus; got \[1\.0, 2\.0\]"):
        PairSampler([storage], weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="epoch_pairs must be at least 1; got 0"):
        PairSampler([storage], epoch_pairs=0)


def test_joined_corpora_add_up_what_was_skipped():
    parts = [Pairs(["a"], ["b"], {"empty line": 2}, "x"), Pairs(["c"], ["d"], {"empty line": 1, "not text": 4}, "y")]
    joined = join(parts)
    assert (both(joined), joined.origin) == ([("a", "b"), ("c", "d")], "x, y")
    assert joined.skipped == {"empty line": 3, "not text": 4}


# --- ids ---


@given(sentences=st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=5), max_size=8), data=st.data())
def test_packed_sentences_are_lists_in_little_memory(sentences, data):
    ids = Ids.pack(sentences)
    assert [one.tolist() for one in ids] == sentences
    assert ids.lengths.tolist() == [*map(len, sentences)]
    assert ids.flat.dtype == np.int32
    places = data.draw(st.lists(st.integers(0, len(sentences) - 1), max_size=6)) if sentences else []
    assert [one.tolist() for one in ids.take(places)] == [sentences[place] for place in places]
    assert [one.tolist() for one in Ids.join([ids, Ids.pack([]), ids])] == sentences * 2
    assert [one.tolist() for one in ids[1:3]] == sentences[1:3]
    with pytest.raises(IndexError):
        ids[len(sentences)]
