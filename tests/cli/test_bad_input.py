"""Whatever a person can do wrong: one clear sentence, exit code 1 or 2, and nothing lost or half written."""

import shutil
import warnings

import pytest

from heedful.tasks.model_folder import FILES
from heedful.tasks.translator import Translator
from tests.small import small_content, write_recipe

SENTENCE = "I love you."
LONG = "word " * 20_000  # 100,000 characters


@pytest.fixture
def harmed(small_run, tmp_path):
    """A copy of the model that a test may harm."""
    return shutil.copytree(small_run.model, tmp_path / "model")


@pytest.fixture(params=["translate", "evaluate", "explain"])
def use(request, tmp_path):
    """A command that needs a model, with the arguments that follow it."""
    (tmp_path / "pairs.tsv").write_text("Go.\tVa !\n")
    return {
        "translate": ["translate", ..., tmp_path / "pairs.tsv"],
        "evaluate": ["evaluate", ..., tmp_path / "pairs.tsv"],
        "explain": ["explain", ..., SENTENCE],
    }[request.param]


def with_model(use, model):
    return [model if argument is ... else argument for argument in use]


# --- the model ---


def test_a_model_that_is_nowhere(one_sentence, use, tmp_path):
    sentence = one_sentence(*with_model(use, tmp_path / "none"))
    assert sentence == f"The model folder {tmp_path}/none does not exist; give the folder that `heedful train` wrote."


def test_a_run_that_has_no_model_yet(one_sentence, use, tmp_path):
    (tmp_path / "run" / "training").mkdir(parents=True)
    sentence = one_sentence(*with_model(use, tmp_path / "run"))
    assert sentence == f"The run {tmp_path}/run has no model yet; let the command that began it go on to its end."


def test_a_folder_that_is_no_model(one_sentence, use, tmp_path):
    (tmp_path / "run").mkdir()
    assert "lacks model.safetensors, config.json" in one_sentence(*with_model(use, tmp_path / "run"))


@pytest.mark.parametrize("name", FILES)
def test_a_model_that_lacks_a_file(one_sentence, harmed, name):
    (harmed / name).unlink()
    sentence = one_sentence("explain", harmed, SENTENCE)
    assert sentence.endswith(f"lacks {name}; copy the whole folder again, or train anew.")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", [0.0, 0.4, 0.95])
def test_a_model_that_was_cut_off(one_sentence, harmed, name, part):
    content = (harmed / name).read_bytes()
    (harmed / name).write_bytes(content[: int(part * len(content))])
    sentence = one_sentence("explain", harmed, SENTENCE)
    assert str(harmed / name) in sentence
    assert sentence.endswith("again, or train anew.")


# --- text to translate ---


def test_a_file_that_is_missing_or_a_folder(one_sentence, model, tmp_path):
    sentence = one_sentence("translate", model, tmp_path / "none.txt", "--output", tmp_path / "out.txt")
    assert sentence == f"There is no file {tmp_path}/none.txt; check the path."
    assert one_sentence("translate", model, tmp_path) == f"{tmp_path} is a folder, not a file; name the file inside it."
    assert list(tmp_path.iterdir()) == []


def test_a_packed_file_that_was_cut_off(one_sentence, model, tmp_path):
    import gzip

    (tmp_path / "en.gz").write_bytes(gzip.compress(SENTENCE.encode() * 100)[:-9])
    assert "en.gz is a damaged or cut-off compressed file" in one_sentence("translate", model, tmp_path / "en.gz")


@pytest.mark.parametrize("from_file", [True, False])
def test_lines_that_cannot_be_used_stay_empty_and_are_counted(run, model, tmp_path, from_file):
    text = b"I love you.\n\n \t\nOdd \xff\xfe bytes.\n" + LONG.encode() + b"\nTom is here.\n"
    (tmp_path / "en.txt").write_bytes(text)
    outcome = run("translate", model, tmp_path / "en.txt") if from_file else run("translate", model, stdin=text)
    assert outcome.code == 0
    assert [bool(line) for line in outcome.out.split("\n")] == [True, False, False, False, False, True, False]
    assert outcome.err == (
        "Left empty what cannot be translated: 4 (2 empty line, 1 invalid UTF-8, 1 over-long line).\n"
    )


@pytest.mark.parametrize("args", [[], ["--nbest", 2], ["--alignments", "json"], ["--alignments", "pharaoh"]])
def test_empty_lines_keep_their_place_in_every_format(run, model, args):
    outcome = run("translate", model, *args, stdin=b"\n\nI love you.\n\n")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == (5 if "--nbest" in args else 4)


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\n\n"])
def test_nothing_to_translate_gives_nothing(run, model, stdin):
    outcome = run("translate", model, stdin=stdin)
    assert (outcome.code, outcome.out) == (0, stdin.decode())


@pytest.mark.parametrize("text", ["☃☃☃", "漢字かな交じり文", "\u200b", "\x02\x01", "🙂 🙂🙂", "\u0301\u0301", "‎"])
def test_only_unknown_symbols_are_translated_to_something(run, model, text):
    outcome = run("translate", model, "--alignments", "pharaoh", stdin=f"{text}\n{SENTENCE}\n".encode())
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.out.splitlines()) == 2
    assert run("explain", model, text).code == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The sentence is empty; give at least one word."),
        (" \n ", "The sentence is empty; give at least one word."),
        (LONG, "The sentence has 100,000 characters; give at most 5,000."),
    ],
)
def test_a_sentence_that_cannot_be_explained(one_sentence, model, text, sentence):
    assert one_sentence("explain", model, text) == sentence


def test_a_sentence_of_four_hundred_words_is_explained(run, model, tmp_path):
    outcome = run("explain", model, "ab " * 400, "--output", tmp_path / "long.png")
    assert outcome.code == 0
    assert run("explain", model, "ab " * 400).code == 0


def test_a_model_without_attention_translates_and_says_that_it_aligns_nothing(run, one_sentence, tmp_path):
    from heedful.tasks.batches import make_tokenizers
    from heedful.tasks.build import build_model
    from heedful.tasks.corpora import read_part
    from heedful.tasks.recipe import check_recipe

    write_recipe(tmp_path)
    content = small_content(tmp_path)
    content["model"] |= {"attention": "none"}
    recipe = check_recipe(content, "here")
    tokenizers = make_tokenizers(read_part(recipe.data.train), recipe.tokenizer)
    sizes = tokenizers.source.vocab_size, tokenizers.target.vocab_size
    plain = Translator(build_model(recipe.model, *sizes).eval(), tokenizers, recipe).save(tmp_path / "plain")
    stdin = f"{SENTENCE}\n".encode()
    assert run("translate", plain, stdin=stdin).code == 0
    assert '"weights": null' in run("translate", plain, "--alignments", "json", stdin=stdin).out
    sentence = one_sentence("translate", plain, "--alignments", "pharaoh", stdin=stdin)
    assert sentence == "The model has no attention, so it aligns nothing; leave --alignments out, or ask for json."
    assert run("explain", plain, SENTENCE).err.endswith("the model has no attention to show.\n")


# --- pairs to score on ---


def test_files_of_unequal_length(one_sentence, model, tmp_path):
    (tmp_path / "a.en").write_text("One.\nTwo.\nThree.\n")
    (tmp_path / "a.fr").write_text("Un.\nDeux.\n")
    sentence = one_sentence("evaluate", model, tmp_path / "a.en", tmp_path / "a.fr")
    assert sentence.startswith(f"{tmp_path}/a.en has 3 lines but {tmp_path}/a.fr has 2; ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty; fill it"),
        (b"\n\n", "every line was left out, empty line (2)"),
        (b"no tabs\n", "every line was left out, too few columns (1)"),
        (b"a\t\xff\n", "every line was left out, invalid UTF-8 (1)"),
    ],
)
def test_a_table_without_a_pair(one_sentence, model, tmp_path, content, why):
    (tmp_path / "pairs.tsv").write_bytes(content)
    sentence = one_sentence("evaluate", model, tmp_path / "pairs.tsv")
    assert f"pairs.tsv gives no pair to use: {why}" in sentence


@pytest.mark.parametrize("part", ["train", "valid"])
def test_training_on_files_that_are_missing_or_do_not_fit(one_sentence, tmp_path, monkeypatch, part):
    monkeypatch.setattr("heedful.cli.train.keep_freed_memory", lambda: True)
    recipe = write_recipe(tmp_path)
    (tmp_path / "a.en").write_text("One.\n")
    changes = ["--set", f"data.{part}={{source: {tmp_path}/a.en, target: {tmp_path}/a.fr}}"]
    assert one_sentence("train", recipe, *changes).endswith(f"There is no file {tmp_path}/a.fr; check the path.")
    (tmp_path / "a.fr").write_text("Un.\nDeux.\n")
    assert "has 1 lines but" in one_sentence("train", recipe, *changes)


# --- places to write to ---


@pytest.mark.parametrize("name", ["file/out.txt", "file/deeper/out.txt"])
@pytest.mark.parametrize("command", ["translate", "explain"])
def test_an_output_behind_a_file(run, model, tmp_path, command, name):
    (tmp_path / "file").write_text("mine")
    path = (tmp_path / name).with_suffix(".json")
    args = [SENTENCE] if command == "explain" else []
    outcome = run(command, model, *args, "--output", path, stdin=f"{SENTENCE}\n".encode())
    assert outcome.code == 1
    assert outcome.err == (
        f"Error: cannot write {path}: {tmp_path}/file is a file, not a folder; choose a place you may write to\n"
    )
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("path", ["/proc/out.json", "/proc/self/out.json"])
def test_an_output_where_nobody_may_write(run, model, path):
    outcome = run("translate", model, "--output", path, stdin=f"{SENTENCE}\n".encode())
    assert outcome.code == 1
    assert outcome.err.startswith(f"Error: cannot write {path}: ")
    assert outcome.err.endswith("; choose a place you may write to\n")


def test_a_disk_that_is_full_leaves_the_old_file(run, model, tmp_path, monkeypatch):
    path = tmp_path / "fr.txt"
    path.write_text("yesterday's")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    outcome = run("translate", model, "--output", path, stdin=f"{SENTENCE}\n".encode())
    assert outcome.code == 1
    assert (
        outcome.err
        == f"Error: cannot write {path}: No space left on device; free some space, or choose another place\n"
    )
    assert path.read_text() == "yesterday's"
    assert [file.name for file in tmp_path.iterdir()] == ["fr.txt"]


def test_no_command_warns_about_anything(run, model):
    with warnings.catch_warnings(record=True) as caught:
        run("translate", model, stdin=f"{SENTENCE}\n".encode())
        run("list")
    assert not caught
