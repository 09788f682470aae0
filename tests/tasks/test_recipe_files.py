"""Recipes that extend recipes, that start from a model, and `--set` for every key there is."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from heedful._errors import ModelFolderError, RecipeError
from heedful.tasks.recipe import Recipe, dump_recipe
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.recipe_yaml import write_yaml

BASE = """
name: base
output: runs/base
data:
  train: {source: a.en, target: a.de}
  valid: {tsv: pairs.tsv, columns: [1, 0]}
  max_length: 17
model: {units: 31, dropout: 0.4}
training: {max_epochs: 3, betas: [0.8, 0.9], teacher_forcing: {start: 0.9, end: 0.5}}
"""


@pytest.fixture
def write(tmp_path):
    """`write("name.yaml", text)`: a recipe below a folder, and its path."""

    def write_recipe(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    write_recipe("base.yaml", BASE)
    return write_recipe


# --- extends ---


def test_the_keys_of_each_section_are_laid_over_those_of_the_other_recipe(write):
    path = write("sub/own.yaml", "extends: ../base.yaml\nname: own\nmodel: {units: 8}\ndata: {train: {tsv: b.tsv}}\n")
    recipe = load_recipe(path, ["model.cell=lstm", "training.max_epochs=5"])
    assert (recipe.name, recipe.output) == ("own", "runs/base")
    assert (recipe.model.units, recipe.model.dropout, recipe.model.cell) == (8, 0.4, "lstm")
    # a value, though it has keys of its own, takes the other's place
    assert (recipe.data.train.tsv, recipe.data.train.source) == ("b.tsv", None)
    assert (recipe.data.valid.columns, recipe.data.max_length) == ([1, 0], 17)
    assert (recipe.training.betas, recipe.training.max_epochs) == ([0.8, 0.9], 5)


def test_one_may_extend_one_that_extends_one(write):
    write("middle.yaml", "extends: base.yaml\nmodel: {units: 8}\nseed: 4\n")
    recipe = load_recipe(write("own.yaml", "extends: middle.yaml\nseed: 5\ntraining: {teacher_forcing: {end: 0.1}}\n"))
    assert (recipe.model.units, recipe.model.dropout, recipe.seed) == (8, 0.4, 5)
    assert (recipe.training.teacher_forcing.start, recipe.training.teacher_forcing.end) == (1.0, 0.1)


def test_one_that_ships_is_extended_by_its_name(write):
    recipe = load_recipe(write("own.yaml", "extends: tatoeba_en_fr\nname: own\nmodel: {decoder_units: 100}\n"))
    base = load_recipe("tatoeba_en_fr")
    assert recipe.model == base.model.model_copy(update={"decoder_units": 100})
    assert recipe.training == base.training


def test_what_is_saved_is_the_recipe_with_all_that_it_extends(write):
    recipe = load_recipe(write("own.yaml", "extends: base.yaml\nname: own\n"))
    text = dump_recipe(recipe)
    assert "extends" not in text
    assert load_recipe(write("elsewhere/run.yaml", text)) == recipe


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_is_refused_with_its_members(write, length):
    for number in range(length):
        path = write(f"r{number}.yaml", f"extends: r{(number + 1) % length}.yaml\n")
    with pytest.raises(RecipeError, match=r"(r\d\.yaml extends .*)+: a recipe cannot extend itself") as caught:
        load_recipe(path)
    assert str(caught.value).count("extends") == length + 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[base.yaml]", r"own\.yaml: extends is \['base\.yaml'\]; expected one file, or the name"),
        ("nowhere.yaml", r"there is no file .*nowhere\.yaml, and no recipe of that name ships"),
        ("tatoeba_en_f", "did you mean tatoeba_en_fr"),
    ],
)
def test_what_cannot_be_extended_is_refused(write, value, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(write("own.yaml", f"extends: {value}\nname: own\n"))


def test_a_fault_of_the_other_recipe_is_found(write):
    write("base.yaml", BASE.replace("units", "unitz"))
    with pytest.raises(RecipeError, match=r"model\.unitz is no key of a recipe; did you mean units\?"):
        load_recipe(write("own.yaml", "extends: base.yaml\n"))


# --- start_from ---


def test_tokenizer_and_architecture_are_those_of_the_model(write, small_run):
    text = BASE + "tokenizer: {kind: word, vocab_size: 77}\n"
    for place in (small_run.folder, small_run.model):
        recipe = load_recipe(write("own.yaml", text), [f"start_from={place}"])
        assert recipe.tokenizer == small_run.translator.recipe.tokenizer
        assert recipe.model == small_run.translator.recipe.model
        assert recipe.data.max_length == 17


def test_what_is_no_architecture_may_still_be_changed(write, small_run):
    changes = [f"start_from={small_run.model}", "model.dropout=0.25", "tokenizer.dropout=0.1"]
    recipe = load_recipe(write("own.yaml", BASE), changes)
    assert (recipe.model.dropout, recipe.tokenizer.dropout) == (0.25, 0.1)
    assert recipe.model.units == small_run.translator.recipe.model.units


def test_another_tokenizer_is_refused(write, small_run):
    with pytest.raises(
        RecipeError, match=r"--set tokenizer\.kind=word: the tokenizer is that of the model in start_from"
    ):
        load_recipe(write("own.yaml", BASE), [f"start_from={small_run.model}", "tokenizer.kind=word"])


def test_a_model_that_is_not_there_is_named(write, tmp_path):
    with pytest.raises(RecipeError, match=r"start_from is .*nowhere, but .*nowhere/recipe\.yaml cannot be read"):
        load_recipe(write("own.yaml", BASE), [f"start_from={tmp_path / 'nowhere'}"])
    (tmp_path / "run" / "training").mkdir(parents=True)
    with pytest.raises(ModelFolderError, match="has no model yet"):
        load_recipe(write("own.yaml", BASE), [f"start_from={tmp_path / 'run'}"])


# --- every key ---

TABLES = ["data.train={tsv: a.tsv}", "data.valid={tsv: b.tsv}"]
# Where a value needs others beside it, or none of the plain ones is a value.
PICTURED, PIXELS = "{features: f, captions: c}", "{images: f, captions: c}"
SERIES = [
    "task=forecast",
    "data.max_length=100",
    "data.train={csv: a.csv}",
    "data.valid=null",
    "data.test=null",
    "model.bidirectional=false",
    "evaluation.metrics=[mse]",
    "training.best_by=mse",
    "training.teacher_forcing=null",
    "training.label_smoothing=0",
]
LABELLED = [
    "task=classification",
    "evaluation={metrics: [accuracy], language: null}",
    "training.best_by=accuracy",
    "tokenizer.joint=false",
]
BESIDE = {
    **{
        f"model.{name}": LABELLED
        for name in ("pooling", "looks", "word_encoder", "word_dropout", "ngrams", "ngram_rows")
    },
    **{f"data.series.{name}": SERIES for name in ("columns", "time", "gaps", "split")},
    **{f"model.forecast.{name}": SERIES for name in ("window", "horizon", "patch", "base", "input_attention")},
    **{f"model.{name}_looks": ["training.teacher_forcing=null"] for name in ("even", "repeated")},
    "data.*.features": ["task=caption", *(f"data.{part}={PICTURED}" for part in ("train", "valid", "test"))],
    "data.*.captions": ["task=caption", *(f"data.{part}={PICTURED}" for part in ("train", "valid", "test"))],
    "data.*.images": [
        "task=caption",
        "model.encoder=convolutional",
        *(f"data.{part}={PIXELS}" for part in ("train", "valid", "test")),
    ],
    "data.*.columns": ["data.{part}={tsv: a.tsv}"],
    "data.*.weight": ["data.train=[{tsv: a.tsv, weight: 1.5}]"],
    "data.*.split": ["data.{part}={bundled: tatoeba_en_fr}"],
    "data.*.subset": ["data.{part}={dataset: d, columns: [a, b]}"],
    "data.*.column": ["data.where.equals=fre", *TABLES],
    "data.*.equals": ["data.where.column=0", *TABLES],
    "tokenizer.lowercase_source": ["tokenizer.joint=false"],
    "model.attention": ["model.wiring=luong", "model.score=dot"],
    "model.wiring": ["model.decoder_layers=2"],
    "model.share_embeddings": ["tokenizer.joint=true"],
    "training.device": ["training.precision='32'"],
    "training.strategy": ["training.ema=null"],
}
VALUES: dict[str, list[Any]] = {
    "data.*.columns": [[2, 5]],
    "data.*.tsv": ["x.tsv"],
    "data.series.columns": [["load", 2]],
    "data.series.time": ["when"],
    "data.series.split": [[0.5, 0.25, 0.25]],
    "training.best_by": ["bleu"],
    "model.picture.channels": [[8, 24]],
    "training.betas": [[0.5, 0.6]],
    "evaluation.metrics": [["chrf"]],
    "decoding.groups": [5],
    "decoding.required": [["le chat"]],
    "decoding.banned": [["le chien"]],
    "decoding.ensemble": [["runs/other"]],
    "start_from": [],
    "model.transformer.normalizer.name": ["sparsemax"],
    **{
        f"model.transformer.{place}.{part}.name": [name]
        for place in ("encoder_self", "decoder_self", "cross")
        for part, name in (("score", "cosine"), ("window", "everywhere"), ("normalizer", "sparsemax"))
    },
}
FORMS = ("source", "target", "tsv", "csv", "jsonl", "parquet", "dataset", "bundled")


def leaves(section: type[BaseModel], place: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a recipe that is no section, with its type."""
    for name, field in section.model_fields.items():
        inner = [part for part in flatten(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        if inner:
            yield from leaves(inner[0], f"{place}{name}.")
        else:
            yield place + name, field.annotation


def flatten(annotation: Any) -> Iterator[Any]:
    """The types within a type, but for those of a list's items."""
    if get_origin(annotation) is Annotated:
        yield from flatten(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from flatten(part)
    else:
        yield annotation


def values_of(annotation: Any) -> Iterator[Any]:
    """Some values of a type; bounds may forbid some of them."""
    for kind in flatten(annotation):
        if get_origin(kind) is Literal:
            yield from get_args(kind)
        else:
            yield from {bool: [True, False], int: [3, 11], float: [0.25, 2.5], str: ["text"]}.get(kind, [])


LEAVES = dict(leaves(Recipe))


def test_the_walk_finds_the_whole_schema():
    assert len(LEAVES) > 100
    assert {"seed", "data.train.columns", "training.teacher_forcing.end", "training.compile"} <= LEAVES.keys()


@pytest.mark.parametrize("key", LEAVES)
def test_every_key_can_be_set(write, key):
    parts = key.split(".")
    of_a_part = parts[0] == "data" and len(parts) == 3 and parts[1] != "series"
    general = ".".join(["data", "*", parts[-1]]) if of_a_part else key
    beside = [text.replace("{part}", parts[1]) for text in BESIDE.get(general, [])] if "." in key else []
    if general != key and parts[-1] in FORMS:
        other = {"source": {"target": "t"}, "target": {"source": "s"}}.get(parts[-1], {"columns": ["a", "b"]})
        beside = [f"data.{parts[1]}={write_yaml(other | {parts[-1]: 'before'})}"]
    path = write("own.yaml", BASE)
    place = key.replace("train.", "train.0.") if general == "data.*.weight" else key
    came = []
    for value in VALUES.get(general, [*values_of(LEAVES[key])]):
        try:
            recipe = load_recipe(path, [*beside, f"{place}={write_yaml(value).removesuffix('...' + chr(10))}"])
        except RecipeError as error:
            came.append(str(error))
            continue
        found: Any = recipe.model_dump()
        for name in place.split("."):
            found = found[int(name) if name.isdigit() else name]
        assert found == value
        assert type(found) is type(value)
        return
    assert key in ("start_from", "data.valid.weight", "data.test.weight"), came


def test_a_place_in_a_list_is_a_number(write):
    path = write("own.yaml", BASE.replace("train: {source: a.en, target: a.de}", "train: [{tsv: a.tsv}, {tsv: b.tsv}]"))
    recipe = load_recipe(
        path, ["data.train.0.weight=0.5", "data.train.1={tsv: c.tsv, weight: 2.5}", "training.betas.1=0.7"]
    )
    assert [(part.tsv, part.weight) for part in recipe.data.train] == [("a.tsv", 0.5), ("c.tsv", 2.5)]
    assert recipe.training.betas == [0.8, 0.7]
    for key in ("data.train.2.weight", "data.train.x.weight", "data.train.-1.weight", "training.betas.7"):
        with pytest.raises(RecipeError, match="which has no keys"):
            load_recipe(path, [f"{key}=1.0"])
