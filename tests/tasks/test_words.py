"""Words to sounds: a recipe with rows of one language, references by word, and what it shows letter by letter."""

import csv

import pytest

from heedful._errors import DataError, RecipeError
from heedful.metrics.strings import exact_match, gathered, phone_error_rate, word_error_rate
from heedful.tasks.batches import make_tokenizers
from heedful.tasks.corpora import read_part
from heedful.tasks.recipe import EvaluationOptions, check_recipe
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.scoring import score, score_translator
from heedful.tasks.translation import train_translator
from tests.small import small_content

# every letter has its sound; ZA has two pronunciations, of which the second stands in another row
LETTERS = {"A": "aː", "B": "b", "C": "t͡s", "D": "d̪"}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A run over the rows of one language of two, small enough for a test."""
    folder = tmp_path_factory.mktemp("words")
    spelled = ["".join(one) for one in [[a, b, c] for a in LETTERS for b in LETTERS for c in LETTERS]]
    rows = [f"xx\t{word}\t{' '.join(LETTERS[letter] for letter in word)}\n" for word in spelled]
    other = [f"yy\t{word}\tnever\n" for word in spelled]
    (folder / "train.tsv").write_text("".join([*rows, *other]), encoding="utf-8")
    (folder / "test.tsv").write_text("".join([*rows[:9], "xx\tAAA\taː b\n", *other]), encoding="utf-8")
    content = small_content(folder, max_steps=30, best_by="wer", validate_every=15)
    content["data"] = {
        **{name: {"tsv": str(folder / f"{name}.tsv"), "columns": [1, 2]} for name in ("train", "test")},
        "valid": {"tsv": str(folder / "test.tsv"), "columns": [1, 2]},
        "where": {"column": 0, "equals": "xx"},
    }
    content["tokenizer"] = {"kind": "letter", "target_kind": "symbol", "vocab_size": 50}
    content["decoding"] = {"beam": 2}
    content["evaluation"] = {"metrics": ["wer", "per", "exact_match", "chrf", "perplexity"]}
    return train_translator(check_recipe(content, "words"))


def test_only_rows_of_the_language_are_read_and_each_side_has_its_kind(words):
    pair = words.translator.tokenizers
    assert (pair.source.kind, pair.target.kind) == ("letter", "symbol")
    assert pair.target.vocab_size == 4 + len(LETTERS)
    assert len(read_part(words.translator.recipe.data.test)) == 10


def test_the_best_model_has_the_lowest_error_rate_of_the_validations(words):
    with (words.folder / "training" / "validations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"wer", "per", "exact_match"} <= rows[0].keys()
    assert words.translator.metrics["validation"]["wer"] == pytest.approx(
        min(float(row["wer"]) for row in rows), rel=1e-4
    )
    assert all(float(row["wer"]) + float(row["exact_match"]) == pytest.approx(100, rel=1e-4) for row in rows)


def test_scores_are_those_of_the_metrics_over_words(words):
    pairs = read_part(words.translator.recipe.data.test)
    outputs = [best[0].text for best in words.translator.translate(pairs.source)]
    once = gathered(pairs.source, outputs, pairs.target)
    found = words.scores["test"]
    assert found[:3] == [metric(*once) for metric in (word_error_rate, phone_error_rate, exact_match)]
    assert (len(once[0]), found[3].name) == (9, "chrF2")
    # nats per token of the validation, which is the same set here
    assert found[4].value == pytest.approx(words.translator.metrics["validation"]["perplexity"], rel=1e-4)


def test_pairs_without_sources_are_words_of_their_own():
    options = EvaluationOptions(metrics=["wer"])
    assert score(["a", "a"], ["a", "b"], options)[0].value == 50.0
    assert score(["a", "a"], ["a", "b"], options, ["x", "x"])[0].value == 0.0


def test_perplexity_alone_translates_nothing(words):
    def never() -> list[str]:
        raise AssertionError("translated")

    pairs = read_part(words.translator.recipe.data.test)
    (found,) = score_translator(words.translator, never, pairs, EvaluationOptions(metrics=["perplexity"]))
    assert found == words.scores["test"][4]
    assert found.signature.startswith("unit:symbol|ids:8|end:yes|version:")


def test_a_word_is_explained_letter_by_letter(words):
    found = words.translator.explain("CAB")
    assert found.alignment.source == ["C", "A", "B"]
    assert found.alignment.weights.shape == (len(found.target.ids), 3)


def test_a_language_that_no_row_has_is_told_beside_those_there_are(words):
    content = words.translator.recipe.model_dump()
    content["data"]["where"]["equals"] = "zz"
    with pytest.raises(DataError, match=r"test\.tsv has no row with 'zz' in column 0, but xx, yy\."):
        read_part(check_recipe(content, "words").data.test)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.valid={bundled: tatoeba_en_fr}"], "where goes with tables, and valid is none"),
        (["data.valid={features: a, captions: b}"], "where goes with tables, and valid is none"),
        (["data.valid={jsonl: a, columns: [b, c]}"], r"the columns of valid have names; set where\.column to one"),
        (["data.where.column=-1"], "it is -1; expected a name, or a number from 0"),
        (["data.train.columns=[[], 1]"], r"it is \[\[\], 1\]; expected two names"),
        (["tokenizer.joint=true"], "with joint both sides have one kind; leave target_kind out"),
        (["tokenizer={kind: bpe, target_kind: symbol, dropout: 0.1}"], "kind 'symbol' has no merges to leave out"),
        (["training.best_by=cer"], r"training\.best_by is 'cer'; it should be one of .*wer, per, exact_match"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("sigmorphon2021", changes)


FIRST = {
    "cmudict": ([*"AARDEMA"], ["AA", "R", "D", "EH", "M", "AH"]),
    "sigmorphon2021": ([*"aboutissement"], ["a", "b", "u", "t", "i", "s", "m", "ɑ̃"]),
    "sigmorphon2016": ([*"Aak", "pos=N", "case=NOM", "gen=NEUT", "num=SG"], [*"Aak"]),
}


@pytest.mark.parametrize("name", FIRST)
def test_recipes_that_ship_read_their_data(data_folder, monkeypatch, name):
    monkeypatch.setenv("HEEDFUL_DATA", str(data_folder))
    recipe = load_recipe(name)
    pairs = read_part(recipe.data.valid)
    pair = make_tokenizers(pairs, recipe.tokenizer)
    assert (pair.source.segment(pairs.source[0]).words, pair.target.segment(pairs.target[0]).words) == FIRST[name]


@pytest.mark.parametrize(
    ("name", "line", "pair"),
    [
        ("inflect", "talo\tpos=N,num=PL\ttalot", ("talo pos=N,num=PL", "talot")),
        ("pronounce", "light\tL AY T", ("light", "L AY T")),
    ],
)
def test_recipes_take_a_file_of_ones_own(tmp_path, name, line, pair):
    path = tmp_path / "mine.tsv"
    path.write_text(f"{line}\n{line}s\n")
    recipe = load_recipe(name, [f"data.train.tsv={path}"])
    found = read_part(recipe.data.train)
    assert (found.source[0], found.target[0]) == pair
