"""A picture is written whole or not at all."""

import pytest

from heedful._errors import OutputError
from heedful.visual.files import write_whole


def test_text_and_bytes_arrive_and_missing_folders_are_made(tmp_path):
    path = write_whole(tmp_path / "new" / "folder" / "page.html", "été")
    assert path.read_bytes() == "été".encode()
    assert write_whole(str(path), b"\x00\x01").read_bytes() == b"\x00\x01"
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_a_place_that_cannot_be_written_is_named_and_stays_as_it_was(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match=r"cannot write .*file/page\.html: .*; choose a folder that can be written"):
        write_whole(tmp_path / "file" / "page.html", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*folder: "):
        write_whole(tmp_path / "folder", "text")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "here"


def test_a_failed_rename_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write_whole(tmp_path / "page.html", "old")

    def fail(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        write_whole(path, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "old"
