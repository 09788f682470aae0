"""`heedful export`: what is written where, and what is refused."""

import json

import pytest

from heedful.export import folder


def test_what_cannot_be_exported_is_named_and_nothing_is_left(one_sentence, model, tmp_path):
    output = tmp_path / "out"
    said = one_sentence("export", model, "--format", "ctranslate2", "--output", output)
    assert said.startswith("CTranslate2 has no form for RecurrentEncoder and UpdateThenLookDecoder")
    assert "export to onnx or torch" in said
    assert not list(tmp_path.iterdir())


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(one_sentence, model, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "find_spec", lambda package: None)
    said = one_sentence("export", model, "--output", tmp_path / "out")
    assert said == "this format needs the package onnx, which is not installed; run: pip install 'heedful[export]'"
    assert not list(tmp_path.iterdir())


@pytest.mark.compile
def test_a_model_is_written_with_what_its_recipe_allows(run, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run("export", model, "--format", "torch")
    (written,) = tmp_path.iterdir()
    assert (outcome.code, outcome.out) == (0, "")
    assert (
        f"Wrote encoder.pt2 and step.pt2 for torch.export.load, with tokenizers and heedful.json, to {written.name}"
        in (outcome.err)
    )
    files = {"encoder.pt2", "heedful.json", "source_tokenizer.json", "step.pt2", "target_tokenizer.json"}
    assert {file.name for file in written.iterdir()} == files
    about = json.loads((written / "heedful.json").read_text())
    assert about["ids"] == {"pad": 0, "unk": 1, "bos": 2, "eos": 3}
    assert about["limits"]["max_length"] > 0
    assert about["step"]["outputs"]["alignment"] == {"type": "float32", "shape": ["batch", "source"]}
