"""Captions of pictures: JSON lines that name a picture and say what is on it, and the folder that holds it."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from heedful._errors import DataError

from .files import read_raw_lines
from .pictures import IMAGES
from .readers import Pairs
from .regions import FEATURES
from .sources import NO_JSON, Fault, Row

NO_CAPTION = "no caption"
NO_PICTURE = "no such picture"


def caption_rows(path: Path, folder: Path, kind: Literal["features", "images"]) -> Iterator[Row]:
    """A row for every caption: the path of its picture, and the caption.

    A line is `{"image": NAME, "caption": TEXT}` or `{"image": NAME, "captions": [TEXT, ...]}`. NAME is that of a file
    in the folder, or below it; its ending may be another, so that `dog.jpg` finds `dog.npy`, or `dog.jpg.npy`.

    - `path`: the JSON lines, plain or packed.
    - `folder`: the pictures.
    - `kind`: what the files in it are.

    Raises `DataError` where there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; name the one that holds the pictures.")

    @lru_cache(maxsize=1 << 16)
    def find(name: str) -> str | None:
        return _find(folder, name, FEATURES if kind == "features" else IMAGES)

    for line in read_raw_lines(path):
        if not line.strip():
            yield b"", b""
            continue
        name, captions = _parse(line)
        picture = find(name) if name else None
        place = picture or (Fault(NO_PICTURE) if name else Fault(NO_JSON))
        for caption in captions or [None]:
            yield place, caption if isinstance(caption, str) else Fault(NO_CAPTION)


def by_picture(pairs: Pairs) -> tuple[list[str], list[list[str]]]:
    """Each picture once, and all of its captions.

    >>> by_picture(Pairs(["a", "b", "a"], ["one", "two", "three"], {}, "here"))
    (['a', 'b'], [['one', 'three'], ['two']])
    """
    captions: dict[str, list[str]] = {}
    for picture, caption in zip(pairs.source, pairs.target, strict=True):
        captions.setdefault(picture, []).append(caption)
    return [*captions], [*captions.values()]


def _parse(line: bytes) -> tuple[str, list[Any]]:
    """The name of the picture, "" where there is none, and the captions."""
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return "", []
    if not isinstance(record, dict) or not isinstance(record.get("image"), str):
        return "", []
    several = record.get("captions")
    return record["image"], several if isinstance(several, list) else [record.get("caption")]


def _find(folder: Path, name: str, endings: Sequence[str]) -> str | None:
    """The file that a name leads to, within the folder."""
    relative = PurePosixPath(name)
    if not name.strip("/.") or "\0" in name or relative.is_absolute() or ".." in relative.parts:
        return None
    candidates = [relative] if relative.suffix.lower() in endings else []
    for ending in endings:
        candidates += [relative.with_suffix(ending), relative.with_name(relative.name + ending)]
    found = (folder / candidate for candidate in candidates)
    try:
        return next((str(path) for path in found if path.is_file()), None)
    except OSError:  # such as a name that is too long
        return None
