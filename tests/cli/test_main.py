"""The command as a whole: help, version, exit codes, and what it does not load."""

import subprocess
import sys

import pytest

import heedful
from heedful._errors import HeedfulError
from heedful.cli import listing
from heedful.cli.main import app

from .conftest import start

COMMANDS = (
    "demo",
    "train",
    "translate",
    "serve",
    "classify",
    "forecast",
    "evaluate",
    "explain",
    "compare",
    "export",
    "inspect",
    "list",
    "shortlist",
    "doctor",
)


def test_the_version_is_the_packages(run):
    assert run("--version").out == f"heedful {heedful.__version__}\n"


def test_help_names_every_command_with_what_it_does(run):
    outcome = run("--help")
    assert outcome.code == 0
    for name in COMMANDS:
        (line,) = [line for line in outcome.out.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 4
    assert {command.name for command in app.registered_commands} == set(COMMANDS)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_help_has_an_example_that_fits_a_terminal(run, name):
    text = run(*name.split(), "--help").out
    example = text[text.index("Example") :]
    assert f"  heedful {name}".rstrip() in example or f"| heedful {name}" in example
    assert max(map(len, text.splitlines())) <= 80


def test_examples_use_options_that_exist(run):
    for name in COMMANDS:
        text = run(name, "--help").out
        options, example = text[: text.index("Example")], text[text.index("Example") :]
        for word in example.split():
            if word.startswith("--"):
                assert f"  {word} " in options, f"heedful {name} has no option {word}"


@pytest.mark.parametrize(
    "args", [[], ["fly"], ["--fly"], ["translate"], ["translate", "x", "--beam", "0"], ["explain", "x"], ["list", "x"]]
)
def test_wrong_use_ends_with_2_and_says_so_on_standard_error(run, args):
    outcome = run(*args)
    assert outcome.code == 2
    assert "Usage: " in outcome.out + outcome.err
    assert not args or (outcome.out == "" and "Error: " in outcome.err)


class PanicException(BaseException):
    """What a library in Rust raises: no Exception."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PanicException("range end"), "unexpected PanicException: range end; put HEEDFUL_DEBUG=1 before the command"),
        (HeedfulError("the disk is red; paint it"), "the disk is red; paint it"),
        (ValueError("a number is odd"), "a number is odd"),
        (PermissionError(13, "Permission denied", "secret.txt"), "secret.txt: Permission denied"),
        (MemoryError(), "there is not enough memory; try smaller batches or a smaller beam"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "there is not enough memory"),
        (KeyError("x"), "unexpected KeyError: 'x'; put HEEDFUL_DEBUG=1 before the command to see where"),
    ],
)
def test_any_failure_is_one_sentence_and_1(one_sentence, monkeypatch, error, sentence):
    def fail():
        raise error

    monkeypatch.setattr("heedful.attention.catalogue.catalogue", fail)
    assert one_sentence("list").startswith(sentence)


def test_a_traceback_comes_to_whoever_asks_for_it(run, monkeypatch):
    def fail():
        raise HeedfulError("odd")

    monkeypatch.setattr("heedful.attention.catalogue.catalogue", fail)
    monkeypatch.setattr(listing, "EXAMPLES", ())
    assert run("list").code == 1
    monkeypatch.setenv("HEEDFUL_DEBUG", "1")
    with pytest.raises(HeedfulError, match="odd"):
        run_with_debug()


def run_with_debug():
    app(["list"], standalone_mode=False)


def test_ctrl_c_ends_with_1_and_a_word(run, monkeypatch):
    def fail():
        raise KeyboardInterrupt

    monkeypatch.setattr("heedful.attention.catalogue.catalogue", fail)
    outcome = run("list")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "Stopped.\n")


def test_help_and_version_load_nothing_heavy():
    code = (
        "import sys\nfrom heedful.cli.main import main\nsys.argv[1:] = ['--version']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*{'torch', 'numpy', 'matplotlib', 'tokenizers', 'pydantic'} & set(sys.modules))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == f"heedful {heedful.__version__}\n\n"


def test_the_package_is_a_command_too():
    said = subprocess.run([sys.executable, "-m", "heedful", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"heedful {heedful.__version__}\n"


def test_the_shell_gets_the_exit_code():
    child = start("fly")
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (2, b"")
    assert b"No such command" in err
