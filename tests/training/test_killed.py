"""Runs that are killed, and go on as if nothing had been."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.team import ROOT
from tests.training.test_loop import rows

EVERYTHING = {
    "max_steps": 22,
    "accumulate": 2,
    "validate_every": 3,
    "average_last": 3,
    "ema": 0.9,
    "schedule": "plateau",
    "plateau_patience": 1,
    "warmup_steps": 4,
    "teacher_forcing": {"start": 1.0, "end": 0.3},
    "label_smoothing": 0.1,
    "weight_decay": 0.01,
    "decoder_learning_rate": 0.03,
}


def start(folder: Path, **plan) -> subprocess.CompletedProcess:
    """One command; its process ends where the plan says."""
    command = [sys.executable, "-m", "tests.training.team", str(folder), json.dumps(plan)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)


def assert_same(one: Path, other: Path):
    for name in ("batches.csv", "epochs.csv", "validations.csv"):
        assert rows(one / name) == rows(other / name), name
        assert rows(one / name)
    for name in ("final.pt", "checkpoint.pt"):
        contents = [torch.load(folder / name, weights_only=True) for folder in (one, other)]
        plain = [
            (content.pop("train_state", {}) | {"seconds": 0}, content.pop("made_with", {})) for content in contents
        ]
        assert plain[0] == plain[1]
        torch.testing.assert_close(*contents, rtol=0, atol=0, msg=name)
    files = [sorted(path.name for path in (folder / "weights").iterdir()) for folder in (one, other)]
    assert files[0] == files[1]
    assert not list(other.rglob(".*.part"))


@pytest.mark.parametrize(
    ("options", "seed"), [(EVERYTHING, 1), ({"max_steps": 25, "accumulate": 3, "checkpoint_minutes": 1e-9}, 2)]
)
def test_a_run_killed_at_five_points_ends_as_one_that_was_not(tmp_path, options, seed):
    whole = start(tmp_path / "whole", options=options)
    assert whole.returncode == 0, whole.stderr
    draw = random.Random(seed)
    points = [
        ("loss", 2 * draw.randint(2, 5)),  # the second batch of an update
        ("half", draw.randint(1, 3)),
        ("batch", draw.randint(2, 9)),
        ("named", draw.randint(1, 6)),
        ("half", 1 + draw.randint(1, 3)),
    ]
    for what, count in points:
        child = start(tmp_path / "killed", options=options, stop=[0, what, count, "SIGKILL"])
        assert child.returncode == -signal.SIGKILL, (what, count, child.stderr)
    last = start(tmp_path / "killed", options=options)
    assert last.returncode == 0, last.stderr
    assert "Going on from step" in last.stderr
    assert last.stdout == whole.stdout
    assert_same(tmp_path / "whole", tmp_path / "killed")
