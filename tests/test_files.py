"""Files and folders are written whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heedful._errors import OutputError
from heedful._files import make_folder, whole_file, whole_folder, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def spoil(path, error):
    path.write_text("half")
    raise error


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_text_and_bytes_arrive_and_missing_folders_are_made(tmp_path):
    path = write_whole(tmp_path / "new" / "folder" / "page.html", "été")
    assert path.read_bytes() == "été".encode()
    assert write_whole(str(path), b"\x00\x01").read_bytes() == b"\x00\x01"
    assert names(path.parent) == ["page.html"]


def test_a_place_that_cannot_be_written_is_named_and_stays_as_it_was(tmp_path):
    (tmp_path / "file").write_text("here")
    file = f"{tmp_path}/file"
    with pytest.raises(
        OutputError, match=f"cannot write {file}/a.html: {file} is a file, not a folder; choose a place"
    ):
        write_whole(tmp_path / "file" / "a.html", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*folder: it is a folder; choose a place you may write to"):
        write_whole(tmp_path / "folder", "text")
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.parametrize("what", ["replace", "write_bytes"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, what):
    path = write_whole(tmp_path / "page.html", "old")
    monkeypatch.setattr(Path, what, full)
    with pytest.raises(OutputError, match=r"No space left on device; free some space"):
        write_whole(path, "new")
    monkeypatch.undo()
    assert names(tmp_path) == ["page.html"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_its_own_error(tmp_path, error):
    path = write_whole(tmp_path / "page.html", "old")
    with pytest.raises(error), whole_file(path) as temporary:
        spoil(temporary, error)
    assert names(tmp_path) == ["page.html"]
    assert path.read_text() == "old"


def test_a_place_that_cannot_be_written_is_known_before_the_block_begins(tmp_path):
    (tmp_path / "file").write_text("here")
    begun = False
    with pytest.raises(OutputError), whole_file(tmp_path / "file" / "a.txt"):
        begun = True
    assert not begun


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_whole(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="a system without /dev")
def test_a_device_and_a_pipe_are_written_to_and_stay(tmp_path):
    write_whole("/dev/null", "away")
    assert Path("/dev/null").is_char_device()
    child = "from heedful._files import write_whole; write_whole('/dev/stdout', 'through')"
    assert subprocess.run([sys.executable, "-c", child], capture_output=True, check=True).stdout == b"through"
    with (tmp_path / "out.txt").open("wb") as file:
        subprocess.run([sys.executable, "-c", child], stdout=file, check=True)
    assert (tmp_path / "out.txt").read_bytes() == b"through"


def test_the_rights_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    path = write_whole(tmp_path / "whole", "")
    with whole_folder(tmp_path / "folder"):
        pass
    (tmp_path / "plain_folder").mkdir()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "plain_folder").stat().st_mode


# --- folders ---


@pytest.fixture
def folder(tmp_path):
    with whole_folder(tmp_path / "new" / "model") as temporary:
        (temporary / "a").write_text("old")
    return tmp_path / "new" / "model"


def test_a_folder_takes_the_place_of_the_old_one(folder):
    with whole_folder(folder) as temporary:
        (temporary / "b").write_text("new")
        assert names(folder) == ["a"]
    assert names(folder) == ["b"]
    assert names(folder.parent) == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_block_that_fails_leaves_the_old_folder(folder, error):
    raised = OutputError if error is OSError else error
    with pytest.raises(raised), whole_folder(folder) as temporary:
        spoil(temporary / "a", error)
    assert names(folder.parent) == ["model"]
    assert (folder / "a").read_text() == "old"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_rename_that_fails_brings_the_old_folder_back(folder, monkeypatch, error):
    rename = Path.rename

    def fail(self, target):
        if self.suffix == ".part":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((OutputError, KeyboardInterrupt)), whole_folder(folder):
        pass
    monkeypatch.undo()
    assert names(folder.parent) == ["model"]
    assert (folder / "a").read_text() == "old"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/run: .*file is a file, not a folder"):
        make_folder(tmp_path / "file" / "run")
    with pytest.raises(OutputError, match=r"cannot write .*file/run: "), whole_folder(tmp_path / "file" / "run"):
        pass


def test_a_process_killed_in_the_middle_leaves_the_old_file(tmp_path):
    path = write_whole(tmp_path / "page.html", "old")
    child = (
        "import os, signal, sys; from heedful._files import whole_file\n"
        "with whole_file(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", child, os.fspath(path)], check=False)
    assert killed.returncode == -9
    assert path.read_text() == "old"
