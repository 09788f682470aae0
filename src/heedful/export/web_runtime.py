"""onnxruntime-web: from a folder that the user names, or from npm, once, checked and kept in the user's cache.

npm knows its registry and its proxies; what it gives must be, byte for byte, what was published.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from numba.misc.appdirs import AppDirs

from heedful._errors import ExportError
from heedful._files import whole_folder

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
ABOUT = "package.json"
# what a page needs of the package, without threads and GPUs, and what it is called beside the page
FILES = {
    "dist/ort.wasm.bundle.min.mjs": "onnxruntime-web.js",
    "dist/ort-wasm-simd-threaded.wasm": "onnxruntime-web.wasm",
}
SHA256 = {
    ABOUT: "16f69f755509990539aeb1c8445884960e91adcacab2e8dca8e44ee43601df5c",
    "dist/ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
OWN_FOLDER = f"name a folder with --runtime that holds it unpacked, such as the node_modules/{PACKAGE} that " + (
    f"`npm install {PACKAGE}@{VERSION}` makes where there is a network"
)
SECONDS = 600


def find_runtime(folder: str | os.PathLike[str] | None = None) -> Path:
    """The folder of an unpacked onnxruntime-web: the one that is named, else the user's cache, which npm fills.

    What is damaged in the cache is fetched again.

    Args:
        folder: an unpacked package of the user's; of another version, its files must have the same names.

    Raises:
        ExportError: that folder is none, or there is neither a network nor npm.
    """
    if folder is not None:
        _version(Path(folder))
        return Path(folder)
    kept = cache_folder()
    if not _is_whole(kept):
        _fetch(kept)
    return kept


def cache_folder() -> Path:
    """Where the pinned version is kept.

    >>> cache_folder().name == f"onnxruntime-web-{VERSION}"
    True
    """
    return Path(AppDirs("heedful", appauthor=False).user_cache_dir) / f"{PACKAGE}-{VERSION}"


def copy_runtime(source: Path, folder: Path) -> str:
    """Copy what a page needs of an unpacked package, under the names of `FILES`; its version."""
    version = _version(source)
    for name, own in FILES.items():
        shutil.copyfile(source / name, folder / own)
    return version


def _is_whole(kept: Path) -> bool:
    """Whether the cache holds the pinned version, byte for byte."""
    return all(
        (kept / name).is_file() and hashlib.sha256((kept / name).read_bytes()).hexdigest() == checksum
        for name, checksum in SHA256.items()
    )


def _version(folder: Path) -> str:
    """The version of an unpacked package, in which nothing is missing."""
    missing = [name for name in (ABOUT, *FILES) if not (folder / name).is_file()]
    if missing:
        raise ExportError(f"{folder} is no unpacked {PACKAGE}: it has no {missing[0]}; {OWN_FOLDER}")
    try:
        about: Any = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        name, version = about["name"], str(about["version"])
    except (ValueError, TypeError, KeyError):
        name, version = None, ""
    if name != PACKAGE:
        raise ExportError(f"{folder / ABOUT} is not that of {PACKAGE}; {OWN_FOLDER}")
    return version


def _fetch(kept: Path) -> None:
    """Have npm bring the pinned version, check it, and keep what is needed of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(
            f"a web page needs {PACKAGE} {VERSION}, and npm, which fetches it, is not installed; install "
            f"npm, or {OWN_FOLDER}"
        )
    with tempfile.TemporaryDirectory() as temporary:
        _pack(npm, temporary)
        archive = next(Path(temporary).glob("*.tgz"), None)
        content = archive.read_bytes() if archive else b""
        found = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if archive is None or found != SHA512:
            raise ExportError(
                f"what npm fetched is not {PACKAGE} {VERSION} as it was published (sha512-{found}, not "
                f"sha512-{SHA512}); look which registry npm is set to, or {OWN_FOLDER}"
            )
        with whole_folder(kept) as folder, tarfile.open(archive) as members:
            for name in (ABOUT, *FILES):
                (folder / name).parent.mkdir(exist_ok=True)
                content = members.extractfile(str(PurePosixPath("package", name)))
                (folder / name).write_bytes(content.read() if content else b"")


def _pack(npm: str, folder: str) -> None:
    """The archive of the package, in a folder."""
    options = ("--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", *options]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        why = f"no answer in {SECONDS} seconds"
    except subprocess.CalledProcessError as error:
        lines = [re.sub(r"npm (error|ERR!)\s*(code .*)?", "", line) for line in error.stderr.splitlines()]
        why = next(filter(None, lines), f"exit code {error.returncode}")
    except OSError as error:
        why = str(error)
    else:
        return
    raise ExportError(f"npm cannot fetch {PACKAGE} {VERSION} ({why}); go online for once, or {OWN_FOLDER}")
