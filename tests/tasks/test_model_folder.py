"""A model folder is whole or it is refused, in words that name the file and the way out."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from heedful._errors import ModelFolderError, OutputError
from heedful.tasks import model_folder
from heedful.tasks.model_folder import CONFIG, FILES, METRICS, RECIPE, TOKENIZER, WEIGHTS, load_folder, save_folder
from heedful.tasks.translator import Translator
from tests.small import rehash

SENTENCES = ["I love you.", "Tom is here.", "Where do you live?"]


@pytest.fixture
def folder(small_run, tmp_path):
    """A copy that a test may harm."""
    return Path(shutil.copytree(small_run.model, tmp_path / "model"))


def texts(translator: Translator) -> list[str]:
    return [best[0].text for best in translator.translate(SENTENCES)]


# --- round trips ---


def test_what_was_saved_translates_the_same(small_run, tmp_path):
    written = small_run.translator.save(tmp_path / "again")
    assert sorted(path.name for path in written.iterdir()) == sorted(FILES)
    again = Translator.load(written)
    assert texts(again) == texts(small_run.translator)
    assert (again.recipe, again.metrics) == (small_run.translator.recipe, small_run.translator.metrics)


def test_saving_twice_gives_the_same_bytes(small_run, tmp_path):
    folders = [small_run.translator.save(tmp_path / name) for name in ("one", "two")]
    for name in FILES:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_it_is_json_yaml_and_safetensors_and_no_pickle(small_run):
    for name in FILES:
        content = (small_run.model / name).read_bytes()
        if name == WEIGHTS:
            header = int.from_bytes(content[:8], "little")
            assert set(json.loads(content[8 : 8 + header])) >= {"output.bias"} or header
        else:
            content.decode("utf-8")
        with pytest.raises(Exception):  # noqa: B017, PT011  (whatever pickle says)
            pickle.loads(content)  # noqa: S301


# --- what is refused ---


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelFolderError, match=r"model folder .*nowhere does not exist; give the folder that"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFolderError, match=r"model folder .*file is a file, not a folder; give the folder that"):
        load_folder(tmp_path / "file")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=f"lacks {name}; copy the whole folder again, or train anew"):
        load_folder(folder)


def test_an_empty_folder_lacks_all_five(tmp_path):
    with pytest.raises(ModelFolderError, match=f"lacks {', '.join(FILES)}"):
        load_folder(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_off_anywhere_is_refused_and_named(folder, name):
    content = (folder / name).read_bytes()
    points = {0, 1, 7, 8, 9, len(content) // 3, len(content) // 2, len(content) - 2, len(content) - 1}
    for point in sorted(points):
        (folder / name).write_bytes(content[:point])
        # only the line end is missing: still the whole of it
        if name == CONFIG and point == len(content) - 1:
            load_folder(folder)
            continue
        with pytest.raises(ModelFolderError, match=name) as caught:
            load_folder(folder)
        assert "again, or train anew" in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed_or_harmless(small_run, folder, name):
    content = (folder / name).read_bytes()
    right = load_folder(small_run.model)
    for place in range(0, len(content), max(1, len(content) // 40)):
        (folder / name).write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        try:
            found = load_folder(folder)
        except ModelFolderError:
            continue
        assert name == CONFIG  # who wrote it, or a space between two keys
        assert found.recipe == right.recipe
        assert all(torch.equal(found.weights[key], right.weights[key]) for key in right.weights)


def test_the_weights_of_another_model_of_the_same_size_are_refused(small_run, folder, tmp_path):
    other = Translator.load(folder)
    for parameter in other.model.parameters():
        torch.nn.init.normal_(parameter)
    other.save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(ModelFolderError, match=r"model\.safetensors is not as it was written: cut off, damaged or"):
        load_folder(folder)


def test_parts_that_do_not_fit_each_other_are_named(folder):
    recipe = (folder / RECIPE).read_text()
    (folder / RECIPE).write_text(recipe.replace("decoder_units: 18", "decoder_units: 19"))
    rehash(folder)
    with pytest.raises(ModelFolderError, match=r"do not fit its recipe\.yaml and tokenizer\.json: \S+ is \(.*expected"):
        Translator.load(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"joint": true}', '{"joint": true, "source": {"kind": "bpe"}}'])
def test_a_tokenizer_that_is_none_is_refused(folder, content):
    (folder / TOKENIZER).write_text(content)
    rehash(folder)
    with pytest.raises(ModelFolderError, match=r"tokenizer\.json is damaged or not from heedful"):
        load_folder(folder)


def test_metrics_that_are_none_are_refused(folder):
    (folder / METRICS).write_text("12")
    rehash(folder)
    with pytest.raises(ModelFolderError, match=r"metrics\.json holds a int; expected an object"):
        load_folder(folder)


# --- writing ---


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("odd")])
@pytest.mark.parametrize("culprit", ["save_file", "dump_recipe"])
def test_a_crash_in_the_middle_leaves_the_old_model(small_run, folder, monkeypatch, error, culprit):
    def fail(*_):
        raise error

    monkeypatch.setattr(model_folder, culprit, fail)
    with pytest.raises((OutputError, KeyboardInterrupt, ValueError)):
        small_run.translator.save(folder)
    monkeypatch.undo()
    assert texts(Translator.load(folder)) == texts(small_run.translator)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_new_model_takes_the_place_of_the_old_one(small_run, folder):
    (folder / METRICS).unlink()
    small_run.translator.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_somebodys_folder_is_never_replaced(small_run, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"cannot write a model to .*: thesis\.tex is there already; choose a folder"):
        small_run.translator.save(tmp_path)
    with pytest.raises(OutputError, match=r"thesis\.tex is there already"):
        small_run.translator.save(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_place_that_cannot_be_written_is_named(small_run, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/model: .*file is a file, not a folder; choose a place"):
        small_run.translator.save(tmp_path / "file" / "model")


def test_an_empty_folder_may_be_filled(small_run, tmp_path):
    (tmp_path / "model").mkdir()
    assert save_folder(load_folder(small_run.model), tmp_path / "model") == tmp_path / "model"
    Translator.load(tmp_path / "model")
