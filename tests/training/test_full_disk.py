"""A full disk, or a limit on the size of files, while a run saves: the last good checkpoint stays, and is named."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from heedful._errors import OutputError
from heedful.training import train
from tests.training.team import ROOT
from tests.training.tiny import held_out, options, tiny_dataset, tiny_model

LIMITED = """
import resource, shutil, signal, sys
from pathlib import Path
from types import SimpleNamespace
from heedful._errors import OutputError
from heedful.training import train
from tests.training.tiny import held_out, options, tiny_dataset, tiny_model

folder, how = Path(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
shutil.disk_usage = lambda folder: SimpleNamespace(free=2**40)  # what was free before has been taken by somebody
calls = []

def full(model):
    calls.append(model)
    if len(calls) == 2 and how == "limit":
        size = (folder / "checkpoint.pt").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if len(calls) == 2 and how == "fill":
        with (folder.parent / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(512)):
                    pass
            except OSError:
                pass
    return held_out(model)

try:
    train(tiny_model(), tiny_dataset(), full, options(max_steps=20, tensorboard=how == "fill"), folder)
except OutputError as error:
    print(error)
"""


def filled(folder: Path, how: str) -> str:
    """What a run says when it can write no more at its second validation."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), how], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_goes_on(folder: Path):
    """The checkpoint of step 8 is whole, nothing half written is left, and the run ends as one that never stopped."""
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["train_state"]["step"] == 8
    assert not list(folder.rglob("*.part"))
    whole, halved = tiny_model(), tiny_model()
    train(whole, tiny_dataset(), held_out, options(), folder.parent / "whole")
    train(halved, tiny_dataset(), held_out, options(), folder)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))


def test_a_file_that_may_grow_no_more_leaves_the_last_checkpoint_and_says_so(tmp_path):
    said = filled(tmp_path / "run", "limit")
    assert said.startswith(f"cannot write {tmp_path / 'run'}")
    assert said.endswith("the checkpoint of step 8 is whole, and the same command goes on from it\n")
    assert said.count("\n") == 1
    assert_goes_on(tmp_path / "run")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(small_disk):
    said = filled(small_disk / "run", "fill")
    assert said.startswith(f"cannot write {small_disk / 'run'}")
    assert ": No space left on device; free some space" in said
    assert said.endswith("the checkpoint of step 8 is whole, and the same command goes on from it\n")
    (small_disk / "filler").unlink()
    assert_goes_on(small_disk / "run")


def test_before_the_first_checkpoint_none_is_promised(tmp_path, monkeypatch):
    def full(content, path):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"No space left on device; free some space, or choose another place$"):
        train(tiny_model(), tiny_dataset(), held_out, options(), tmp_path)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
