"""`heedful export`: what is refused, what a folder is called, and what is said of a page."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from heedful.cli.export import _facts, _name
from heedful.export import folder, web_page, web_runtime
from heedful.tasks.recipe_files import load_recipe


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


def test_a_page_begins_with_the_beam_of_the_recipe_and_it_is_said_how_to_open_it(run, model, tmp_path, monkeypatch):
    # graphs and runtime are tested elsewhere
    monkeypatch.setattr(web_page, "make_graphs", lambda model: model)
    monkeypatch.setattr(web_page, "write_graphs", lambda folder, manifest, graphs: None)
    for name in web_runtime.FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("code")
    (tmp_path / web_runtime.ABOUT).write_text('{"name": "onnxruntime-web", "version": "7.8"}')
    output = tmp_path / "a page"
    # the second takes the place of the first
    for _ in range(2):
        outcome = run("export", model, "--format", "web", "--runtime", tmp_path, "--output", output)
        assert outcome.code == 0
    assert f"python -m http.server 8000 --bind 127.0.0.1 --directory '{output}'" in outcome.err
    about = json.loads((output / "heedful.json").read_text(encoding="utf-8"))
    assert about["runtime"] == "onnxruntime-web"
    assert (about["onnxruntime-web"], about["search"]) == ("7.8", {"beam": 2, "length_penalty": 0.6})
    page = (output / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    for name in re.findall(r'(?:src|href)="([^":]+)"', page):
        assert (output / name).stat().st_size


def test_a_runtime_is_for_pages(one_sentence, model, tmp_path):
    said = one_sentence("export", model, "--runtime", tmp_path, code=2)
    assert said.startswith("--runtime is for --format web, not onnx")


def test_how_pictures_are_scaled_is_told():
    reads = SimpleNamespace(task="caption", recipe=load_recipe("read_lines"))
    assert _facts(reads) == {"picture": {"height": 40, "width": None, "grey": True}}
    assert _facts(SimpleNamespace(task="caption", recipe=load_recipe("caption"))) == {}
