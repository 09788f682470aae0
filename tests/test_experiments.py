"""The scripts of examples/ run as a reader would run them, on little data, and leave what they promise."""

import json
import lzma
import random
import re

import pytest
from PIL import Image

from tests.models.test_sequence_classifier import example

GOOD, BAD = ["lovely", "fine", "good", "great"], ["dull", "bad", "poor", "weak"]
TINY = {
    "add_two_numbers": ["--epochs", "2", "--examples", "300", "--apart"],
    "find_max": ["--epochs", "2", "--examples", "300"],
    "attention_column": ["--epochs", "2", "--examples", "200"],
}


@pytest.fixture
def reviews(tmp_path):
    """A folder of data sets that holds a few very short reviews."""
    draw = random.Random(1)
    for split in ("train", "test"):
        lines = []
        for _ in range(60):
            label = draw.random() < 0.5
            words = draw.choices(GOOD if label else BAD, k=draw.randint(2, 6)) + draw.choices(["the", "film"], k=4)
            lines.append(f"{int(label)}\t{' '.join(words)}\n")
        (tmp_path / "imdb").mkdir(exist_ok=True)
        (tmp_path / "imdb" / f"{split}.tsv.xz").write_bytes(lzma.compress("".join(lines).encode()))
    return tmp_path


def ran(name: str, output, *arguments: str) -> dict:
    example(name).main([*arguments, "--output", str(output)])
    return json.loads((output / "result.json").read_text())


def test_add_two_numbers(tmp_path):
    figures = ran("add_two_numbers", tmp_path / "run", *TINY["add_two_numbers"])
    assert figures["parameters"] == 86_629
    assert 0 < figures["mae"] < 1
    assert 0 <= figures["looks_right"] <= 1
    with Image.open(tmp_path / "run" / "attention.gif") as picture:
        assert picture.n_frames == 2


def test_find_max(tmp_path):
    figures = ran("find_max", tmp_path / "run", *TINY["find_max"])
    assert figures["parameters"] == 115_841
    assert {file.name for file in (tmp_path / "run").iterdir()} >= {"attention.png", "attention.gif", "first.png"}


@pytest.mark.parametrize("task", [["dense"], ["recurrent"], ["recurrent", "--after"], ["recurrent", "--shared"]])
def test_attention_column(tmp_path, task):
    figures = ran("attention_column", tmp_path / "run", "--task", *task, *TINY["attention_column"])
    assert figures["truth"] == (1 if task == ["dense"] else 10)
    assert 0 < figures["weight_there"] < 1
    assert (tmp_path / "run" / "attention.png").stat().st_size


@pytest.mark.parametrize("arguments", [["--model", "attention"], ["--model", "none", "--protocol", "honest"]])
def test_imdb_counts_the_parameters_and_measures_each_epoch(reviews, tmp_path, monkeypatch, arguments):
    script = example("imdb")
    monkeypatch.setattr(script, "HELD_OUT", 20)
    script.main([*arguments, "--data", str(reviews), "--epochs", "2", "--output", str(tmp_path / "run")])
    figures = json.loads((tmp_path / "run" / "result.json").read_text())
    assert figures["parameters"] == (248_929 if "attention" in arguments else 248_901)
    assert (tmp_path / "run" / "validations.csv").read_text().count("\n") == 3
    assert 0 <= figures["test_accuracy"] <= 1


def test_imdb_pooling_is_saved_read_back_and_marks_words(reviews, tmp_path):
    figures = ran("imdb_pooling", tmp_path / "run", "--data", str(reviews), "--epochs", "1")
    assert figures["parameters"] == 1_241_301
    assert figures["restored_test_accuracy"] == figures["test_accuracy"]
    page = (tmp_path / "run" / "visualization.html").read_text(encoding="utf-8")
    assert page.count("<article") == 20
    assert set(re.findall(r">(\w+)</mark>", page)) <= {*GOOD, *BAD, "the", "film"}
    assert (tmp_path / "run" / "model.safetensors").stat().st_size > 4 * 1_241_301


def test_without_a_data_folder_the_way_out_is_named(monkeypatch, capsys):
    monkeypatch.delenv("HEEDFUL_DATA", raising=False)
    for name in ("imdb", "imdb_pooling"):
        with pytest.raises(SystemExit, match="2"):
            example(name).main([])
        assert "--data FOLDER, or HEEDFUL_DATA=FOLDER" in capsys.readouterr().err
