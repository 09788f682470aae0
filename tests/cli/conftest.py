"""Commands as a shell runs them: in this process, or in one of their own where pipes and signals matter."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from heedful.cli.main import app


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote where."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch):
    """`run("translate", model, stdin=b"...")`: one command in this process."""
    monkeypatch.delenv("HEEDFUL_DEBUG", raising=False)

    def command(*args: object, stdin: bytes = b"") -> Outcome:
        result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout_bytes.decode("utf-8"), result.stderr)

    return command


def start(*args: object, **options) -> subprocess.Popen:
    """One command in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    code = "from heedful.cli.main import main; main()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    arguments = [arg if isinstance(arg, bytes) else str(arg) for arg in args]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **(pipes | options))


@pytest.fixture
def model(small_run) -> Path:
    """The folder of a small trained model."""
    return small_run.model


@pytest.fixture
def one_sentence(run):
    """Run a command that must fail with one clear sentence, which is returned, and nothing on standard output."""

    def command(*args: object, code: int = 1, stdin: bytes = b"") -> str:
        outcome = run(*args, stdin=stdin)
        assert (outcome.code, outcome.out) == (code, "")
        assert "Traceback" not in outcome.err
        (sentence,) = [line for line in outcome.err.splitlines() if line.startswith("Error: ")]
        return sentence.removeprefix("Error: ").removeprefix("Invalid value: ")

    return command
