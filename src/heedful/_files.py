"""Files and folders that are written whole or not at all: under a temporary name first, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heedful._errors import OutputError


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> Path:
    r"""Write `content` to a file, whole or not at all, and return its path; text is stored as UTF-8.

    Missing folders are made. Raises `OutputError` when the place cannot be written; what stood there still stands.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_whole(Path(folder, "new", "words.txt"), "été").read_bytes()
    b'\xc3\xa9t\xc3\xa9'
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return Path(path)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name to write to in the place of `path`: it becomes `path` when the block ends well and vanishes otherwise.

    Missing folders are made. A device or a pipe, such as /dev/stdout, has no place to take and is given itself.

    Raises:
        OutputError: the place cannot be written; whatever stood there still stands, and nothing is left behind.
    """
    path = Path(path)
    with _told(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
            yield path
            return
        final = path.resolve()  # a link stays a link
        temporary = _beside(final, "part")
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()  # a place that cannot be written is known before anything takes time
            yield temporary
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder in the place of `path`: it becomes `path` when the block ends well and vanishes otherwise.

    Missing folders above it are made. What stood at `path` is replaced.

    Raises:
        OutputError: the place cannot be written; whatever stood there still stands, and nothing is left behind.
    """
    path = Path(path)
    with _told(path):
        final = path.resolve()
        temporary, old = _beside(final, "part"), _beside(final, "old")
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            yield temporary
            try:
                if final.exists():
                    final.rename(old)
                temporary.rename(final)
            except BaseException:  # Ctrl-C, too, between the two renamings
                if old.exists():
                    old.rename(final)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder and its parents, if need be. Raises `OutputError` if it cannot be made."""
    with _told(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into a sentence that names the place and the way out."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        why, way_out = error.strerror or str(error), "choose a place you may write to"
        if isinstance(error, FileExistsError | NotADirectoryError):
            in_the_way = [place for place in (path, *path.parents) if place.is_file()]
            why = f"{in_the_way[0]} is a file, not a folder" if in_the_way else why
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            way_out = "free some space, or choose another place"
        raise OutputError(f"cannot write {path}: {why}; {way_out}") from error


def _beside(path: Path, kind: str) -> Path:
    # the process in its name: two at once do not write into one another's file
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")
