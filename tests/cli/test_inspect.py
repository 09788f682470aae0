"""`heedful inspect`: what it prints, what it draws, what it refuses."""

from tests.small import write_recipe

PAIRS = "Go now.\tVa !\ngo  NOW.\tva !\nTaxi\tTaxi\n\tseul\nOne two three.\tUn deux trois.\n"


def test_a_table_is_counted_measured_and_shown(run, tmp_path):
    (tmp_path / "a.tsv").write_text(PAIRS)
    outcome = run("inspect", tmp_path / "a.tsv", "--picture", tmp_path / "a.png")
    assert outcome.code == 0
    assert outcome.out.startswith(f"4 pairs from {tmp_path}/a.tsv; left out 1 (1 empty line).")
    for line in (
        "different 9 8",
        "the longest has 4 4",
        "pairs that occurred before: 1",
        "1   same on both sides",
    ):
        assert " ".join(line.split()) in " ".join(outcome.out.split()), line
    assert "One two three." in outcome.out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert f"Wrote {tmp_path}/a.png" in outcome.err


def test_nul_characters_and_wide_text_are_shown(run, tmp_path):
    (tmp_path / "a.tsv").write_bytes((PAIRS + "Go\0.\tVa.\n").encode("utf-16"))
    outcome = run("inspect", tmp_path / "a.tsv")
    assert outcome.out.startswith(f"4 pairs from {tmp_path}/a.tsv; left out 2 (1 empty line, 1 NUL character).")
    (tmp_path / "a.tsv").write_bytes(PAIRS.encode("utf-16-be"))
    outcome = run("inspect", tmp_path / "a.tsv")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "a.tsv is UTF-16BE without a byte-order mark; save it as UTF-8" in outcome.err


def test_two_files_and_named_columns_give_the_same(run, tmp_path):
    (tmp_path / "a.en").write_text("Go now.\nOne two.\n")
    (tmp_path / "a.fr").write_text("Va !\nUn deux.\n")
    (tmp_path / "a.csv").write_text("id,fr,en\n1,Va !,Go now.\n2,Un deux.,One two.\n")
    lines = run("inspect", tmp_path / "a.en", tmp_path / "a.fr")
    table = run("inspect", tmp_path / "a.csv", "--columns", "en,fr")
    assert lines.out.splitlines()[1:] == table.out.splitlines()[1:]
    assert table.code == 0


def test_a_recipe_tells_whether_validation_is_learned_from(run, tmp_path):
    recipe = write_recipe(tmp_path)
    rows = (tmp_path / "train.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "valid.tsv").write_text("".join(rows[:3]) + "Nobody said that.\tNon.\n")
    outcome = run("inspect", recipe)
    assert outcome.out.startswith(f"300 pairs from {tmp_path}/train.tsv.")
    assert "of 4 validation sentences, also learned from: 3" in outcome.out


def test_a_model_tells_how_its_vocabulary_fits(run, small_run, tmp_path):
    (tmp_path / "a.tsv").write_text("Go ☃.\tVa !\n")
    assert "unknown to the model" in run("inspect", tmp_path / "a.tsv", "--model", small_run.model).out


def test_bad_input_is_one_sentence(run, tmp_path):
    (tmp_path / "empty.tsv").touch()
    (tmp_path / "a.csv").write_text("en,fr\na,b\n")
    for args, code, words in (
        (["none.tsv"], 1, "There is no file none.tsv; check the path."),
        ([tmp_path / "empty.tsv"], 1, "gives no pair to look at: it is empty; fill it"),
        ([tmp_path / "a.csv", "--columns", "en"], 2, "--columns is 'en'; give two, such as en,fr or 0,1"),
        ([tmp_path / "a.csv", "--columns", "en,de"], 1, "has no column 'de'; expected one of en, fr."),
        (["tatoeba_en_fr", "--columns", "0,1"], 2, "a recipe names its own"),
    ):
        outcome = run("inspect", *args)
        assert outcome.code == code, outcome
        assert words in " ".join(outcome.err.replace("│", " ").split())
        assert "Traceback" not in outcome.err
