"""From a recipe's data to batches: several sets, the disk, held-out validation, limits, dropout, and exact resume."""

import csv

import pytest
import torch

from heedful._errors import DataError, RecipeError
from heedful.data import storage
from heedful.data.readers import Pairs
from heedful.data.selection import sentence_key
from heedful.tasks import corpora
from heedful.tasks.batches import Limits, SampledBatches, encode, make_batches, make_tokenizers
from heedful.tasks.corpora import gather_material
from heedful.tasks.recipe import check_recipe
from heedful.tasks.trained import unique_state
from heedful.tasks.translation import train_translator
from heedful.training.batches import Batches, DatasetBatches
from tests.small import small_content, write_pairs


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """`recipe(data={...}, tokenizer={...}, **training)`: the small recipe with changes."""
    write_pairs(tmp_path)
    monkeypatch.setattr(storage, "BLOCK", 16)

    def make(data=None, tokenizer=None, name="run", **training):
        content = small_content(tmp_path, **training) | {"output": str(tmp_path / name)}
        content["data"] |= data or {}
        content["tokenizer"] |= tokenizer or {}
        return check_recipe(content, "here")

    return make


def both(pairs):
    return list(zip(pairs.source, pairs.target, strict=True))


def everything(stored):
    return [pair for storage in stored for pair in both(storage.read(range(storage.num_blocks)))]


# --- what is learned from ---


def test_the_disk_gives_the_same_pairs_as_memory(recipe, tmp_path):
    (tmp_path / "more.csv").write_bytes("fr,en\r\nVa !,Go now.\r\nva !,go  now.\r\nUn.,One.\r\n".encode("utf-16"))
    data = {
        "train": [{"tsv": str(tmp_path / "train.tsv")}, {"csv": str(tmp_path / "more.csv"), "columns": ["en", "fr"]}],
        "valid": None,
        "hold_out": 20,
        "deduplicate": True,
    }
    said: dict[bool, list[str]] = {True: [], False: []}
    found = {
        streaming: gather_material(recipe(data | {"streaming": streaming}).data, 3, tmp_path / "c", tell.append)
        for streaming, tell in said.items()
    }
    assert everything(found[True].sampler.storages) == everything(found[False].sampler.storages)
    assert both(found[True].valid) == both(found[False].valid)
    assert len({sentence_key(source) for source in found[True].valid.source}) == 20
    assert said[True][1:] == said[False]
    assert said[False][0] == f"Read 300 pairs from {tmp_path}/train.tsv."
    assert said[False][2].startswith("Left out ")
    assert said[False][3].startswith("Held out ")
    learned = {sentence_key(source) for source, _ in everything(found[True].sampler.storages)}
    assert not learned & {sentence_key(source) for source in found[True].valid.source}


def test_what_lies_on_the_disk_is_used_until_something_changes(recipe, tmp_path, monkeypatch):
    data = recipe({"streaming": True}).data
    first: list[str] = []
    gather_material(data, 3, tmp_path / "corpus", first.append)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "store", None)  # not called
        again: list[str] = []
        gather_material(data, 4, tmp_path / "corpus", again.append)
    assert again == first[1:]
    with (tmp_path / "train.tsv").open("a") as file:
        file.write("One more.\tEncore une.\n")
    assert gather_material(data, 3, tmp_path / "corpus").num_pairs == 301


def test_too_few_pairs_for_a_validation_set_are_told(recipe, tmp_path):
    (tmp_path / "few.tsv").write_text("a\tb\n" * 5)
    data = recipe({"train": {"tsv": str(tmp_path / "few.tsv")}, "valid": None}).data
    with pytest.raises(DataError, match=r"too few pairs to hold some out for validation; give some as data\.valid"):
        gather_material(data, 3, tmp_path)


def test_a_set_that_adds_nothing_is_told(recipe, tmp_path):
    part = {"tsv": str(tmp_path / "train.tsv")}
    data = recipe({"train": [part, part], "deduplicate": True}).data
    with pytest.raises(DataError, match=r"One set of data\.train has no pair that another has not"):
        gather_material(data, 3, tmp_path)


def test_large_files_are_told_that_they_need_not_be_in_memory(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "LARGE", 1000)
    said = []
    gather_material(recipe().data, 3, tmp_path, said.append)
    assert "with data.streaming: true it need not fit in memory" in said[0]


@pytest.mark.parametrize("name", ["missing.tsv", "empty.tsv"])
def test_a_stream_without_pairs_leaves_nothing_behind(recipe, tmp_path, name):
    (tmp_path / "empty.tsv").touch()
    data = recipe({"train": {"tsv": str(tmp_path / name)}, "streaming": True}).data
    with pytest.raises(DataError, match=r"There is no file|gives no pair to use: it is empty"):
        gather_material(data, 3, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


# --- batches ---


def batches_of(recipe, folder, number):
    material = gather_material(recipe.data, recipe.seed, folder / "corpus")
    tokenizers = make_tokenizers(material.sample(), recipe.tokenizer)
    dataset = make_batches(material, tokenizers, recipe)
    assert isinstance(dataset, Batches)
    return dataset, list(dataset.epoch(number))


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"streaming": True, "epoch_pairs": 100}},
        {"tokenizer": {"dropout": 0.2}},
        {"data": {"epoch_pairs": 70}},
        {"data": {"streaming": True, "epoch_pairs": 64}, "tokenizer": {"dropout": 0.1}},
    ],
)
def test_an_epoch_is_a_function_of_seed_and_number(recipe, tmp_path, changes):
    dataset, expected = batches_of(recipe(**changes), tmp_path, 2)
    assert isinstance(dataset, SampledBatches)
    _, again = batches_of(recipe(**changes), tmp_path, 2)
    assert all(torch.equal(a.source, b.source) for a, b in zip(expected, again, strict=True))
    assert all(torch.equal(a.target_out, b.target_out) for a, b in zip(expected, again, strict=True))
    other = list(dataset.epoch(1))
    assert [batch.target_out.tolist() for batch in other] != [batch.target_out.tolist() for batch in expected]
    largest = dataset.largest()
    cost = [batch.source.shape[1] * batch.target_out.numel() for batch in dataset.epoch(0)]
    assert largest.source.shape[1] * largest.target_out.numel() == max(cost)


def test_every_pair_is_learned_from_once_in_a_pass_over_the_disk(recipe, tmp_path):
    changed = recipe({"streaming": True, "epoch_pairs": 16, "max_length": 100})
    dataset, _ = batches_of(changed, tmp_path, 0)
    counts = [sum(len(batch.index) for batch in dataset.epoch(number)) for number in range(19)]
    assert sum(counts) == 300  # 19 blocks, the last of which is short


def test_plain_data_are_encoded_once(recipe, tmp_path):
    dataset, _ = batches_of(recipe(), tmp_path, 0)
    assert isinstance(dataset, DatasetBatches)


def test_limits_leave_out_and_count():
    pairs = Pairs(["a", "a b c", "a a a a", "a b"], ["b", "b", "a a a a", ""], {}, "here")
    tokenizers = make_tokenizers(Pairs(["a b c"], ["a b"], {}, "here"), check_options(kind="word"))
    said = []
    kept = encode(pairs, tokenizers, Limits(3, 2.0), said.append).pairs
    assert both(kept) == [("a", "b")]
    assert said == [
        "Left out 3 pairs of here: a side has no token, more than 3 or more than 2 times as many as the other."
    ]


def check_options(**options):
    from heedful.tasks.data_options import TokenizerOptions

    return TokenizerOptions(**options)


def test_a_vocabulary_comes_from_a_list_or_from_a_model(small_run, tmp_path):
    (tmp_path / "words.txt").write_text("b\t9\na\t3\n")
    pairs = Pairs(["a b"], ["c d"], {}, "here")
    options = check_options(kind="word", source_vocabulary=str(tmp_path / "words.txt"))
    tokenizers = make_tokenizers(pairs, options)
    assert tokenizers.source.encode("a b c") == [5, 4, 1]
    assert tokenizers.target.encode("c d") == [4, 5]
    path = str(small_run.model / "tokenizer.json")
    taken = make_tokenizers(pairs, check_options(source_vocabulary=path, target_vocabulary=path))
    ours = small_run.translator.tokenizers
    assert taken.source.encode("Where is it?") == ours.source.encode("Where is it?")
    assert taken.target.encode("Où est-il ?") == ours.target.encode("Où est-il ?")
    with pytest.raises(RecipeError, match=r"tokenizer\.json is of kind bpe, lowercase False, unicode None, but"):
        make_tokenizers(pairs, check_options(kind="word", target_vocabulary=path))
    with pytest.raises(RecipeError, match=r"words\.txt: kind 'bpe' needs merges besides its entries"):
        make_tokenizers(pairs, check_options(source_vocabulary=str(tmp_path / "words.txt")))


# --- a run ---


def rows(folder):
    with (folder / "training" / "batches.csv").open() as file:
        return [row | {"seconds": "", "tokens_per_second": ""} for row in csv.DictReader(file)]


def test_a_run_from_the_disk_goes_on_to_the_same_numbers(recipe, tmp_path):
    """Cut off in the middle of the second epoch, with dropout of subwords and two weighted sets."""
    (tmp_path / "more.jsonl").write_text('{"en": "Go now, please.", "fr": "Va, je te prie."}\n' * 40)
    data = {
        "train": [
            {"tsv": str(tmp_path / "train.tsv"), "weight": 3.0},
            {"jsonl": str(tmp_path / "more.jsonl"), "columns": ["en", "fr"], "weight": 1.0},
        ],
        "valid": None,
        "hold_out": 8,
        "streaming": True,
        "epoch_pairs": 64,
    }
    options = {"data": data, "tokenizer": {"dropout": 0.1}, "validate_every": 100}
    whole = train_translator(recipe(**options, name="whole", max_steps=9))
    train_translator(recipe(**options, name="part", max_steps=5))
    assert rows(tmp_path / "part")[-1]["epoch"] != "1"
    resumed = train_translator(recipe(**options, name="part", max_steps=9))
    ours, theirs = (unique_state(run.translator.model) for run in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert rows(tmp_path / "whole")[5:] == rows(tmp_path / "part")[5:]
    assert whole.scores == resumed.scores
