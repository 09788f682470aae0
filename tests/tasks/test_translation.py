"""From a recipe to a run: what is read, left out, resumed, refused and left behind."""

import csv
import json

import numpy as np
import pytest
import torch

from heedful._errors import DataError, HeedfulError, OutputError, RecipeError
from heedful.data.readers import Pairs
from heedful.metrics.translation import bleu, chrf, tokenized_bleu
from heedful.tasks import translation
from heedful.tasks.batches import Limits, encode, make_tokenizers
from heedful.tasks.corpora import read_part
from heedful.tasks.data_options import DataPart
from heedful.tasks.rebuild import unique_state
from heedful.tasks.recipe import EvaluationOptions, check_recipe, dump_recipe
from heedful.tasks.translation import (
    claim_folder,
    evaluate_translator,
    read_curve,
    score,
    train_translator,
)
from heedful.tasks.translator import Translator
from tests.small import small_content, small_recipe


@pytest.fixture(scope="module")
def pairs(small_run):
    return read_part(small_run.translator.recipe.data.train)


# --- a run ---


def test_the_model_that_was_written_scores_what_the_run_says(small_run):
    again = Translator.load(small_run.model)
    valid = read_part(again.recipe.data.valid)
    assert evaluate_translator(again, valid, again.recipe.evaluation) == small_run.scores["valid"]
    written = json.loads((small_run.model / "metrics.json").read_text())
    found = {one["name"]: one["value"] for one in written["scores"]["valid"]}
    assert found == {one.name: one.value for one in small_run.scores["valid"]}
    assert written["parameters"] == sum(parameter.numel() for parameter in again.model.parameters())


def test_it_learns(small_run):
    curve = read_curve(small_run.folder, "model")
    assert curve.values[-5:].mean() < curve.values[:5].mean() - 0.5
    assert len(curve.steps) == small_run.result.step == 30
    np.testing.assert_array_equal(curve.validation_steps, [30])
    accuracy = read_curve(small_run.folder, "model", "accuracy")
    assert ((accuracy.values >= 0) & (accuracy.values <= 1)).all()


def test_the_recipe_stands_beside_the_run_and_in_the_model(small_run):
    assert (small_run.folder / "recipe.yaml").read_text() == (small_run.model / "recipe.yaml").read_text()


def test_a_run_that_was_cut_off_goes_on_to_the_same_weights(tmp_path):
    whole = train_translator(small_recipe(tmp_path / "whole", max_steps=6, validate_every=2))
    part = small_recipe(tmp_path / "part", max_steps=3, validate_every=2)
    train_translator(part)
    content = part.model_dump() | {"training": {**part.training.model_dump(), "max_steps": 6}}
    resumed = train_translator(check_recipe(content, "longer"))
    assert resumed.result.step == 6
    ours, theirs = (unique_state(run.translator.model) for run in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    rows = [
        [row | {"seconds": "", "tokens_per_second": ""} for row in read_rows(run.folder)] for run in (whole, resumed)
    ]
    assert rows[0] == rows[1]


def read_rows(folder):
    with (folder / "training" / "batches.csv").open() as file:
        return list(csv.DictReader(file))


def test_validation_takes_batches_no_larger_than_those_of_training(tmp_path, monkeypatch):
    sizes = []
    recipe = small_recipe(tmp_path, max_steps=1, validate_every=1, tokens_per_batch=60)

    def look(model, batches, summed):
        sizes.extend(batch.num_target_tokens for batch in batches)
        return validation_loss(model, batches, summed=summed)

    validation_loss = translation.validation_loss
    monkeypatch.setattr(translation, "validation_loss", look)
    train_translator(recipe)
    assert len(sizes) > 1
    assert max(sizes) <= 60


def test_callbacks_get_the_translator_and_every_validation(tmp_path):
    seen = []

    class Listener:
        def __init__(self, translator):
            self.translator = translator

        def on_validation(self, step, model, metrics):
            assert model is self.translator.model
            seen.append((step, sorted(metrics)))

    said = []
    train_translator(
        small_recipe(tmp_path, max_steps=4, validate_every=2),
        callbacks=lambda translator: [Listener(translator)],
        say=said.append,
    )
    names = ["accuracy", "bleu", "chrf", "loss", "perplexity"]
    assert seen == [(2, names), (4, names)]
    assert [line.split(" ")[0] for line in said] == ["Read", "Read", "Vocabulary:", "Left", "Model:", "Scoring"]


def test_a_test_set_is_scored_apart(tmp_path):
    recipe = small_recipe(tmp_path, max_steps=1)
    content = recipe.model_dump()
    content["data"]["test"] = {"tsv": str(tmp_path / "test.tsv")}
    with pytest.raises(DataError, match=r"There is no file .*test\.tsv"):  # before anything takes time
        train_translator(check_recipe(content, "here"))
    assert not (tmp_path / "run" / "training").exists()
    (tmp_path / "test.tsv").write_text("Go.\tVa !\n")
    assert set(train_translator(check_recipe(content, "here")).scores) == {"valid", "test"}


# --- the folder ---


def test_limits_may_change_and_nothing_else(tmp_path):
    recipe = small_recipe(tmp_path, max_steps=1)
    train_translator(recipe)
    folder = tmp_path / "run"

    def changed(section, **values):
        content = recipe.model_dump()
        content[section] = {**content[section], **values} if isinstance(content[section], dict) else values["it"]
        return check_recipe(content, "changed")

    for allowed in (
        changed("training", max_steps=2),
        changed("training", average_last=2),
        changed("decoding", beam=1),
        changed("evaluation", metrics=["chrf"]),
        changed("name", it="another"),
    ):
        claim_folder(folder, allowed)
    kept = folder / "recipe.yaml"
    older = kept.read_text().replace("  max_chars: 10000\n", "").replace("  word_dropout: 0.0\n", "")
    assert older != kept.read_text()
    kept.write_text(older)
    claim_folder(folder, recipe)
    for section, refused in {
        "training": changed("training", learning_rate=0.5),
        "model": changed("model", units=9),
        "tokenizer": changed("tokenizer", kind="word"),
        "data": changed("data", max_length=9),
        "seed": changed("seed", it=9),
    }.items():
        with pytest.raises(RecipeError, match=f"holds a run whose {section} was another; choose another output folder"):
            claim_folder(folder, refused)


def test_a_folder_whose_training_never_began_may_get_another_recipe(tmp_path):
    claim_folder(tmp_path / "run", small_recipe(tmp_path))
    content = small_content(tmp_path) | {"seed": 9}
    claim_folder(tmp_path / "run", check_recipe(content, "another"))
    assert "seed: 9" in (tmp_path / "run" / "recipe.yaml").read_text()


def test_a_recipe_that_a_person_wrote_is_never_overwritten(tmp_path):
    recipe = small_recipe(tmp_path)
    mine = tmp_path / "run" / "recipe.yaml"
    mine.parent.mkdir()
    for text in ("# the best one\n" + dump_recipe(recipe), "seed: 3\n", "notes: [", "caf\udce9"):
        mine.write_text(text, encoding="utf-8", errors="surrogateescape")
        with pytest.raises(OutputError, match=r"recipe\.yaml: a file of another hand is there already; rename it"):
            train_translator(recipe)
        assert mine.read_text(encoding="utf-8", errors="surrogateescape") == text


def test_what_stands_where_the_model_will_is_told_before_anything_takes_time(tmp_path):
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"cannot write a model to .*: thesis\.tex is there already"):
        train_translator(small_recipe(tmp_path))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "model"]


# --- data ---


def test_every_origin_gives_pairs_and_says_how_many(tmp_path):
    (tmp_path / "a.en").write_text("One.\n\nThree.\n")
    (tmp_path / "a.fr").write_text("Un.\nDeux.\nTrois.\n")
    (tmp_path / "a.tsv").write_text("1\tUn.\tOne.\n2\tDeux.\tTwo.\n")
    said = []
    files = read_part(DataPart(source=str(tmp_path / "a.en"), target=str(tmp_path / "a.fr")), said.append)
    table = read_part(DataPart(tsv=str(tmp_path / "a.tsv"), columns=[2, 1]), said.append)
    bundled = read_part(DataPart(bundled="tatoeba_en_fr", split="val"), said.append)
    assert (files.source, files.target) == (["One.", "Three."], ["Un.", "Trois."])
    assert (table.source, table.target) == (["One.", "Two."], ["Un.", "Deux."])
    assert said[0].endswith("a.fr; left out 1 (empty line).")
    assert said[1] == f"Read 2 pairs from {tmp_path}/a.tsv."
    assert said[2].startswith(f"Read {len(bundled):,} pairs from ")
    with pytest.raises(RecipeError, match=r"data: There is no bundled set 'moon'; expected one of tatoeba_en_fr"):
        read_part(DataPart(bundled="moon", split="val"))


def test_pairs_that_are_too_long_or_hold_nothing_are_left_out_and_counted(small_run):
    tokenizers = small_run.translator.tokenizers
    sources = ["I love you.", "I love you " * 9, "No.", "No."]
    targets = ["Je t'aime.", "Je t'aime.", "Non " * 30, "Non."]
    said = []
    corpus = encode(Pairs(sources, targets, {}, "here"), tokenizers, Limits(16), said.append)
    assert corpus.pairs.source == ["I love you.", "No."]
    assert [ids.tolist() for ids in corpus.sources] == tokenizers.source.encode_batch(["I love you.", "No."])
    assert [ids.tolist() for ids in corpus.targets] == tokenizers.target.encode_batch(["Je t'aime.", "Non."])
    assert said == ["Left out 2 pairs of here: a side has no token or more than 16."]
    with pytest.raises(DataError, match=r"In every pair of here a side has no token or more than 1; raise data"):
        encode(Pairs(sources, targets, {}, "here"), tokenizers, Limits(1))


def test_a_validation_set_keeps_its_long_sentences(small_run):
    pairs = Pairs(["I love you " * 30], ["Je t'aime " * 30], {}, "here")
    assert len(encode(pairs, small_run.translator.tokenizers, None).sources) == 1
    with pytest.raises(DataError, match=r"^In every pair of here a side has no token; fix the data\.$"):
        encode(Pairs([""], ["Non."], {}, "here"), small_run.translator.tokenizers, None)


@pytest.mark.parametrize(
    ("options", "cases"),
    [({}, (True, True)), ({"lowercase": True}, (False, False)), ({"lowercase_source": True}, (False, True))],
)
def test_vocabularies_are_cased_as_the_recipe_wants(tmp_path, pairs, options, cases):
    content = small_content(tmp_path)
    content["tokenizer"] |= options
    tokenizers = make_tokenizers(pairs, check_recipe(content, "here").tokenizer)
    assert (tokenizers.source.encode("TOM") != tokenizers.source.encode("tom")) == cases[0]
    assert (tokenizers.target.encode("TOM") != tokenizers.target.encode("tom")) == cases[1]


def test_a_joint_vocabulary_is_one(tmp_path, pairs):
    content = small_content(tmp_path)
    content["tokenizer"]["joint"] = True
    tokenizers = make_tokenizers(pairs, check_recipe(content, "here").tokenizer)
    assert tokenizers.source is tokenizers.target


# --- scores ---


def test_scores_are_those_the_recipe_names_in_its_order():
    ours, theirs = ["Ein Hund läuft.", "Das Haus ist rot."], ["Ein Hund läuft.", "Das Haus war blau."]
    options = EvaluationOptions(metrics=["tokenized_bleu", "chrf", "bleu"], language="de")
    assert score(ours, theirs, options) == [tokenized_bleu(ours, theirs, "de"), chrf(ours, theirs), bleu(ours, theirs)]


def test_a_language_without_rules_is_refused_before_anything_takes_time(tmp_path):
    content = small_content(tmp_path)
    content["evaluation"] = {"metrics": ["tokenized_bleu"], "language": "klingon"}
    recipe = check_recipe(content, "here")
    small_recipe(tmp_path)
    with pytest.raises(RecipeError, match=r"evaluation: language is 'klingon'; Moses has rules for "):
        train_translator(recipe)
    assert not (tmp_path / "run" / "training").exists()


def test_scores_that_fail_cost_nothing(tmp_path, monkeypatch):
    """A fault after training leaves the checkpoint, and the same call ends what was begun."""
    recipe = small_recipe(tmp_path, max_steps=3)

    def fail(*_):
        raise HeedfulError("the judge is ill")

    monkeypatch.setattr(translation, "evaluate_translator", fail)
    with pytest.raises(HeedfulError, match="the judge is ill"):
        train_translator(recipe)
    monkeypatch.undo()
    run = train_translator(recipe)
    assert run.result.step == 3
    assert len(read_rows(run.folder)) == 3
    assert run.model.is_dir()
