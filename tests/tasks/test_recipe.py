"""Recipes: what is read, what is filled in, and what is refused in which words."""

import math
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import RecipeError
from heedful.tasks import recipe as recipe_module
from heedful.tasks import recipe_files
from heedful.tasks.recipe import check_recipe, dump_recipe, expand_path
from heedful.tasks.recipe_files import load_recipe, shipped_recipes
from heedful.tasks.recipe_yaml import parse_yaml, write_yaml

SMALL = """
name: small
output: runs/small
data:
  train: {source: a.en, target: a.de}
  valid: {tsv: pairs.tsv, columns: [1, 0]}
training:
  max_epochs: 3
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


# --- what is read and filled in ---


def test_a_small_recipe_is_whole(small):
    recipe = load_recipe(small)
    assert (recipe.name, recipe.seed, recipe.data.train.source) == ("small", 1, "a.en")
    assert (recipe.data.valid.columns, recipe.data.test) == ([1, 0], None)
    assert (recipe.model.wiring, recipe.model.score, recipe.training.max_epochs) == ("bahdanau", "additive", 3)


def test_what_was_run_is_written_whole_and_reads_back(small, tmp_path):
    recipe = load_recipe(small, ["training.learning_rate=1e-5", "evaluation.language=no", "name='1e3'"])
    (tmp_path / "run.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "run.yaml") == recipe
    assert set(yaml.safe_load(dump_recipe(recipe))["model"]) == set(recipe_module.ModelOptions.model_fields)


@pytest.mark.parametrize(
    ("attention", "wiring", "score"),
    [
        ("bahdanau", "bahdanau", "additive"),
        ("luong", "luong", "general"),
        ("monotonic", "luong", None),
        ("none", "none", None),
    ],
)
def test_attention_names_the_defaults_of_wiring_and_score(small, attention, wiring, score):
    model = load_recipe(small, [f"model.attention={attention}"]).model
    assert (model.wiring, model.score) == (wiring, score)


def test_units_are_those_of_every_part_that_names_none(small):
    model = load_recipe(small, ["model.units=48", "model.decoder_units=96"]).model
    assert (model.encoder_units, model.decoder_units, model.attention_units) == (48, 96, 48)


def test_a_bundled_set_gives_each_part_its_split(small):
    parts = [f"data.{part}={{bundled: tatoeba_en_fr}}" for part in ("train", "valid", "test")]
    data = load_recipe(small, parts).data
    assert [part.split for part in (data.train, data.valid, data.test)] == ["train", "val", "test"]


def test_several_sets_may_be_learned_from(small):
    override = "data.train=[{bundled: tatoeba_en_fr, weight: 2.0}, {dataset: me/mine, columns: [en, a.fr], weight: 1}]"
    data = load_recipe(small, [override]).data
    assert [(part.split, part.weight) for part in data.train_parts] == [("train", 2.0), ("train", 1.0)]
    assert check_recipe(load_recipe(small, [override]).model_dump(), "again").data == data


def test_a_set_without_validation_is_told_by_none(small):
    assert load_recipe(small, ["data.valid=null"]).data.valid is None


def test_overrides_are_yaml_and_the_last_one_wins(small):
    overrides = ["training.betas=[0.8, 0.9]", "training.max_seconds=1e2", "seed=3", "seed=4", "decoding.max_ratio=null"]
    recipe = load_recipe(small, overrides)
    assert (recipe.training.betas, recipe.training.max_seconds, recipe.seed) == ([0.8, 0.9], 100.0, 4)
    assert recipe.decoding.max_ratio is None


def test_an_override_reaches_into_a_section_the_file_has_not_or_has_empty(small):
    small.write_text(SMALL + "model:\n", encoding="utf-8")
    recipe = load_recipe(small, ["model.cell=lstm", "training.teacher_forcing.end=0.5"])
    assert (recipe.model.cell, recipe.training.teacher_forcing.end) == ("lstm", 0.5)


def test_a_path_may_begin_with_a_variable(small, monkeypatch, tmp_path):
    monkeypatch.setenv("CORPORA", str(tmp_path))
    recipe = load_recipe(small, ["data.train.source=${CORPORA}/a.en"])
    assert recipe.data.train.source == "${CORPORA}/a.en"
    assert expand_path(recipe.data.train.source) == tmp_path / "a.en"
    assert expand_path("plain/${CORPORA}").as_posix() == "plain/${CORPORA}"
    assert expand_path("~/a.en").is_absolute()


def test_every_shipped_recipe_is_right(monkeypatch):
    monkeypatch.setenv("HEEDFUL_DATA", "/data")
    for name in shipped_recipes():
        assert load_recipe(name).name == name


def test_a_shipped_recipe_is_found_by_its_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_files, "shipped_recipes", lambda: {"small": SMALL})
    assert load_recipe("small").name == "small"
    monkeypatch.setattr(recipe_files, "shipped_recipes", lambda: {"small": SMALL.replace("epochs", "epoch")})
    with pytest.raises(RecipeError, match=r"recipe small: training\.max_epoch is no key"):
        load_recipe("small")


# --- keys and values that are refused ---


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.unit=3", r"model\.unit is no key of a recipe; did you mean units\?; expected architecture, encoder"),
        ("modle.units=3", r"modle\.units|modle is no key of a recipe; did you mean model\?"),
        ("data.test.sorce=a", r"data\.test\.sorce is no key of a recipe; did you mean source\?"),
        ("training.learnig_rate=1", r"training\.learnig_rate is no key .* did you mean learning_rate\?"),
        ("training.teacher_forcing.begin=1", r"training\.teacher_forcing\.begin is no key .*; expected start, end"),
        ("zzz=3", r"zzz is no key of a recipe; expected name, task, seed"),
        ("model.units=many", r"model\.units is 'many'; it should be a valid integer"),
        ("model.units=2.5", r"model\.units is 2\.5; it should be a valid integer"),
        ("model.units=true", r"model\.units is True; it should be a valid integer"),
        ("model.units='3'", r"model\.units is '3'; it should be a valid integer"),
        ("model.units=0", r"model\.units is 0; it should be greater than 0"),
        ("model.dropout=1", r"model\.dropout is 1; it should be less than 1"),
        ("model.bidirectional=1", r"model\.bidirectional is 1; it should be a valid boolean"),
        ("model.cell=rnn", r"model\.cell is 'rnn'; it should be 'gru' or 'lstm'"),
        ("model=3", r"model is 3; expected the keys architecture, encoder"),
        ("data=[1]", r"data is \[1\]; expected the keys train, valid, test"),
        ("data.train=null", r"data\.train is None; expected the keys source, target"),
        ("name=3", r"name is 3; it should be a valid string"),
        ("training.betas=[0.5]", r"training\.betas is \[0\.5\]; the list should have at least 2 items"),
        ("training.betas=0.9", r"training\.betas is 0\.9; it should be a valid list"),
        ("training.max_epochs=null", r"training: nothing would ever end it; set max_epochs"),
        ("training.best_by=blue", r"training\.best_by is 'blue'; it should be one of loss, perplexity, accuracy, bleu"),
        (
            "evaluation.metrics=[rouge]",
            r"evaluation\.metrics\.0 is 'rouge'; it should be 'bleu', 'chrf', 'tokenized_",
        ),
        ("evaluation.metrics=[tokenized_bleu]", r"evaluation: tokenized_bleu needs the target language"),
        ("tokenizer={joint: true, lowercase_source: true}", r"tokenizer: lowercase_source needs a vocabulary per side"),
        ("model.wiring=none", r"attention 'bahdanau' does not go with wiring 'none'; set both to 'none', or neither"),
        ("model.attention=none", None),
        (
            "model={attention: monotonic, score: dot}",
            r"attention 'monotonic' does not go with score 'dot'; leave score",
        ),
        ("model.score=null", r"attention 'bahdanau' does not go with score None"),
        ("data.train.target=null", r"data\.train: expected source and target, .* came source$"),
        ("data.train.tsv=x", r"data\.train: expected source and target, .* came source and target and tsv"),
        ("data.test={columns: [0, 1]}", r"data\.test: expected source and target, .* came none of them"),
        ("data.valid.columns=[en, true]", r"columns: it is \['en', True\]; expected two names, or two numbers from 0"),
        (
            "data.valid={jsonl: a.jsonl}",
            r"data\.valid: the columns of jsonl have names; set columns, such as \[en, fr\]",
        ),
        (
            "data.train={tsv: a, csv: b}",
            r"data\.train: expected source and target, features .* or one of tsv, csv, .*; came tsv and c",
        ),
        ("data.train=[]", r"data\.train is \[\]; the list should have at least 1 item"),
        ("data.train=[{tsv: a}, {tvs: b}]", r"data\.train\.1\.tvs is no key of a recipe; did you mean tsv\?"),
        ("data.train=[{tsv: a, weight: 2.0}, {tsv: b}]", r"data: some sets of train have a weight and some have none"),
        ("data.valid.weight=2.0", r"data: weight goes with the sets of train; leave it out"),
        ("data.train.subset=en-fr", r"data\.train: subset goes with dataset; leave it out"),
        ("data.max_ratio=0.5", r"data\.max_ratio is 0\.5; it should be greater than or equal to 1"),
        (
            "tokenizer={kind: word, dropout: 0.1}",
            r"tokenizer: kind 'word' has no merges to leave out; set dropout to 0",
        ),
        ("tokenizer={joint: true, source_vocabulary: a}", r"tokenizer: with joint both sides have target_vocabulary"),
        ("data.valid.columns=[0, -1]", r"data\.valid\.columns: it is \[0, -1\]; expected two names, or two numbers"),
        ("data.train.split=val", r"data\.train: split goes with bundled and dataset; leave it out"),
        ("data.train.source=''", r"data\.train\.source is ''; the string should have at least 1 character"),
        ("seed=99999999999999999999", r"seed is 99999999999999999999; it should be less than"),
        ("output=~nobody.of.that.name/run", r"output: ~nobody\.of\.that\.name/run begins with ~nobody"),
        ("output={{home}}", r"--set output=\{\{home\}\}, line 1: found unhashable key"),
        ("training.learning_rate=.inf", r"training\.learning_rate is inf; it should be a finite number"),
        ("training.max_seconds=.inf", r"training\.max_seconds is inf; it should be a finite number"),
        ("training.betas=[0.9, 1.0]", r"training\.betas\.1 is 1\.0; it should be less than 1"),
        ("decoding.length_penalty=.inf", r"decoding\.length_penalty is inf; it should be a finite number"),
        (
            "decoding.min_length=300",
            r"decoding: min_length is 300, above max_length, 256; lower it, or raise max_length",
        ),
        (
            "model={wiring: look_between}",
            r"model: wiring 'look_between' looks between two layers; set decoder_layers to 2 or more",
        ),
        (
            "model.share_embeddings=true",
            r"model\.share_embeddings needs one vocabulary; set tokenizer\.joint: true",
        ),
        (
            "model={share_embeddings: true, source_embeddings: a}",
            r"model: with share_embeddings both sides begin with target_embeddings; leave source_embeddings out",
        ),
    ],
)
def test_a_fault_is_named_with_what_came_and_what_was_expected(small, override, message):
    if message is None:
        assert load_recipe(small, [override]).model.score is None
        return
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(small, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "override", "message"),
    [
        ("classify", "model.attention=luong", "leave it out; a classifier looks with model.pooling"),
        ("classify", "model.decoder_units=7", "model.decoder_units is 7, which has no effect on task: classification"),
        ("pairs", "model.pooling=mean", "model.pooling is 'mean', which has no effect on task: translation; leave it"),
        ("language_model", "model.source_embeddings=a.txt", "which has no effect on task: language_model"),
        ("caption", "model.ngrams=3", "model.ngrams is 3, which has no effect on task: caption"),
        ("forecast", "model.tie_embeddings=true", "which has no effect on task: forecast"),
        ("forecast", "decoding.beam=2", "decoding.beam is 2, which has no effect on task: forecast; leave it out"),
        ("classify", "decoding.sample=true", "decoding.sample is True, which has no effect on task: classification"),
        ("forecast", "data.max_ratio=3", "data.max_ratio is 3.0, which has no effect on task: forecast"),
        ("pairs", "data.balance_labels=true", "data.balance_labels is True, which has no effect on task: translation"),
        ("pairs", "evaluation.gather=false", "evaluation.gather is False, which has no effect on bleu, chrf; leave it"),
    ],
)
def test_a_key_without_effect_is_refused(recipe, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe, [override])


def test_a_fault_of_the_command_line_is_told_from_one_of_the_file(small):
    with pytest.raises(RecipeError, match=r"^--set model\.units=x: model\.units"):
        load_recipe(small, ["model.units=x"])
    small.write_text(SMALL + "model: {units: x}", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"^.*small\.yaml: model\.units is 'x'"):
        load_recipe(small)


def test_every_fault_has_a_line_of_its_own(small):
    small.write_text(SMALL + "model: {units: x, cel: gru}\nseed: -1\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"model\.units") as caught:
        load_recipe(small)
    keys = sorted(line.split(": ")[1].split(" is ")[0] for line in str(caught.value).splitlines())
    assert keys == ["model.cel", "model.units", "seed"]


@pytest.mark.parametrize("key", ["name", "output", "data", "training"])
def test_a_missing_section_is_named(key):
    content = {name: value for name, value in parse_yaml(SMALL, "small").items() if name != key}
    with pytest.raises(RecipeError, match=f"here: {key} is missing; a recipe needs it"):
        check_recipe(content, "here")


def test_an_undefined_variable_is_named_with_its_key(small, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(RecipeError, match=r"small\.yaml: data\.valid\.tsv: .*\$\{NOWHERE\}, which is not defined; run"):
        load_recipe(small, ["data.valid.tsv=${NOWHERE}/a.en"])
    content = parse_yaml(SMALL.replace("pairs.tsv", '"${NOWHERE}/pairs.tsv"'), "small")
    assert check_recipe(content, "here").data.valid.tsv == "${NOWHERE}/pairs.tsv"


@pytest.mark.parametrize("override", ["model.units", "=3", "model.=3", ".units=3", ""])
def test_an_override_that_is_none_is_refused(small, override):
    with pytest.raises(RecipeError, match=r"expected key=value, such as model\.units=256"):
        load_recipe(small, [override])


def test_an_override_below_a_value_is_refused(small):
    with pytest.raises(RecipeError, match=r"--set name\.first=x: name is 'small', which has no keys"):
        load_recipe(small, ["name.first=x"])


def test_an_override_that_is_no_yaml_is_refused(small):
    with pytest.raises(RecipeError, match=r"--set training\.betas=\[1, line 1"):
        load_recipe(small, ["training.betas=[1"])


# --- files that are refused ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing; expected keys and values"),
        ("# only a comment", "holds nothing"),
        ("- a\n- b", "holds a list; expected keys and values"),
        ("name", "holds a str"),
        ("name: [", r"small\.yaml, line 1: "),
        ("name: a\n  seed: 3", r"small\.yaml, line 2: mapping values are not allowed here"),
        ("name: a\nmodel:\n\tunits: 3", r"small\.yaml, line 3: found character '\\t'"),
        ("name: a\nseed: 1\nname: b", r"line 3: the key 'name' is given twice, first on line 1"),
        ("name: !!python/object:os.system x", r"line 1: could not determine a constructor"),
        ("name: a\x00b", "is no YAML text"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(small, text, message):
    small.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_recipe(small)


def test_a_file_that_is_no_text_is_refused(small):
    small.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(RecipeError, match=r"cannot read .*small\.yaml: .*; save it as plain text in UTF-8"):
        load_recipe(small)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_a_recipe_comes_in_any_unicode_encoding_and_lines(small, encoding, end):
    expected = load_recipe(small)
    text = small.read_text(encoding="utf-8")
    small.write_bytes(text.replace("\n", end).encode(encoding))
    assert load_recipe(small) == expected
    small.write_bytes(text.encode("utf-16-le"))
    with pytest.raises(RecipeError, match=r"small\.yaml is UTF-16LE without a byte-order mark"):
        load_recipe(small)


def test_a_recipe_that_does_not_exist_is_refused_with_a_guess(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipe_files, "shipped_recipes", lambda: {"multi30k_en_de": SMALL, "other": SMALL})
    with pytest.raises(RecipeError, match=r"no file multi30k, .* those that do: multi30k_en_de, other"):
        load_recipe("multi30k")
    with pytest.raises(RecipeError, match=r"did you mean multi30k_en_de\?"):
        load_recipe("multi30_en_de")
    with pytest.raises(RecipeError, match=r"there is no file \."):
        load_recipe(".")


# --- YAML as recipes mean it ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-2E5", -200000.0),
        (".5", 0.5),
        ("3.", 3.0),
        (".inf", math.inf),
        ("12", 12),
        ("-0", 0),
        ("012", "012"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-11-20", "2026-11-20"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ("e3", "e3"),
        ("-", [None]),
        ("1e", "1e"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text, value):
    parsed = parse_yaml(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=7))
def test_what_is_written_reads_back(value):
    assert parse_yaml(write_yaml(value), "here") == value


@pytest.mark.parametrize(
    "text", ["no", "1e3", "012", "0x1f", "~", "1:30", "yes", "=", "<<", "2026-11-20", ".5", "null"]
)
def test_awkward_strings_stay_strings(text):
    assert parse_yaml(write_yaml({"a": text, text: 1}), "here") == {"a": text, text: 1}


def test_the_environment_is_left_alone(small):
    before = dict(os.environ)
    load_recipe(small)
    assert dict(os.environ) == before
