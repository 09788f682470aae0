"""Write a picture whole or not at all."""

import os
from pathlib import Path

from heedful._errors import OutputError


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Write `content` to a temporary name beside `path`, then rename it; text is stored as UTF-8.

    Missing folders are made. Raises OutputError when the place cannot be written; nothing is left behind then.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose a folder that can be written") from error
    return path
