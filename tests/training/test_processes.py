"""Two processes on this machine: the same curve as one, shares without overlap or loss, and ends that are ends."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import RecipeError
from heedful.data.batching import collate
from heedful.data.vocabulary import PAD
from heedful.training import sequence_loss, train
from heedful.training.batches import share
from heedful.training.processes import start as start_processes
from tests.training.team import ROOT
from tests.training.test_killed import start
from tests.training.test_loop import rows
from tests.training.tiny import held_out, options, tiny_dataset, tiny_model

TOGETHER = {
    "max_steps": 20,
    "accumulate": 2,
    "validate_every": 4,
    "average_last": 2,
    "schedule": "cosine",
    "warmup_steps": 3,
    "gradient_clip": 0.5,
    "decoder_learning_rate": 0.03,
}
# Sums in another order: float32 keeps six digits of them for so few steps.
CLOSE = {"rel": 2e-4, "abs": 2e-5}


def numbers(path: Path) -> list[dict[str, object]]:
    """A table with its numbers as such."""

    def value(text: str) -> object:
        try:
            return pytest.approx(float(text), **CLOSE)
        except ValueError:
            return text

    return [{name: value(text) for name, text in row.items()} for row in rows(path)]


def assert_same_curves(one: Path, other: Path):
    for name in ("batches.csv", "epochs.csv", "validations.csv"):
        found = [{k: float(v) if v[:1].isdigit() else v for k, v in row.items()} for row in rows(other / name)]
        assert found == numbers(one / name), name


# --- the same as one process ---


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    done = start(folder, options=TOGETHER, model={"dropout": 0.0})
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"strategy": "fsdp"}])
def test_two_processes_draw_the_curve_of_one_with_the_same_batches(tmp_path, alone, changes):
    if changes.get("ema"):
        done = start(tmp_path / "one", options=TOGETHER | changes, model={"dropout": 0.0})
        alone = tmp_path / "one"
        assert done.returncode == 0, done.stderr
    done = start(tmp_path / "two", options=TOGETHER | changes | {"devices": 2}, model={"dropout": 0.0})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stderr.count("Ended by max_steps") == 1
    assert "Warning" not in done.stderr
    assert_same_curves(alone, tmp_path / "two")
    final = [torch.load(folder / "final.pt", weights_only=True) for folder in (alone, tmp_path / "two")]
    torch.testing.assert_close(*final, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("strategy", "kills"), [("ddp", [(0, 9), (1, 13)]), ("fsdp", [(1, 11)])])
def test_two_killed_processes_go_on_to_the_same_numbers(tmp_path, strategy, kills):
    how = TOGETHER | {"devices": 2, "strategy": strategy, "teacher_forcing": {"start": 1.0, "end": 0.5}}
    whole = start(tmp_path / "whole", options=how)
    assert whole.returncode == 0, whole.stderr
    for rank, count in kills:
        child = start(tmp_path / "killed", options=how, stop=[rank, "loss", count, "SIGKILL"])
        assert child.returncode != 0
    last = start(tmp_path / "killed", options=how)
    assert last.returncode == 0, last.stderr
    assert "Going on from step" in last.stderr
    assert last.stdout == whole.stdout
    for name in ("batches.csv", "epochs.csv", "validations.csv"):
        assert rows(tmp_path / "whole" / name) == rows(tmp_path / "killed" / name)
    final = [torch.load(tmp_path / name / "final.pt", weights_only=True) for name in ("whole", "killed")]
    torch.testing.assert_close(*final, rtol=0, atol=0)


def test_a_run_of_one_process_goes_on_with_two(tmp_path):
    how = TOGETHER | {"max_steps": 8, "schedule": "constant"}
    assert start(tmp_path / "one", options=how, model={"dropout": 0.0}).returncode == 0
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for name, devices in (("one", 1), ("two", 2)):
        longer = how | {"max_steps": 16, "devices": devices}
        done = start(tmp_path / name, options=longer, model={"dropout": 0.0})
        assert done.returncode == 0, done.stderr
    assert_same_curves(tmp_path / "one", tmp_path / "two")


# --- ends ---


def test_an_error_in_one_process_ends_all_and_is_told_once(tmp_path):
    done = start(tmp_path, options=TOGETHER | {"devices": 2}, stop=[1, "loss", 11, "error"])
    assert done.returncode == 1
    assert done.stderr.count("ValueError: this process has had enough\n") == 1
    assert "another process of this run has ended; what it said stands above" in done.stderr
    assert not left(tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_ctrl_c_in_any_process_stops_all_at_one_step_with_a_checkpoint(tmp_path, rank):
    done = start(tmp_path, options=TOGETHER | {"devices": 2}, stop=[rank, "loss", 11, "SIGINT"])
    assert done.returncode != 0
    step = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["train_state"]["step"]
    assert f"Stopped at step {step}; the same command goes on" in done.stderr
    assert 5 <= step <= 8
    assert rows(tmp_path / "batches.csv")[-1]["step"] == str(step)
    assert not left(tmp_path)


def test_a_process_whose_first_one_was_killed_ends_too(tmp_path):
    done = start(tmp_path, options=TOGETHER | {"devices": 2}, stop=[0, "loss", 5, "SIGKILL"])
    assert done.returncode == -signal.SIGKILL
    for _ in range(100):
        if not left(tmp_path):
            return
        time.sleep(0.2)
    raise AssertionError(left(tmp_path))


def left(folder: Path) -> list[str]:
    """Processes that still work on a folder."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if "tests.training.team" in line and str(folder) in line]


# --- shares ---

sentences = st.lists(st.lists(st.integers(4, 10), min_size=1, max_size=5), min_size=1, max_size=9)


@given(sources=sentences, count=st.integers(1, 12), data=st.data())
def test_shares_are_the_batch_without_overlap_or_loss(sources, count, data):
    targets = data.draw(
        st.lists(st.lists(st.integers(4, 10), max_size=5), min_size=len(sources), max_size=len(sources))
    )
    batch = collate(sources, targets, range(len(sources)))
    shares = [share(batch, rank, count) for rank in range(count)]
    real = [one for one in shares if one.num_target_tokens]
    assert sorted(place for one in real for place in one.index.tolist()) == list(range(len(sources)))
    assert sum(one.num_target_tokens for one in shares) == batch.num_target_tokens
    for one in real:
        same = collate(sources, targets, one.index.tolist())
        assert all(
            torch.equal(ours, theirs) for ours, theirs in zip(vars(one).values(), vars(same).values(), strict=True)
        )


def test_a_process_without_a_pair_of_its_own_adds_nothing():
    batch = collate([[5, 6], [7]], [[8], [9, 4]], [0, 1])
    idle = share(batch, 4, 5)
    assert (idle.target_out == PAD).all()
    model = tiny_model(dropout=0.0)
    loss = sequence_loss(model, idle)
    loss.total.backward()
    assert (loss.total.item(), int(loss.tokens), int(loss.correct)) == (0.0, 0, 0)
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())


@given(items=st.lists(st.integers(), max_size=9), count=st.integers(1, 4))
def test_gathered_items_are_in_the_order_they_had_before_they_were_shared(items, count):
    parts = [items[rank::count] for rank in range(count)]
    processes = object.__new__(type(start_processes(options())))
    processes.count, processes.group = count, None

    def gather(into, own, group=None):
        into[:] = parts

    original = torch.distributed.all_gather_object
    torch.distributed.all_gather_object = gather
    try:
        assert processes.gather(parts[0]) == items
    finally:
        torch.distributed.all_gather_object = original


# --- machines that have not what is asked for ---


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"device": "cuda"}, "training.devices is 1, but this machine has 0 GPUs"),
        ({"device": "mps"}, "training.device is mps, but this machine has no GPU of that kind"),
        ({"device": "auto", "precision": "16"}, "training.precision is 16, which needs a GPU, and there is none"),
    ],
)
def test_a_device_that_is_not_there_is_told_in_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(RecipeError, match=sentence):
        train(tiny_model(), tiny_dataset(), held_out, options(**changes), tmp_path)


# --- several machines, and others' launchers ---


def test_two_machines_are_two_commands(tmp_path):
    """Both on this machine; what tells them apart are the variables of the environment."""
    how = TOGETHER | {"nodes": 2}
    plan = json.dumps({"options": how, "model": {"dropout": 0.0}})
    command = [sys.executable, "-m", "tests.training.team", str(tmp_path / "two"), plan]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29687", "OMP_NUM_THREADS": "1"}
    nodes = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **meeting, "NODE_RANK": str(rank)}, stderr=-1, stdout=-1)
        for rank in (0, 1)
    ]
    outputs = [node.communicate(timeout=900) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert outputs[0][0].count(b"\n") == 1
    assert outputs[1] == (b"", b"")
    with (tmp_path / "two/batches.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 20


def test_torchrun_starts_the_processes_as_well(tmp_path):
    plan = json.dumps({"options": TOGETHER | {"devices": 2}, "model": {"dropout": 0.0}})
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "tests.training.team"]
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path / "two"), plan],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert len(rows(tmp_path / "two/batches.csv")) == 20
