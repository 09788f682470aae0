"""`heedful export`: what is refused, and what a folder is called."""

from pathlib import Path

import pytest

from heedful.cli.export import _name
from heedful.export import folder


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("hf:somebody/french", "french"),
        ("hf:somebody/model", "model"),
        ("hf:/somebody/french", "french"),
        ("runs/french", "french"),
        ("runs/french/model", "french"),
        ("hf:runs/french/model", "french"),
        ("/", "model"),
    ],
)
def test_a_folder_is_called_after_the_model(model, name, tmp_path, monkeypatch):
    (tmp_path / "runs" / "french" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert _name(Path(model)) == name


def test_what_cannot_be_exported_is_named_and_nothing_is_left(one_sentence, model, tmp_path):
    output = tmp_path / "out"
    said = one_sentence("export", model, "--format", "ctranslate2", "--output", output)
    assert said.startswith("RecurrentEncoder and UpdateThenLookDecoder (only a Transformer on both sides is)")
    assert said.endswith("is not written for CTranslate2; export to onnx or torch instead.")
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(one_sentence, model, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "find_spec", lambda package: None)
    said = one_sentence("export", model, "--output", tmp_path / "out")
    assert said == "this format needs the package onnx, which is not installed; run: pip install 'heedful[export]'"
    assert not list(tmp_path.iterdir())
