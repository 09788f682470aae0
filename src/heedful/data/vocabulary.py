"""The ids that every vocabulary shares, whatever the tokeniser, and vocabularies from files."""

from os import PathLike

from .files import read_raw_lines

PAD = 0
UNK = 1
BOS = 2
EOS = 3
SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")


def read_entries(path: str | PathLike[str]) -> list[str]:
    r"""The entries of a file, one a line; a tab and what follows it, such as a count, is left out.

    Raises `DataError` for a file that cannot be read.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "vocabulary.txt")
    ...     _ = path.write_text("the\t912\ncat\t41\n\n", encoding="utf-8")
    ...     read_entries(path)
    ['the', 'cat']
    """
    lines = (line.split(b"\t")[0].decode("utf-8", "replace") for line in read_raw_lines(path))
    return [line for line in lines if line]
