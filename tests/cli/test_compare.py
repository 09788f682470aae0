"""`heedful compare`: one small comparison, its report, going on, and what is refused before any training."""

import csv
import json
import re

import pytest
from typer.testing import CliRunner

from heedful._errors import DataError
from heedful.cli.compare import read_gold
from heedful.cli.main import app
from heedful.tasks import comparison, comparison_run
from heedful.tasks.translator import Translator
from tests.small import write_recipe

NAMES = "luong,none"
MARKED = ["utf-8-sig", "utf-16", "utf-32"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a comparison of two models, and what the command wrote; trained in this process."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "run_jobs", in_this_process)
        result = CliRunner().invoke(app, [str(word) for word in words(folder)])
    assert result.exit_code == 0, result.output
    return folder, result


def in_this_process(jobs, at_once, watch):
    for job in jobs:
        job.work(lambda _: None)
        watch()


def words(folder, names=NAMES, seeds=1):
    if not (folder / "small.yaml").exists():
        write_recipe(folder, max_steps=4, validate_every=2)
        # the links of the first pair lead to its first words
        (folder / "gold").write_text("0-0 0?1\n" + "\n" * 11)
    test = f"data.test.tsv={folder / 'valid.tsv'}"
    measured = ["--gold", folder / "gold", "--faithfulness", 2, "--output", folder / "out"]
    return ["compare", folder / "small.yaml", "--attention", names, "--seeds", seeds, "--set", test, *measured]


def test_the_report_holds_what_the_models_said_and_their_numbers(compared):
    folder, result = compared
    rows = {
        row["model"]: row for row in csv.DictReader((folder / "out" / "comparison.csv").read_text("utf-8").splitlines())
    }
    assert list(rows) == ["luong", "none"]
    page = (folder / "out" / "report.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    for name, row in rows.items():
        run = folder / "out" / name / "seed_3"
        measured = json.loads((run / "measured.json").read_text("utf-8"))
        translator = Translator.load(run / "model")
        sources = [line.split("\t")[0] for line in (folder / "valid.tsv").read_text("utf-8").splitlines()]
        assert measured["answers"] == [best[0].text for best in translator.translate(sources)]
        assert int(row["parameters"]) == sum(weight.numel() for weight in translator.model.parameters())
        assert (row["seeds"], row["updates"]) == ("3", "4")
        assert float(row["memory_mib"]) > 100
        assert float(row["decoding_tokens_per_second"]) > 0
        assert bool(row["sharpness"]) == bool(row["alignment_error_rate"]) == (name == "luong")
        assert f">{name}</text>" in page
    assert 0 <= float(rows["luong"]["alignment_error_rate"]) <= 1
    assert -1 <= float(rows["luong"]["gradient x attention, agreement"]) <= 1
    assert page.count("by a person") == 6
    told = result.stdout.splitlines()[-1]
    assert told in page.replace("\N{NO-BREAK SPACE}", " ")
    assert re.match("Compared with luong, (none is (better|worse) by|no difference was shown for none)", told)
    assert told.endswith("12 test pairs are too few to trust intervals.")
    assert "luong, seed 3: step 4   loss" in result.stderr


def test_the_same_command_trains_nothing_again_and_more_seeds_go_on(compared, monkeypatch, run):
    folder, result = compared
    started = []
    monkeypatch.setattr(comparison, "run_jobs", lambda jobs, *_: started.extend(job.name for job in jobs))
    again = run(*words(folder))
    assert (again.code, again.out, started) == (0, result.stdout, [])
    # one that was trained but not measured is measured only
    monkeypatch.setattr(comparison, "run_jobs", in_this_process)
    monkeypatch.setattr(comparison_run, "train_recipe", None)
    (folder / "out" / "none" / "seed_3" / "measured.json").unlink()
    assert run(*words(folder)).code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "run_jobs", lambda jobs, *_: started.extend(job.name for job in jobs))
        patch.setattr("heedful.tasks.comparison_results.read_rows", stop)
        assert run(*words(folder, "luong,none,sine", 2)).code == 1
    assert started == ["sine, seed 3", "luong, seed 4", "none, seed 4", "sine, seed 4"]


def stop(_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "luong,bahdanou",
            "'bahdanou' is no value of model.attention, by which models for",
        ),
        ("luong", "'luong' names 1 attentions; give two at least"),
        ("luong,none,luong", "luong is named twice"),
    ],
)
def test_names_that_cannot_be_compared_are_wrong_use(one_sentence, names, message):
    assert message in one_sentence("compare", "tatoeba_en_fr", "--attention", names, code=2)


def test_what_is_no_comparison_is_refused_before_any_training(one_sentence, compared, tmp_path):
    folder, _ = compared
    assert "the first attention was another" in one_sentence(*words(folder, "none,luong"))
    assert "another comparison: training was another" in one_sentence(*words(folder), "--steps", 5)
    assert "not both" in one_sentence(*words(folder), "--steps", 5, "--seconds", 5, code=2)
    new = [*words(folder)[:-1], tmp_path / "out"]
    assert "has no attention" in one_sentence(*new, "--set", "model.attention=none")
    assert "decoder is a Transformer" in one_sentence(*new, "--set", "model.architecture=transformer")
    assert "has no data.test" in one_sentence(*new, "--set", "data.test=null")
    (tmp_path / "links").write_text("0-99\n" + "\n" * 11)
    (tmp_path / "few").write_text("0-0\n")
    for name, message in (("links", "Line 1 of the links has 0-99, but its pair has"), ("few", "There are 1 lines of")):
        assert message in one_sentence(*new, "--gold", tmp_path / name)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    assert "holds files that are no comparison's" in one_sentence(*new, "--output", tmp_path / "full")


@pytest.mark.parametrize("encoding", MARKED)
def test_links_come_in_any_unicode_encoding_and_lines(tmp_path, encoding):
    path = tmp_path / "links"
    path.write_bytes("0-0 1?2\r\r1-1\r".encode(encoding))
    assert read_gold(path) == ["0-0 1?2", "", "1-1"]
    path.write_bytes(b"0-0\xff\n")
    with pytest.raises(DataError, match="links is not UTF-8; give links such as"):
        read_gold(path)
