"""Shortlists: what goes with what, the whole vocabulary where they hold it, and nothing else where they do not."""

import shutil
from collections import defaultdict

import pytest
import torch

from heedful._errors import DataError, ModelFolderError, RecipeError
from heedful.data.vocabulary import SPECIAL_TOKENS
from heedful.decoding.constraints import Constraints
from heedful.tasks.model_folder import SHORTLIST, load_folder
from heedful.tasks.shortlist import FREQUENT, MOST, Shortlist, learn_shortlist, needed_ids, renumbered
from heedful.tasks.translation import train_translator
from heedful.tasks.translator import Translator

SENTENCES = ["I love you.", "Tom is not here today.", "Where do you live?", "Why?", ""]


def full(translator) -> Shortlist:
    sizes = translator.tokenizers.source.vocab_size, translator.tokenizers.target.vocab_size
    return Shortlist(torch.zeros(sizes[0], MOST, dtype=torch.long), torch.arange(sizes[1]))


@pytest.fixture
def translator(small_run):
    return Translator.load(small_run.model)


def decoding(translator, **changes):
    return translator.recipe.decoding.model_copy(update=changes)


def by_hand(sources, targets, rounds=5):
    """IBM model 1 with a NULL word (0), as dictionaries."""
    chance = defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for token in target:
                whole = sum(chance[word, token] for word in [0, *source])
                for word in [0, *source]:
                    counts[word, token] += chance[word, token] / whole
                    totals[word] += chance[word, token] / whole
        chance = defaultdict(float, {pair: count / totals[pair[0]] for pair, count in counts.items()})
    return chance


@pytest.mark.parametrize("block", [1, 2, 100])
def test_candidates_are_those_of_model_one_by_hand(monkeypatch, block):
    monkeypatch.setattr("heedful.tasks.shortlist._BLOCK", block)
    sources = [[4, 5], [4, 6, 4], [5, 6], [], [7]]
    targets = [[8, 9], [8, 10, 8], [9, 10, 11], [4], []]
    chance = by_hand(sources, targets)
    shortlist = learn_shortlist(sources, targets, (9, 12))
    for word in (4, 5, 6):
        known = sorted((token for (one, token) in chance if one == word), key=lambda token: -chance[word, token])
        assert shortlist.aligned[word, : len(known)].tolist() == known
        assert not shortlist.aligned[word, len(known) :].any()
    assert not shortlist.aligned[7:].any()
    assert shortlist.frequent[:2].tolist() == [8, 9]
    assert len(shortlist.frequent) == min(FREQUENT, 12)


@pytest.mark.parametrize("changes", [{}, {"beam": 1}, {"precision": "int8"}, {"repetition_penalty": 1.3}])
def test_a_shortlist_of_everything_changes_nothing(translator, changes):
    whole = translator.translate(SENTENCES, decoding=decoding(translator, **changes))
    translator.shortlist = full(translator)
    found = translator.translate(SENTENCES, decoding=decoding(translator, shortlist=7, **changes))
    for one, other in zip(found, whole, strict=True):
        assert one[0].hypothesis.tokens == other[0].hypothesis.tokens
        assert one[0].hypothesis.score == pytest.approx(other[0].hypothesis.score, abs=1e-4)


def test_weights_are_rounded_once_for_each_precision_and_again_when_they_changed(translator, monkeypatch):
    rounded = []
    monkeypatch.setattr("heedful.tasks.trained.cheaper", lambda model, precision: (rounded.append(precision), model)[1])
    for precision in ("int8", "bf16", "float32", "int8", "bf16"):
        translator.model_in(precision)
    assert rounded == ["int8", "bf16"]
    with torch.no_grad():
        next(translator.model.parameters()).mul_(2)
    translator.model_in("int8")
    assert rounded == ["int8", "bf16", "int8"]


def test_nothing_beside_the_shortlist_is_said_but_what_is_required(translator):
    few = Shortlist(torch.zeros(translator.tokenizers.source.vocab_size, MOST, dtype=torch.long), torch.tensor([9, 11]))
    translator.shortlist = few
    allowed = {*range(len(SPECIAL_TOKENS)), 9, 11}
    (found,) = translator.translate(["Tom is here."], decoding=decoding(translator, shortlist=1, replace_unknown=False))
    assert {*found[0].hypothesis.tokens} <= allowed
    word = translator.tokenizers.target.encode("Tom")
    options = decoding(translator, shortlist=1, required=["Tom"], banned=["Tom est"], replace_unknown=False)
    (found,) = translator.translate(["Tom is here."], decoding=options)
    said = found[0].hypothesis.tokens
    assert {*word} <= {*said} <= allowed | {*word}


def test_constraints_get_the_new_numbers():
    before = Constraints(banned=(1, 9, (7, 8), (7, 20)), prefix=(8,), required=((20, 8),))
    after = renumbered(before, torch.tensor([0, 1, 2, 3, 7, 8, 20]))
    assert after == Constraints(banned=((1,), (4, 5), (4, 6)), prefix=(5,), required=((6, 5),))
    assert needed_ids(before) == [8, 20, 8]


def test_a_shortlist_is_kept_with_the_model(translator, tmp_path):
    translator.shortlist = full(translator)
    translator.save(tmp_path / "model")
    again = Translator.load(tmp_path / "model").shortlist
    assert again is not None
    assert again.aligned.equal(translator.shortlist.aligned)
    assert again.frequent.equal(translator.shortlist.frequent)


def test_a_damaged_shortlist_is_refused(translator, small_run, tmp_path):
    translator.shortlist = Shortlist(torch.zeros(3, MOST), torch.arange(5))
    with pytest.raises(ModelFolderError, match="no shortlist of these tokenizers"):
        load_folder(translator.save(tmp_path / "narrow"))
    translator.shortlist = full(translator)
    translator.shortlist.aligned[0, 0] = 10**6
    with pytest.raises(ModelFolderError, match="no id of the tokenizer"):
        load_folder(translator.save(tmp_path / "wide"))
    shutil.copytree(small_run.model, tmp_path / "foreign")
    shutil.copy(tmp_path / "wide" / SHORTLIST, tmp_path / "foreign")
    with pytest.raises(ModelFolderError, match="has no hash of each of"):
        load_folder(tmp_path / "foreign")


@pytest.mark.parametrize(("key", "value"), [("shortlist", 5), ("precision", "int8")])
def test_a_training_that_could_not_be_scored_is_not_begun(small_run, tmp_path, monkeypatch, key, value):
    def lacking():
        raise ValueError("no VNNI")

    monkeypatch.setattr("heedful.tasks.scoring.check_int8", lacking)
    recipe = small_run.translator.recipe
    decoding = recipe.decoding.model_copy(update={key: value})
    recipe = recipe.model_copy(update={"decoding": decoding, "output": str(tmp_path / "run")})
    with pytest.raises(RecipeError, match=f"decoding.{key} is {value}"):
        train_translator(recipe)
    assert not (tmp_path / "run").exists()


def test_a_shortlist_that_is_not_there_is_asked_for(translator):
    with pytest.raises(DataError, match=r"decoding.shortlist is 5, but the model has none; learn one by"):
        translator.translate(["Tom."], decoding=decoding(translator, shortlist=5))
