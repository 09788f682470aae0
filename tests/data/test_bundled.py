"""The pairs that ship with the package: small enough, spread over lengths, and nothing held out leaks into training."""

from collections import Counter
from importlib.resources import files

import pytest

from heedful.data.bundled import load_pairs

NAME = "tatoeba_en_fr"
FOLDER = files("heedful.data") / "bundled"


@pytest.fixture(scope="module")
def splits():
    return {split: load_pairs(NAME, split) for split in ("train", "val", "test")}


def letters(text):
    return "".join(character for character in text.lower() if character.isalnum())


def test_every_pair_can_be_used(splits):
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 49_000, "val": 757, "test": 985}
    assert all(pairs.skipped == {} for pairs in splits.values())


def test_the_whole_set_stays_small():
    assert sum(len(path.read_bytes()) for path in FOLDER.iterdir() if path.name.endswith(".xz")) <= 955_000


def test_no_held_out_sentence_is_trained_on(splits):
    held_out = [*splits["val"].source, *splits["test"].source], [*splits["val"].target, *splits["test"].target]
    assert {letters(text) for text in splits["train"].source}.isdisjoint(letters(text) for text in held_out[0])
    assert set(splits["train"].target).isdisjoint(held_out[1])


def test_val_and_test_share_no_english_sentence(splits):
    assert {letters(text) for text in splits["val"].source}.isdisjoint(map(letters, splits["test"].source))


@pytest.mark.parametrize("split", ["val", "test"])
def test_each_english_sentence_is_held_out_once(splits, split):
    assert max(Counter(map(letters, splits[split].source)).values()) == 1


def test_lengths_are_spread(splits):
    words = {split: [len(text.split()) for text in pairs.source] for split, pairs in splits.items()}
    assert all(min(counts) == 3 and max(counts) == 16 for counts in words.values())
    assert sum(count >= 10 for count in words["test"]) >= 250
    assert max(Counter(words["test"]).values()) <= 104
    assert sum(count >= 9 for count in words["train"]) > 20_000


def test_french_spaces_are_those_of_the_source(splits):
    assert sum(text.count("\u202f") for text in splits["train"].target) > 1000


def test_the_pairs_are_named_with_their_licence():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(
        word in text for word in ("tatoeba.org", "manythings.org/anki", "creativecommons.org/licenses/by/2.0/fr")
    )


def test_an_unknown_set_or_split_is_refused():
    with pytest.raises(ValueError, match="There is no bundled set 'multi30k'; expected one of tatoeba_en_fr"):
        load_pairs("multi30k", "train")
    with pytest.raises(ValueError, match="tatoeba_en_fr has no split 'dev'; expected one of train, val, test"):
        load_pairs(NAME, "dev")
