"""Untrusted recipes and `--set` expressions: a checked recipe or a few sentences, soon, and nothing else."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heedful._errors import HeedfulError, RecipeError
from heedful.tasks.recipe import check_recipe, dump_recipe
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.recipe_yaml import parse_yaml

RIGHT = """\
name: small
output: runs/small
data: {train: {source: a.en, target: a.fr}, valid: {tsv: valid.tsv}}
training: {max_epochs: 1}
"""
LAUGHS = "a0: &a0 [ha]\n" + "".join(
    f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 9)}]\n" for place in range(1, 12)
)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(RIGHT)
    return path


def sentences(*args) -> list[str]:
    """What refuses a recipe, line by line."""
    start = time.process_time()
    with pytest.raises(HeedfulError) as caught:
        load_recipe(*args)
    assert time.process_time() - start < 3
    return str(caught.value).splitlines()


@pytest.mark.parametrize("key", ["name", "seed", "output", "data", "tokenizer", "model", "training", "extends"])
def test_a_bomb_of_aliases_is_not_written_out_where_it_is_refused(path, key):
    lines = "\n".join(line for line in RIGHT.splitlines() if not line.startswith(f"{key}:"))
    path.write_text(f"{lines}\n{LAUGHS}{key}: *a11\n")
    assert any(f"{key} is [" in line or f"{key} is no key" in line for line in sentences(path))
    assert sentences(path, [f"{key}.deeper.still=1"])[-1].endswith(", which has no keys") or key == "extends"


@pytest.mark.parametrize("override", ["evaluation.metrics=[x]", "evaluation={metrics: [x]}", "data={train: {tsv: 1}}"])
def test_a_fault_within_what_an_expression_gave_is_the_expressions(path, override):
    (line,) = sentences(path, [override])
    assert line.startswith(f"--set {override}: ")


def test_an_alias_of_itself_is_refused(path):
    path.write_text(f"{RIGHT}tokenizer: &a {{kind: *a}}\nmodel: &b [*b]\n")
    assert len(sentences(path)) == 2


def test_of_many_faults_the_first_are_named(path):
    path.write_text(RIGHT + "".join(f"key{number}: 1\n" for number in range(500)))
    said = sentences(path)
    assert len(said) == 21
    assert said[-1] == f"{path}: 480 more faults; fix these first"


@pytest.mark.parametrize("key", ["'\\e[2J'", '"a\\nb"', '"\\u202e"', "? 'x y'\n", "1", "~", ".5", "true"])
def test_an_odd_key_is_refused_in_a_line(path, key):
    path.write_text(f"{RIGHT}{key.replace(chr(39), chr(34))}: 1\n")
    (line,) = sentences(path)
    assert line.isprintable()


@pytest.mark.parametrize(
    "key", ["output", "data.train.source", "data.valid.tsv", "model.source_embeddings", "start_from"]
)
@pytest.mark.parametrize("value", ['"a\\0b"', "'~\\0/b'", "'${HOME}\\0'"])
def test_a_path_with_a_zero_byte_is_refused(path, key, value):
    (line,) = sentences(path, [f"{key}={value.replace(chr(39), chr(34))}"])
    assert "holds a zero byte, which no path does" in line


def test_a_list_is_no_recipe():
    with pytest.raises(RecipeError, match=r"^here: the recipe is \[1\]; expected the keys name, task, seed"):
        check_recipe(parse_yaml("[1]", "here"), "here")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/dev/zero", "\udcff", "a/b/" * 2000])
def test_a_name_that_can_be_no_file_is_refused(path, name):
    assert len(sentences(name)) == 1
    path.write_text(f"extends: {name!r}\n")
    assert len(sentences(path)) == 1
    assert len(sentences(path, [f"start_from={'/' + name if name[0] == 'x' else 'x'}"])) == 1


def test_a_file_too_large_for_a_recipe_is_not_read(path):
    with path.open("r+b") as file:
        file.truncate(10**12)
    assert sentences(path) == [f"{path} has 1,000,000,000,000 bytes; a recipe is a page of YAML"]


def test_recipes_that_extend_one_another_without_end_are_refused(path, tmp_path):
    for number in range(400):
        (tmp_path / f"r{number}.yaml").write_text(f"extends: r{number + 1}.yaml\n")
    (line,) = sentences(tmp_path / "r0.yaml")
    assert "extends more than 20 others" in line


KEYS = [
    "name",
    "seed",
    "output",
    "data.train",
    "data.train.source",
    "model.units",
    "training.betas",
    "data.valid.columns",
]
VALUES = [
    "",
    "1",
    "-1",
    "1e400",
    ".nan",
    "[1, 2]",
    "{a: 1}",
    "'x'",
    "!!int x",
    "&a [*a]",
    "*a",
    "\ud800",
    "\x00",
    "9" * 400,
]
expressions = st.lists(
    st.builds(
        "{}{}{}".format, st.sampled_from(KEYS) | st.text(max_size=9), st.sampled_from("= "), st.sampled_from(VALUES)
    )
    | st.builds("{}={}".format, st.sampled_from(KEYS), st.text(max_size=30)),
    max_size=4,
)


@given(expressions)
@example(["data={train: {bundled: a}, valid: {bundled: b}}"])
@example(["name=x\udcff"])
def test_any_expression_gives_a_recipe_that_can_be_written_or_sentences(tmp_path_factory, overrides):
    path = tmp_path_factory.getbasetemp() / "right.yaml"
    path.write_text(RIGHT)
    try:
        recipe = load_recipe(path, overrides)
    except HeedfulError as error:
        assert str(error).strip()  # noqa: PT017
        return
    assert check_recipe(parse_yaml(dump_recipe(recipe), "written"), "written") == recipe
