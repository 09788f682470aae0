"""Word vectors as they are published for GloVe, word2vec and fastText: text, a word and its numbers in each line."""

from collections.abc import Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from heedful._errors import DataError, brief

from .files import read_raw_lines


class WordVectors(NamedTuple):
    """What a file has of some words.

    Attributes:
        vectors: `[words, dim]`, 0 where it has none.
        known: `[words]`, whether it has one.
    """

    vectors: Float32[np.ndarray, "words dim"]
    known: Bool[np.ndarray, " words"]


def read_word_vectors(path: str | PathLike[str], words: Sequence[str], dim: int) -> WordVectors:
    r"""The vectors of some words; a word that the file lacks takes that of its lower case.

    Args:
        path: text in UTF-8, as it is or packed by gzip or xz: in each line a word and `dim` numbers, with a space
            before each; the first line may be word2vec's, how many words and numbers there are.
        words: what is looked up.
        dim: numbers of a vector.

    Raises:
        DataError: the file cannot be read, its vectors have another size, or one that is looked up holds what is no
            finite number; says where.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "vectors.txt"
    >>> _ = path.write_text("the 0.5 1\nbonn 2 -1\n")
    >>> read_word_vectors(path, ["Bonn", "xyz"], dim=2).vectors.tolist()
    [[2.0, -1.0], [0.0, 0.0]]
    """
    places: dict[bytes, list[int]] = {}
    for place, word in enumerate(words):
        for form in {word, word.lower()}:
            places.setdefault(form.encode(), []).append(place)
    exact = [word.encode() for word in words]
    found = WordVectors(np.zeros((len(words), dim), np.float32), np.zeros(len(words), bool))
    own = np.zeros(len(words), bool)  # found as it is written, which its lower case does not replace
    for number, line in enumerate(read_raw_lines(path), 1):
        parts = line.rstrip().rsplit(b" ", dim)
        if number == 1:
            if _is_count(parts):
                continue
            _check_size(parts, line, dim, path)
        for place in places.get(parts[0], ()):
            is_own = parts[0] == exact[place]
            if own[place] or (found.known[place] and not is_own):
                continue
            found.vectors[place] = _numbers(parts[1:], dim, f"{path} line {number}")
            found.known[place], own[place] = True, is_own
    return found


def _is_count(parts: list[bytes]) -> bool:
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def _check_size(parts: list[bytes], line: bytes, dim: int, path: str | PathLike[str]) -> None:
    """Refuse a file by its first vector; a word without spaces is taken for granted there."""
    came = len(line.split()) - 1
    if came != dim or len(parts) != dim + 1:
        raise DataError(f"{path} has vectors of {came} numbers in line 1; expected {dim}, the size of the embedding.")


def _numbers(parts: list[bytes], dim: int, where: str) -> Float32[np.ndarray, " dim"]:
    try:
        vector = np.array(parts, np.float32)
    except ValueError:
        raise DataError(f"{where} holds {brief(parts)} behind its word; expected {dim} numbers.") from None
    if len(vector) != dim or not np.isfinite(vector).all():
        raise DataError(f"{where} holds {len(vector)} numbers behind its word; expected {dim}, none infinite or NaN.")
    return vector
