"""Files that are whole or absent, and that run nothing."""

import os
import pickle
import zipfile

import pytest
import torch

from heedful._errors import ModelFolderError, OutputError
from heedful.training.checkpoint import WeightFiles, clear_unfinished, load, save


def test_what_was_saved_is_read_back(tmp_path):
    content = {"weights": {"w": torch.randn(2, 3)}, "train_state": {"step": 7, "best": None, "sums": [0.1, 2.0]}}
    save(content, tmp_path / "c.pt")
    back = load(tmp_path / "c.pt")
    assert torch.equal(back["weights"]["w"], content["weights"]["w"])
    assert back["train_state"] == content["train_state"]


def test_a_write_that_fails_leaves_the_old_file_and_no_new_one(tmp_path, monkeypatch):
    save({"step": 1}, tmp_path / "c.pt")

    def full(content, path):
        path.write_bytes(b"half")
        raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"cannot write .*c\.pt: No space left on device; free some space, or choose"):
        save({"step": 2}, tmp_path / "c.pt")
    monkeypatch.undo()
    assert load(tmp_path / "c.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*c\.pt"):
        save({}, tmp_path / "file" / "c.pt")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_a_file_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Harmful()}, tmp_path / "torch.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("torch.pt", "plain.pt"):
        with pytest.raises(ModelFolderError, match=f"{name} is cut off or no checkpoint"):
            load(tmp_path / name)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("length", [0, 1, 10, 300, -1])
def test_a_file_that_was_cut_off_is_refused(tmp_path, length):
    save({"w": torch.randn(50)}, tmp_path / "c.pt")
    (tmp_path / "c.pt").write_bytes((tmp_path / "c.pt").read_bytes()[:length])
    with pytest.raises(ModelFolderError, match=r"c\.pt is cut off or no checkpoint"):
        load(tmp_path / "c.pt")


def test_a_file_that_is_packed_is_not_unpacked(tmp_path):
    save({"weights": torch.zeros(10**6)}, tmp_path / "c.pt")
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with (
            zipfile.ZipFile(tmp_path / "c.pt") as right,
            zipfile.ZipFile(tmp_path / "p.pt", "w", compression) as packed,
        ):
            for entry in right.infolist():
                packed.writestr(entry.filename, right.read(entry.filename))
        if compression == zipfile.ZIP_STORED:
            assert load(tmp_path / "p.pt")["weights"].shape == (10**6,)
    assert (tmp_path / "p.pt").stat().st_size < 10**4
    with pytest.raises(ModelFolderError, match=r"p\.pt is cut off or no checkpoint of heedful; delete it"):
        load(tmp_path / "p.pt")


def test_a_byte_that_changed_gives_a_checkpoint_or_a_sentence(tmp_path):
    path = tmp_path / "c.pt"
    save({"weights": {"w": torch.randn(2, 3)}, "train_state": {"step": 7, "best": None, "sums": [0.1, 2.0]}}, path)
    content = path.read_bytes()
    refused = 0
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        try:
            load(path)
        except ModelFolderError:
            refused += 1
    assert refused > 100


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ModelFolderError, match=r"c\.pt does not exist"):
        load(tmp_path / "c.pt")


def test_only_the_weights_that_are_wanted_stay(tmp_path):
    files = WeightFiles(tmp_path / "weights")
    for step in (2, 13, 130):
        files.save(step, {"w": torch.tensor([float(step)])})
    files.keep_only([13, 130])
    assert sorted(path.name for path in files.folder.iterdir()) == ["step-13.pt", "step-130.pt"]
    assert files.load(13)["w"].item() == 13


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    for path in (tmp_path, tmp_path / "weights"):
        save({}, path / "c.pt")
        (path / ".c.pt.123.part").write_bytes(b"half")
    clear_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c.pt", "c.pt", "weights"]
