"""A model folder made by somebody who means harm: one sentence, soon, and nothing run, filled or read elsewhere."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import heedful
from heedful._errors import ModelFolderError, brief
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.tasks.model_folder import (
    AGAIN,
    CONFIG,
    FILES,
    LARGEST,
    METRICS,
    RECIPE,
    TOKENIZER,
    WEIGHTS,
    ModelFolder,
    load_folder,
)
from heedful.tasks.rebuild import rebuild
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.translator import Translator
from tests.small import rehash

OTHERS = [name for name in FILES if name != CONFIG]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(small_run, tmp_path):
    """A copy that a test may harm."""
    return Path(shutil.copytree(small_run.model, tmp_path / "model"))


@pytest.fixture
def refused(folder):
    """Load the harmed folder, its hashes right again: the one sentence, said soon, that refuses it."""

    def sentence(honest: bool = False) -> str:
        if not honest:
            rehash(folder)
        start = time.process_time()
        with pytest.raises(ModelFolderError) as caught:
            Translator.load(folder)
        assert time.process_time() - start < 10
        (line,) = str(caught.value).splitlines()
        return line.replace(str(folder), "FOLDER")

    return sentence


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | changes))


# --- nothing runs ---


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch"])
@pytest.mark.parametrize("name", FILES)
def test_a_pickle_under_any_name_runs_nothing(refused, folder, tmp_path, monkeypatch, name, write):
    monkeypatch.chdir(tmp_path)
    with (folder / name).open("wb") as file:
        write({"output.bias": Harmful()}, file)
    assert f"FOLDER/{name} is " in refused(honest=name == CONFIG)
    assert not (tmp_path / "harmed").exists()


def test_a_pickle_beside_the_model_is_not_looked_at(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin"):
        (folder / name).write_bytes(pickle.dumps(Harmful()))
    (folder / "modeling.py").write_text("import os\nos.mkdir('harmed')")
    Translator.load(folder)
    assert not (tmp_path / "harmed").exists()


def test_a_recipe_that_would_run_code_is_refused(refused, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (folder / RECIPE).write_text("name: !!python/object/apply:os.mkdir [harmed]")
    assert "recipe.yaml, line 1: could not determine a constructor for the tag" in refused()
    assert not (tmp_path / "harmed").exists()


# --- nothing leads elsewhere ---


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "sub/../model.safetensors", "a.pkl"])
def test_a_name_in_the_config_that_is_none_of_the_model_is_refused(refused, folder, name):
    hashes = json.loads((folder / CONFIG).read_text())["sha256"]
    for wrong in ({**hashes, name: "0" * 64}, {name: "0" * 64}, [*hashes], None):
        change_config(folder, sha256=wrong)
        assert refused(honest=True).startswith("FOLDER/config.json has no hash of each of model.safetensors, tokenizer")


@pytest.mark.parametrize("name", FILES)
def test_a_link_out_of_the_folder_is_refused(refused, folder, tmp_path, name):
    (folder / name).rename(tmp_path / "elsewhere")
    for target in (tmp_path / "elsewhere", Path("../elsewhere")):
        (folder / name).symlink_to(target)
        assert (
            refused(honest=True) == f"FOLDER/{name} is a link that leads out of the folder; put the file itself there."
        )
        (folder / name).unlink()
    for target in ("/dev/zero", "nowhere", name):
        (folder / name).symlink_to(target)
        assert refused(honest=True).startswith(f"The model folder FOLDER lacks {name}; ")
        (folder / name).unlink()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(refused, folder):
    (folder / METRICS).unlink()
    os.mkfifo(folder / METRICS)
    assert refused(honest=True).startswith("The model folder FOLDER lacks metrics.json; ")


def test_links_within_the_folder_and_to_the_folder_are_followed(folder, tmp_path):
    (folder / METRICS).rename(folder / "real.json")
    (folder / METRICS).symlink_to("real.json")
    (tmp_path / "best").symlink_to(folder)
    Translator.load(tmp_path / "best")


def test_the_links_of_the_hubs_cache_are_followed(folder, tmp_path):
    home = tmp_path / "models--somebody--small"
    (home / "blobs").mkdir(parents=True)
    (home / "snapshots" / "abc").mkdir(parents=True)
    for name in FILES:
        (folder / name).rename(home / "blobs" / name)
        (home / "snapshots" / "abc" / name).symlink_to(f"../../blobs/{name}")
    Translator.load(home / "snapshots" / "abc")
    (home / "blobs" / METRICS).rename(tmp_path / METRICS)
    (home / "snapshots" / "abc" / METRICS).unlink()
    (home / "snapshots" / "abc" / METRICS).symlink_to(f"../../../{METRICS}")
    with pytest.raises(ModelFolderError, match="leads out of the folder"):
        Translator.load(home / "snapshots" / "abc")


# --- nothing fills the memory ---


@pytest.mark.parametrize("name", LARGEST)
def test_a_file_larger_than_heedful_writes_is_refused_unread(refused, folder, name):
    os.truncate(folder / name, 100 * 2**20)
    expected = (
        f"FOLDER/{name} has 104,857,600 bytes; heedful writes {LARGEST[name]:,} at most, so copy the whole folder"
    )
    assert refused(honest=True).startswith(expected)


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, METRICS])
@pytest.mark.parametrize(
    "text", ["[" * 10**6, '{"a":' * 10**5, "1" * 10**6, '{"a": ' + "1" * 5000 + "}", "nul", "\ufeff{}"]
)
def test_json_that_is_nested_too_deeply_or_no_object_is_refused(refused, folder, name, text):
    (folder / name).write_text(text)
    assert f"FOLDER/{name} is " in refused(honest=name == CONFIG)


@pytest.mark.parametrize("name", FILES)
def test_a_zip_bomb_stays_packed(refused, folder, name):
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data.pkl", bytes(10**8))
    assert f"FOLDER/{name} is " in refused(honest=name == CONFIG)


BOMBS = {
    "laughs": [f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 9)}]" for place in range(1, 12)],
    "merges": [f"a{place}: &a{place} {{!!merge <<: [{', '.join([f'*a{place - 1}'] * 9)}]}}" for place in range(1, 12)],
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_aliases_is_refused(refused, folder, kind):
    (folder / RECIPE).write_text("\n".join(["a0: &a0 {k: 1}", *BOMBS[kind]]))
    assert refused().startswith(f"FOLDER/recipe.yaml is no recipe of heedful {heedful.__version__} (")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("units", 10**6),
        ("units", 10**9),
        ("units", 10**30),
        ("embedding_dim", 10**8),
        ("encoder_units", 10**7),
        ("encoder_layers", 10**9),
        ("decoder_layers", 50),
    ],
)
def test_a_recipe_of_a_giant_is_refused_before_it_is_built(refused, folder, key, value):
    lines = (folder / RECIPE).read_text().splitlines()
    keys = ("units", "encoder_units", "decoder_units", "attention_units") if key == "units" else (key,)
    changed = [f"  {name}: {value}" if (name := line.strip().partition(":")[0]) in keys else line for line in lines]
    assert changed != lines
    (folder / RECIPE).write_text("\n".join(changed))
    assert refused().startswith(("The weights in FOLDER do not fit", "No model can be built by", "FOLDER has 2"))


def test_layers_above_convolutions_are_counted_before_they_are_built():
    recipe, letter = load_recipe("read_lines", ["model.picture.recurrent_layers=50"]), Tokenizer.from_entries(["a"])
    content = ModelFolder({}, TokenizerPair(letter, letter, True), recipe, {})
    with pytest.raises(ModelFolderError, match="has 0 weights for a recipe of 52 layers"):
        rebuild(content, "folder")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beam", 10**6),
        ("min_length", 10**6),
        ("max_length", 10**9),
        ("max_ratio", 1e300),
        ("max_extra", 10**30),
        ("length_penalty", 1e308),
        ("coverage_penalty", 1e308),
    ],
)
def test_a_recipe_that_would_translate_without_end_is_refused(refused, folder, key, value):
    text = (folder / RECIPE).read_text()
    head, decoding, tail = text.partition("decoding:\n")
    (folder / RECIPE).write_text(head + decoding + re.sub(rf"(?m)^  {key}: .*$", f"  {key}: {value}", tail))
    assert f"(recipe.yaml: decoding.{key} is {brief(value)}; it should be less than or equal to" in refused()


def write_header(path: Path, header: object, length: int | None = None, data: bytes = b"") -> None:
    """A safetensors file by hand: eight bytes of length, the header, the numbers."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


HUGE = 2**40
TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"a": TENSOR | {"shape": [HUGE, HUGE]}}, None),
        ({"a": TENSOR | {"shape": [HUGE, 2**24], "data_offsets": [0, 2**62]}}, None),
        ({"a": TENSOR | {"shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}, None),
        ({"a": TENSOR | {"shape": [0, HUGE], "data_offsets": [0, 0]}}, None),
        ({"a": TENSOR | {"shape": [-1]}}, None),
        ({"a": TENSOR | {"data_offsets": [4, 0]}}, None),
        ({"a": TENSOR | {"data_offsets": [-4, 0]}}, None),
        ({"a": TENSOR, "b": TENSOR}, None),
        ({"a": TENSOR | {"dtype": "PICKLE"}}, None),
        ({"a": []}, None),
        ([], None),
        (b"[" * 10**6, None),
        (b"{}", 2**63),
        (b"{}", 2**64 - 1),
        (b"{}", 10**8),
        (b" " * 2**21, None),
        (b"", None),
    ],
    ids=str,
)
def test_a_header_that_declares_what_is_not_there_is_refused(refused, folder, header, length):
    write_header(folder / WEIGHTS, header, length, data=bytes(4))
    assert refused().startswith("FOLDER/model.safetensors is damaged or no safetensors file (")


def test_loading_bombs_takes_little_memory(folder):
    recipe = (folder / RECIPE).read_text()
    code = """
import sys
from heedful._errors import ModelFolderError, brief
from heedful.tasks.translator import Translator
from tests.memory import peak_memory
before = peak_memory()
try:
    Translator.load(sys.argv[1])
except ModelFolderError:
    print(peak_memory() - before)
"""

    def megabytes() -> float:
        rehash(folder)
        command = [sys.executable, "-c", code, str(folder)]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return int(told.stdout) / 2**20

    (folder / RECIPE).write_text(recipe.replace("units: 1", "units: 10000000"))
    assert megabytes() < 300
    (folder / RECIPE).write_text(recipe)
    (folder / TOKENIZER).write_bytes(b"[" + b"{}," * (LARGEST[TOKENIZER] // 3 - 2) + b"{}]")
    assert megabytes() < 800


# --- nothing is computed with what is no number, or no weight ---


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_that_is_no_number_is_refused(refused, folder, number, dtype):
    weights = {name: tensor.to(dtype) for name, tensor in load_file(folder / WEIGHTS).items()}
    name = sorted(weights)[-1]
    weights[name].view(-1)[-1] = number
    save_file(weights, folder / WEIGHTS)
    assert refused().startswith(f"FOLDER/model.safetensors: {name!r} holds NaN or infinity; ")


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float8_e4m3fn])
def test_weights_of_another_type_are_refused(refused, folder, dtype):
    save_file({name: tensor.to(dtype) for name, tensor in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    assert refused().endswith(f"is of {dtype}; expected floating-point numbers; {AGAIN}.")


def test_half_precision_is_read_as_single(small_run, folder):
    save_file({name: tensor.bfloat16() for name, tensor in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    rehash(folder)
    for name, tensor in Translator.load(folder).model.state_dict().items():
        assert tensor.equal(small_run.translator.model.state_dict()[name].bfloat16().float())


@pytest.mark.parametrize("name", FILES)
def test_any_byte_changed_and_hashed_anew_gives_one_sentence_or_a_model_that_works(refused, folder, name):
    content = (folder / name).read_bytes()
    broken = 0
    for place in range(0, len(content), max(1, len(content) // 60)):
        changed = bytes([content[place] ^ (1 << place % 8)])
        (folder / name).write_bytes(content[:place] + changed + content[place + 1 :])
        if name != CONFIG:
            rehash(folder)
        try:
            translator = Translator.load(folder)
        except ModelFolderError as error:
            broken += 1
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert isinstance(translator.translate(["I love you."])[0][0].text, str)
        if name == CONFIG:
            (folder / name).write_bytes(content)
    assert broken or name == WEIGHTS


# --- other versions ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": 2, "heedful": "9.0"},
            f"FOLDER/config.json is of format 2, written by heedful 9.0; this heedful {heedful.__version__} reads "
            "format 1, and that one is newer: upgrade, as in `pip install --upgrade heedful`.",
        ),
        (
            {"format": 0, "heedful": "0.0.3"},
            f"FOLDER/config.json is of format 0, written by heedful 0.0.3; this heedful {heedful.__version__} reads "
            "format 1, and that one is older: install that version, or train anew, as in `pip install heedful==0.0.3`.",
        ),
        ({"format": "1"}, "names no format and version of heedful; copy the whole folder again, or train anew."),
        ({"format": True}, "names no format and version"),
        ({"format": None}, "names no format and version"),
        ({"heedful": None}, "names no format and version"),
        ({"format": 2, "heedful": "1.0; rm -rf ~"}, "names no format and version"),
        (
            {"task": "captioning"},
            "config.json is of a model for 'captioning'; expected one for 'translation', 'language_model', "
            "'classification', 'caption' or 'forecast'.",
        ),
    ],
)
def test_another_format_or_task_says_what_to_do(refused, folder, changes, message):
    change_config(folder, **changes)
    assert message in refused(honest=True)


def test_a_recipe_with_keys_of_a_later_version_names_that_version(refused, folder):
    change_config(folder, heedful="0.9.2")
    (folder / RECIPE).write_text((folder / RECIPE).read_text().replace("model:\n", "model:\n  colour: blue\n"))
    sentence = refused()
    assert "(recipe.yaml: model.colour is no key of a recipe" in sentence
    assert sentence.endswith("); install heedful 0.9.2, which wrote it, or train anew.")


def test_a_config_that_is_no_object_is_refused(refused, folder):
    (folder / CONFIG).write_text("[]")
    assert refused(honest=True) == "FOLDER/config.json holds a list; expected an object of keys and values."


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "", "\ud800"])
def test_a_path_that_can_be_none_is_refused(name):
    with pytest.raises(ModelFolderError):
        load_folder(name)


def test_untrusted_text_does_nothing_to_the_terminal(refused, folder):
    weights = load_file(folder / WEIGHTS)
    save_file(weights | {"\x1b[2J" + "x" * 10**4: torch.zeros(1)}, folder / WEIGHTS)
    sentence = refused()
    assert sentence.isprintable()
    assert len(sentence) < 1000


def test_the_fault_of_a_disk_is_told(refused, folder, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error", str(folder / WEIGHTS))

    monkeypatch.setattr("hashlib.file_digest", fail)
    with pytest.raises(
        ModelFolderError, match=r"model\.safetensors cannot be read: Input/output error; fix its rights"
    ):
        load_folder(folder)
