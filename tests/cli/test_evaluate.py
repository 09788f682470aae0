"""`heedful evaluate`: the numbers of the training again, for eyes and for programs."""

import json
import shutil

import pytest
import yaml

from heedful.tasks.corpora import read_part
from heedful.tasks.translation import evaluate_translator
from tests.small import rehash, small_recipe


@pytest.fixture
def table(small_run):
    return small_run.folder.parent / "valid.tsv"


@pytest.fixture
def sides(table, tmp_path):
    """The same pairs as two files."""
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()]
    for column, name in enumerate(("valid.en", "valid.fr")):
        (tmp_path / name).write_text("".join(f"{row[column]}\n" for row in rows), encoding="utf-8")
    return tmp_path / "valid.en", tmp_path / "valid.fr"


def test_it_finds_what_the_training_found_with_signatures(run, small_run, table, sides):
    for files in ((table,), sides):
        outcome = run("evaluate", small_run.folder, *files)
        assert outcome.code == 0
        assert outcome.out.splitlines() == [str(score) for score in small_run.scores["valid"]]
        assert "Read 12 pairs from " in outcome.err


def test_text_in_utf_16_gives_the_same(run, small_run, table):
    data = table.read_text("utf-8").replace("\n", "\r\n").encode("utf-16")
    outcome = run("evaluate", small_run.folder, "-", stdin=data)
    assert outcome.out.splitlines() == [str(score) for score in small_run.scores["valid"]]
    refused = run("evaluate", small_run.folder, "-", stdin=data[2:])
    assert refused.code == 1
    assert "standard input is UTF-16LE without a byte-order mark" in refused.err


def test_json_says_it_all(run, small_run, model, table):
    found = json.loads(run("evaluate", model, table, "--json", "--beam", 1).out)
    decoding = small_run.translator.recipe.decoding.model_copy(update={"beam": 1})
    pairs = read_part(small_run.translator.recipe.data.valid)
    scores = evaluate_translator(small_run.translator, pairs, small_run.translator.recipe.evaluation, decoding)
    assert found["scores"] == [vars(score) for score in scores]
    assert (found["pairs"], found["decoding"]["beam"], found["skipped"]) == (12, 1, {})


def test_standard_input_may_be_the_table_or_either_side(run, small_run, table, sides):
    scores = [str(score) for score in small_run.scores["valid"]]
    for args, stdin, origin in (
        (["-"], table, "standard input"),
        (["-", sides[1]], sides[0], f"standard input and {sides[1]}"),
        ([sides[0], "-"], sides[1], f"{sides[0]} and standard input"),
    ):
        outcome = run("evaluate", small_run.folder, *args, stdin=stdin.read_bytes())
        assert (outcome.code, outcome.out.splitlines()) == (0, scores)
        assert f"Read 12 pairs from {origin}." in outcome.err


def test_a_table_with_other_columns_says_which(run, small_run, table, tmp_path):
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()]
    records = [json.dumps({"pair": {"fr": target, "en": source}}) + "\n" for source, target in rows]
    (tmp_path / "a.jsonl").write_text("".join(records), encoding="utf-8")
    turned = "".join(f"{target}\t{source}\n" for source, target in rows).encode()
    scores = [str(score) for score in small_run.scores["valid"]]
    for name, columns, stdin in ((tmp_path / "a.jsonl", "pair.en,pair.fr", b""), ("-", "1,0", turned)):
        outcome = run("evaluate", small_run.folder, name, "--columns", columns, stdin=stdin)
        assert (outcome.code, outcome.out.splitlines()) == (0, scores)


def test_standard_input_that_gives_no_pair_is_told_of_by_its_name(one_sentence, model, sides):
    assert one_sentence("evaluate", model, "-").startswith("standard input gives no pair to use: it is empty; fill it")
    assert one_sentence("evaluate", model, "-", sides[1], stdin=b"One.\n").startswith("standard input has 1 lines but")
    sentence = one_sentence("evaluate", model, "-", "-", code=2)
    assert sentence.startswith("standard input holds one side; give a file for the other, or both in one table")


@pytest.mark.parametrize("name", ["hf:somebody/small", "hf://somebody/small"])
def test_a_model_on_the_hub_is_named_with_hf(run, small_run, model, table, monkeypatch, name):
    asked = []
    monkeypatch.setattr("heedful.tasks.hub.fetch", lambda name, **_: (asked.append(name), model)[1])
    outcome = run("evaluate", name, table)
    assert outcome.out.splitlines() == [str(score) for score in small_run.scores["valid"]]
    assert asked == ["somebody/small"]


def test_without_files_it_is_the_test_set_of_the_recipe(run, small_run, table, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(small_run.model, folder)
    content = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
    content["data"]["test"] = {"tsv": str(table)}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    rehash(folder)
    outcome = run("evaluate", folder)
    assert (outcome.code, outcome.out.splitlines()) == (0, [str(score) for score in small_run.scores["valid"]])


def test_a_bundled_set_needs_no_file(run, model, monkeypatch):
    outcome = run("evaluate", model, "--bundled", "tatoeba_en_fr", "--beam", 1)
    assert outcome.code == 0
    assert "tatoeba_en_fr.test" in outcome.err
    assert outcome.out.startswith("BLEU ")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "give the files to score on, or --bundled NAME"),
        (["x.tsv", "--columns", "en"], "--columns is 'en'; give two, such as en,fr or 0,1"),
        (["x.en", "x.fr", "--columns", "0,1"], "--columns is of use with a table alone; leave it out"),
        (["--bundled", "tatoeba_en_fr", "--columns", "0,1"], "--columns is of use with a table alone; leave it out"),
        (["x.tsv", "--bundled", "tatoeba_en_fr"], "give the files to score on, or --bundled NAME, not both"),
        (["--bundled", "moon"], "There is no bundled set 'moon'; expected one of tatoeba_en_fr."),
        (["--bundled", "tatoeba_en_fr", "--split", "x"], "tatoeba_en_fr has no split 'x'; expected one of train, val"),
    ],
)
def test_wrong_use_is_named(one_sentence, model, args, sentence):
    assert one_sentence("evaluate", model, *args, code=2).startswith(sentence)


def test_what_was_left_out_is_counted(run, model, tmp_path):
    (tmp_path / "pairs.tsv").write_bytes(b"Go.\tVa !\n\tOui.\nHi.\tSa\xfflut.\nHm.\nNo.\tNon.\n")
    outcome = run("evaluate", model, tmp_path / "pairs.tsv")
    assert "Read 2 pairs" in outcome.err
    assert "left out 3 (1 empty line, 1 invalid UTF-8, 1 too few columns)" in outcome.err


def test_the_small_recipe_is_the_one_that_was_run(small_run):
    assert small_recipe(small_run.folder.parent) == small_run.translator.recipe
