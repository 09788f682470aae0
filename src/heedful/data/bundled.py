"""Sentence pairs that ship with the package. See `bundled/README.md` for where they come from and their licence."""

from importlib.resources import as_file, files

from heedful.data.readers import Pairs, read_pairs

BUNDLED = {"tatoeba_en_fr": ("train", "val", "test")}


def load_pairs(name: str, split: str) -> Pairs:
    """Read one split ("train", "val" or "test") of a bundled set.

    "tatoeba_en_fr" is English to French, sentences of 3 to 16 English words.

    >>> pairs = load_pairs("tatoeba_en_fr", "val")
    >>> len(pairs.source) == len(pairs.target)
    True
    """
    if name not in BUNDLED:
        raise ValueError(f"There is no bundled set {name!r}; expected one of {', '.join(BUNDLED)}.")
    if split not in BUNDLED[name]:
        raise ValueError(f"{name} has no split {split!r}; expected one of {', '.join(BUNDLED[name])}.")
    with as_file(files("heedful.data") / "bundled" / f"{name}.{split}.tsv.xz") as path:
        return read_pairs(path)
