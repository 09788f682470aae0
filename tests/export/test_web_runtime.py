"""Where onnxruntime-web comes from: a folder, or npm, whose archive must be the one that was published."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from heedful._errors import ExportError
from heedful.export import web_runtime
from heedful.export.web_runtime import ABOUT, FILES, copy_runtime, find_runtime

CONTENT = {ABOUT: '{"name": "onnxruntime-web", "version": "7.8"}', **dict.fromkeys(FILES, "code")}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the user's."""
    monkeypatch.setattr(web_runtime, "cache_folder", lambda: tmp_path / "cache" / "kept")
    return tmp_path / "cache" / "kept"


def archive() -> bytes:
    """A package as npm packs it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as members:
        for name, text in CONTENT.items():
            about = tarfile.TarInfo(f"package/{name}")
            about.size = len(text)
            members.addfile(about, io.BytesIO(text.encode()))
    return packed.getvalue()


def test_npm_is_asked_once_and_its_archive_is_checked(cache, tmp_path, monkeypatch):
    asked, content = [], archive()

    def pack(npm, folder):
        asked.append(npm)
        Path(folder, "onnxruntime-web-7.8.tgz").write_bytes(content)

    monkeypatch.setattr(web_runtime, "_pack", pack)
    monkeypatch.setattr(web_runtime.shutil, "which", lambda name: f"/bin/{name}")
    with pytest.raises(ExportError, match=r"what npm fetched is not onnxruntime-web .* as it was published \(sha512-"):
        find_runtime()
    assert not cache.exists()
    monkeypatch.setattr(web_runtime, "SHA512", base64.b64encode(hashlib.sha512(content).digest()).decode())
    whole = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in CONTENT.items()}
    monkeypatch.setattr(web_runtime, "SHA256", whole)
    assert find_runtime() == find_runtime() == cache
    assert asked == ["/bin/npm"] * 2
    # what is damaged or gone is fetched again, and refused where that is damaged, too
    damages = (lambda path: path.write_text("half"), Path.unlink)
    for count, (name, damage) in enumerate(zip(FILES, damages, strict=True), start=3):
        damage(cache / name)
        assert find_runtime() == cache
        assert (cache / name).read_text() == CONTENT[name]
        assert len(asked) == count
    (cache / ABOUT).unlink()
    content = content[:-1]
    with pytest.raises(ExportError, match="what npm fetched is not onnxruntime-web"):
        find_runtime()
    assert len(asked) == 5
    content = archive()
    find_runtime()
    assert copy_runtime(cache, tmp_path) == "7.8"
    assert {one.name for one in tmp_path.iterdir()} == {"cache", *FILES.values()}


def test_without_npm_both_ways_out_are_named(cache, monkeypatch):
    monkeypatch.setattr(web_runtime.shutil, "which", lambda name: None)
    with pytest.raises(ExportError, match=r"install npm, or name a folder with --runtime .*npm install onnxruntime"):
        find_runtime()


def test_without_a_network_the_way_out_is_named(cache, tmp_path, monkeypatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTCACHED' >&2\necho 'npm error no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(web_runtime.shutil, "which", lambda name: str(npm))
    with pytest.raises(ExportError, match=r"npm cannot fetch .* \(no network\); go online for once, or name a folder"):
        find_runtime()
    assert not cache.exists()


@pytest.mark.parametrize(
    ("about", "named"),
    [
        (None, "is no unpacked onnxruntime-web: it has no package.json"),
        ('{"name": "left-pad", "version": "1"}', "is not that of onnxruntime-web"),
        ("[", "is not that of onnxruntime-web"),
    ],
)
def test_a_folder_of_something_else_is_refused(about, named, tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("code")
    if about is not None:
        (tmp_path / ABOUT).write_text(about)
    with pytest.raises(ExportError, match=named):
        find_runtime(tmp_path)
