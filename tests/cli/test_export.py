"""`heedful export`: what is refused."""

from heedful.export import folder


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
