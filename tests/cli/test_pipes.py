"""Pipes, locales and odd bytes: what only a process of its own can show."""

import os
import select
import subprocess
import time

import pytest

from .conftest import start

SENTENCE = b"I love you.\n"


def read_line(child: subprocess.Popen, seconds: float = 120) -> bytes:
    """The next line of standard output, or an error when none comes in time."""
    line, end = b"", time.monotonic() + seconds
    while not line.endswith(b"\n"):
        assert select.select([child.stdout], [], [], max(0, end - time.monotonic()))[0], "nothing came"
        piece = os.read(child.stdout.fileno(), 1)
        assert piece, child.stderr.read().decode()
        line += piece
    return line


def test_each_line_is_answered_before_the_next_is_written(model):
    with start("translate", model) as child:
        for _ in range(3):
            child.stdin.write(SENTENCE)
            child.stdin.flush()
            assert read_line(child).strip()
        child.stdin.close()
        assert child.wait(60) == 0
        assert child.stdout.read() == child.stderr.read() == b""


@pytest.mark.parametrize("command", ["translate", "list"])
def test_a_reader_who_leaves_early_ends_it_quietly(model, command):
    arguments = [command, model] if command == "translate" else [command]
    with start(*arguments) as child:
        if command == "translate":
            child.stdin.write(SENTENCE * 2000)
            child.stdin.close()
            assert read_line(child).strip()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 0


def test_translations_are_utf8_whatever_the_locale(small_run, model):
    child = start("translate", model, env={"LC_ALL": "C", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"})
    out, _ = child.communicate("Où est Tom ?\n".encode() + SENTENCE, timeout=120)
    wanted = [best[0].text for best in small_run.translator.translate(["Où est Tom ?", "I love you."])]
    assert out.decode("utf-8").splitlines() == wanted


def test_an_argument_that_is_no_utf8_is_one_sentence(model):
    child = start("explain", model, b"I love \xff you.")
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (1, b"")
    assert err == b"Error: The sentence is not UTF-8; set the terminal or the script to UTF-8.\n"


def test_a_file_whose_name_is_no_utf8_can_be_read_and_can_be_missing(model, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    child = start("translate", model, path)
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out) == (1, b"")
    assert err.startswith(b"Error: There is no file ")
    with open(path, "wb") as file:  # noqa: PTH123  (a path of bytes)
        file.write(SENTENCE)
    child = start("translate", model, path, "--output", path + b".out")
    _, err = child.communicate(timeout=120)
    assert (child.returncode, err.count(b"\n")) == (0, 1), err
    assert os.path.getsize(path + b".out") > 1  # noqa: PTH202


def test_ctrl_c_in_a_translation_leaves_no_half_file(model, tmp_path):
    child = start("translate", model, "--output", tmp_path / "out.txt")
    child.stdin.write(SENTENCE)
    child.stdin.flush()
    for _ in range(1200):
        if list(tmp_path.iterdir()):
            break
        time.sleep(0.1)
    time.sleep(0.3)
    child.send_signal(2)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (1, b"", b"Stopped.\n")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_behind_standard_output_is_one_sentence(model):
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("a system without /dev/full")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        child = start("translate", model, stdout=full)
        _, err = child.communicate(SENTENCE, timeout=120)
    assert (child.returncode, err) == (1, b"Error: No space left on device\n")
