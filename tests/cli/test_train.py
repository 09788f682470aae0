"""`heedful train`: a folder with all that was promised, stopped and gone on with, and every recipe that is refused."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from heedful.cli import train
from heedful.tasks.translator import Translator
from heedful.training.lock import only_run
from tests.small import write_recipe

from .conftest import start


@pytest.fixture(autouse=True)
def memory(monkeypatch):
    """Whether the allocator was told; this process itself keeps its own ways."""
    told = []
    monkeypatch.setattr(train, "keep_freed_memory", lambda: told.append(True))
    monkeypatch.setattr(train, "wait_briefly", lambda: None)
    return told


def test_it_leaves_all_it_says_and_says_where(run, tmp_path, memory):
    recipe = write_recipe(tmp_path, max_steps=6, validate_every=3, tensorboard=True)
    outcome = run("train", recipe, "--set", "model.units=15", "--set", "decoding.beam=1")
    folder = tmp_path / "run"
    assert (outcome.code, memory) == (0, [True])
    for name in ("model", "loss_curve.png", "training"):
        assert f"Wrote {folder / name}: " in outcome.err
    assert [line.split(" ")[0] for line in outcome.out.splitlines()] == ["valid\tBLEU", "valid\tchrF2"]
    translator = Translator.load(folder / "model")
    assert (translator.recipe.model.encoder_units, translator.recipe.decoding.beam) == (15, 1)
    with (folder / "training" / "batches.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [1, 2, 3, 4, 5, 6]
    assert list((folder / "training" / "tensorboard").iterdir())
    assert (folder / "loss_curve.png").read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((folder / "model" / "metrics.json").read_text())
    assert (metrics["step"], metrics["stopped"]) == (6, "max_steps")


STOPS = """
import sys
from heedful.cli import train
from heedful.cli.main import main
def stop(*_):
    import torch
    raise SystemExit
train.read_recipe = stop
sys.argv = ["heedful", "train", "mine.yaml"]
main()
"""


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_threads_wait_briefly_unless_told_otherwise(given, spins):
    environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}
    environment = {key: value for key, value in environment.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", STOPS], env={**environment, **given}, capture_output=True, text=True, check=True
    )
    # what OpenMP says of itself when torch loads it
    found = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not found:
        pytest.skip("torch has another OpenMP than GNU's")
    assert f"'{spins}'" in found[0]


def test_what_was_skipped_is_counted(run, tmp_path):
    recipe = write_recipe(tmp_path, max_steps=1)
    with (tmp_path / "train.tsv").open("ab") as file:
        file.write(b"\tOui.\nHi.\tSa\xfflut.\nHm.\n" + b"a" * 100_000 + b"\tb\n" + b"word " * 40 + b"\tmot\n")
    outcome = run("train", recipe)
    assert outcome.code == 0
    assert (
        "left out 1 (empty line); left out 1 (invalid UTF-8); left out 1 (too few columns); "
        "left out 1 (over-long line)." in outcome.err
    )
    assert ": a side has no token or more than 16." in outcome.err


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_command_goes_on(tmp_path):
    recipe = write_recipe(tmp_path, max_steps=100_000, validate_every=100_000)
    args = ("train", recipe, "--set", "model.dropout=0.1")
    child = start(*args)
    batches = tmp_path / "run" / "training" / "batches.csv"
    wait_for(child, lambda: batches.exists() and batches.read_text().count("\n") > 3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (1, b"")
    last = err.decode().splitlines()[-1]
    checkpoint = tmp_path / "run" / "training" / "checkpoint.pt"
    step = torch.load(checkpoint, weights_only=True)["train_state"]["step"]
    assert last == f"Stopped at step {step}; the same command goes on from {checkpoint}."
    assert step == batches.read_text().count("\n") - 1

    child = start(*args, "--set", f"training.max_steps={step + 2}")
    out, err = child.communicate(timeout=240)
    assert child.returncode == 0, err
    assert f"Going on from step {step} of " in err.decode()
    with batches.open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, step + 3))


def test_ctrl_c_before_the_first_step_is_one_word(tmp_path):
    recipe = write_recipe(tmp_path)
    os.mkfifo(tmp_path / "slow.tsv")
    child = start("train", recipe, "--set", f"data.train.tsv={tmp_path / 'slow.tsv'}")
    wait_for(child, (tmp_path / "run" / "recipe.yaml").exists)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out, err) == (1, b"", b"Stopped.\n")


def wait_for(child, happened):
    for _ in range(1200):
        if happened():
            return
        assert child.poll() is None, child.communicate()[1].decode()
        time.sleep(0.1)
    raise TimeoutError


# --- recipes that are refused ---


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("model.unitz=3", "--set model.unitz=3: model.unitz is no key of a recipe; did you mean units?; expected "),
        ("modle.units=3", "--set modle.units=3: modle is no key of a recipe; did you mean model?; expected name, "),
        ("model.units=many", "--set model.units=many: model.units is 'many'; it should be a valid integer"),
        ("model.units=-1", "--set model.units=-1: model.units is -1; it should be greater than 0"),
        ("model.units", "--set model.units: expected key=value, such as model.units=256"),
        ("training.max_steps=[", "--set training.max_steps=[, line 1: "),
    ],
)
def test_a_change_that_no_recipe_knows_is_wrong_use(one_sentence, tmp_path, change, sentence):
    assert one_sentence("train", write_recipe(tmp_path), "--set", change, code=2).startswith(sentence)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("max_steps", "max_stepz", "training.max_stepz is no key of a recipe; did you mean max_steps?; expected "),
        ("units: 14", "units: wide", "model.units is 'wide'; it should be a valid integer"),
        ("name: small\n", "", "name is missing; a recipe needs it"),
        ("name: small\n", "name: a\nname: b\n", "the key 'name' is given twice, first on line 10"),
    ],
)
def test_a_faulty_recipe_is_named_with_its_key(one_sentence, tmp_path, old, new, sentence):
    path = write_recipe(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found = one_sentence("train", path)
    assert found.startswith(str(path))
    assert sentence.split(", first on")[0] in found
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_is_nowhere_is_answered_with_those_that_ship(one_sentence):
    assert "did you mean tatoeba_en_fr?" in one_sentence("train", "tatoeba_en_f")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1, 2]", b"a: [", b"just words"])
def test_a_file_that_is_no_recipe_is_refused(one_sentence, tmp_path, content):
    (tmp_path / "odd.yaml").write_bytes(content)
    assert str(tmp_path / "odd.yaml") in one_sentence("train", tmp_path / "odd.yaml")


# --- what stands in the way ---


def test_another_recipe_in_the_same_folder_is_refused_and_nothing_is_lost(run, one_sentence, tmp_path):
    recipe = write_recipe(tmp_path, max_steps=2)
    assert run("train", recipe).code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    outcome = run("train", recipe, "--set", "model.units=20")
    assert outcome.code == 1
    assert "holds a run whose model was another; choose another output folder" in outcome.err
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_an_output_that_cannot_be_made_is_named_before_anything_is_read(one_sentence, tmp_path, place):
    recipe = write_recipe(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "train.tsv").unlink()
    sentence = one_sentence("train", recipe, "--set", f"output={tmp_path / place}")
    assert sentence == f"cannot write {tmp_path / place}: {tmp_path}/file is a file, not a folder; " + (
        "choose a place you may write to"
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_the_last_checkpoint_and_the_way_out(run, tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path, max_steps=4, validate_every=2)
    save, count = torch.save, []

    def full(content, file):
        count.append(1)
        if len(count) > 2:
            raise OSError(28, "No space left on device")
        save(content, file)

    monkeypatch.setattr(torch, "save", full)
    outcome = run("train", recipe)
    assert outcome.code == 1
    assert "No space left on device; free some space" in outcome.err.splitlines()[-1]
    monkeypatch.undo()
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in (".part", ".tmp")]
    outcome = run("train", recipe)
    assert outcome.code == 0
    assert "Going on from step 2 of " in outcome.err


# --- going on from a trained model ---


def test_a_trained_model_goes_on_learning_from_another_corpus(run, tmp_path, small_run):
    recipe = write_recipe(tmp_path, max_steps=1, validate_every=1, optimizer="sgd", learning_rate=1e-9)
    pairs = (tmp_path / "train.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "new.tsv").write_text("".join(pairs[:40]), encoding="utf-8")
    # the recipe's own tokenizer and sizes give way
    changes = ("--set", f"data.train.tsv={tmp_path / 'new.tsv'}")
    text = recipe.read_text()
    recipe.write_text(text.replace("units: 14", "units: 99").replace("vocab_size: 220", "vocab_size: 50"))
    outcome = run("train", recipe, "--from", small_run.folder, *changes)
    assert outcome.code == 0, outcome.err
    assert f"Starting from the weights of {small_run.folder}." in outcome.err
    new, old = Translator.load(tmp_path / "run" / "model"), Translator.load(small_run.model)
    assert new.recipe.start_from == str(small_run.folder)
    assert new.recipe.model == old.recipe.model
    assert new.tokenizers.target.encode_batch(["Salut."]) == old.tokenizers.target.encode_batch(["Salut."])
    for name, tensor in old.model.state_dict().items():
        torch.testing.assert_close(new.model.state_dict()[name], tensor, rtol=0, atol=1e-6)
    # the same command again goes on, and ends, from its own checkpoint
    assert "Going on from step 1" in run("train", recipe, "--from", small_run.folder, *changes).err


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["--set", "model.decoder_units=19"], "do not fit the recipe's model: size mismatch for "),
        (["--set", "model.encoder=transformer"], "but the recipe a transformer encoder and recurrent decoder; leave"),
        (["--set", "tokenizer.vocab_size=99"], "the tokenizer is that of the model in start_from; leave it out"),
    ],
)
def test_another_architecture_than_that_of_the_model_is_refused(run, tmp_path, small_run, changes, sentence):
    outcome = run("train", write_recipe(tmp_path), "--from", small_run.model, *changes)
    assert outcome.code != 0
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
    assert sentence in line


def test_a_vocabulary_that_does_not_know_the_text_is_warned_of(run, tmp_path):
    recipe = write_recipe(tmp_path, max_steps=1)
    (tmp_path / "valid.tsv").write_text("Привет, мир.\tBonjour.\n", encoding="utf-8")
    outcome = run("train", recipe)
    assert outcome.code == 0
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("Warning: the vocabulary")]
    assert "% of the source tokens of the validation pairs" in line


# --- several processes, and the same numbers from the same seed ---


def command(*args: object, **environment: str) -> subprocess.Popen:
    """One command with a group of its own, which Ctrl-C in a terminal would reach as a whole."""
    return subprocess.Popen(
        [sys.executable, "-m", "heedful", *map(str, args)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_stops_two_processes_and_the_same_command_goes_on(tmp_path):
    recipe = write_recipe(tmp_path, max_steps=100_000, validate_every=100_000)
    child = command("train", recipe, "--devices", 2, "--set", "training.max_seconds=600")
    batches = tmp_path / "run" / "training" / "batches.csv"
    wait_for(child, lambda: batches.exists() and batches.read_text().count("\n") > 3)
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=600)
    step = torch.load(tmp_path / "run/training/checkpoint.pt", weights_only=True)["train_state"]["step"]
    assert (child.returncode, out) == (1, "")
    assert err.count("Stopped at step") == 1
    assert err.splitlines()[-1].startswith(f"Stopped at step {step}; the same command goes on from ")

    child = command("train", recipe, "--devices", 2, "--set", f"training.max_steps={step + 2}")
    out, err = child.communicate(timeout=600)
    assert child.returncode == 0, err
    assert [line.split(" ")[0] for line in out.splitlines()] == ["valid\tBLEU", "valid\tchrF2"]
    assert err.count("Read 300 pairs") == err.count(f"Going on from step {step} of ") == 1
    with batches.open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, step + 3))


def test_an_error_before_the_training_is_told_once_by_two_processes(tmp_path):
    recipe = write_recipe(tmp_path)
    (tmp_path / "train.tsv").unlink()
    child = command("train", recipe, "--devices", 2)
    out, err = child.communicate(timeout=600)
    assert (child.returncode, out) == (1, "")
    assert err.count("Error: ") == 1
    assert "train.tsv" in err


def test_two_commands_with_one_seed_leave_the_same_weights(tmp_path):
    recipe = write_recipe(tmp_path, max_steps=6, validate_every=3)
    weights = []
    for hashes in ("1", "2"):
        folder = tmp_path / f"run{hashes}"
        child = command(
            "train", recipe, "--set", f"output={folder}", "--set", "model.dropout=0.3", PYTHONHASHSEED=hashes
        )
        assert child.wait(timeout=600) == 0, child.communicate()
        child.communicate()
        weights.append([(folder / "model" / name).read_bytes() for name in ("model.safetensors", "tokenizer.json")])
    assert weights[0] == weights[1]


def test_a_second_run_in_the_folder_is_refused_in_one_sentence(one_sentence, tmp_path):
    recipe = write_recipe(tmp_path)
    with only_run(tmp_path / "run"):
        sentence = one_sentence("train", recipe)
    assert sentence.startswith(f"another run is at work in {tmp_path / 'run'}; wait for its end")
