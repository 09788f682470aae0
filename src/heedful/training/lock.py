"""One run in a folder at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from heedful._errors import OutputError
from heedful._files import make_folder

NAME = ".lock"


@contextmanager
def only_run(folder: Path, wanted: bool = True) -> Iterator[None]:
    """Hold a folder against other runs; the system lets it go when the process ends, however it ends.

    Args:
        folder: Made if need be.
        wanted: Whether to do anything at all: of several processes of one run only one holds the folder.

    Raises:
        OutputError: If another process holds it, or it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, only_run(Path(folder)):
        ...     (Path(folder) / ".lock").exists()
        True
    """
    if not wanted:
        yield
        return
    make_folder(folder)
    lock = FileLock(folder / NAME, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"another run is at work in {folder}; wait for its end, or choose another output folder"
        ) from None
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}; choose a place you may write to") from error
    except NotImplementedError:
        # a file system without locks: its user makes sure that one run is alone
        yield
        return
    try:
        yield
    finally:
        lock.release()
