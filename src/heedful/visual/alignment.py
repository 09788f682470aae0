"""What every picture of attention is made from: two rows of tokens and the weights between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

_MARKS = {"\n": "↵", "\r": "↵", "\t": "⇥"}


@dataclass(frozen=True, eq=False)
class Alignment:
    """A sentence pair and how much each target token looked at each source token.

    source, target: the tokens as a person should read them (words, or pieces of words)
    weights: [target_len, source_len], from 0 up; a row usually sums to 1
    caption: a line to stand under the picture, for example the reference translation
    heads: further weights of the same shape by name, such as "layer 1, head 2", for what can show one of many
    copied: of a model that copies, how much of each target token's probability came from that, 0 to 1; empty otherwise

    Raises ValueError when a shape does not fit the tokens, a side is empty, or a weight is negative, NaN or infinite.

    >>> Alignment(["the", "cat"], ["le", "chat"], np.eye(2)).weights.shape
    (2, 2)
    """

    source: Sequence[str]
    target: Sequence[str]
    weights: np.ndarray
    caption: str = ""
    heads: Mapping[str, np.ndarray] = field(default_factory=dict)
    copied: Sequence[float] = ()

    def __post_init__(self) -> None:
        for name, tokens in (("source", self.source), ("target", self.target)):
            if isinstance(tokens, str):
                raise ValueError(f"{name} is the string {tokens!r}; expected a list of tokens, try {name}.split()")
            if len(tokens) == 0:
                raise ValueError(f"{name} has no tokens; expected at least one")
        object.__setattr__(self, "source", list(self.source))
        object.__setattr__(self, "target", list(self.target))
        object.__setattr__(self, "weights", self._checked("weights", self.weights))
        heads = {name: self._checked(f"weights of {name}", weights) for name, weights in self.heads.items()}
        object.__setattr__(self, "heads", heads)
        if len(self.copied) not in (0, len(self.target)):
            raise ValueError(f"copied has {len(self.copied)} numbers but there are {len(self.target)} target tokens")

    @property
    def copies(self) -> list[bool]:
        """Which target tokens are rather copied than chosen from a vocabulary; none where nobody copies."""
        return [share > 0.5 for share in self.copied] or [False] * len(self.target)

    def _checked(self, name: str, given: np.ndarray) -> np.ndarray:
        weights, expected = np.asarray(given, dtype=np.float64), (len(self.target), len(self.source))
        if weights.shape != expected:
            turned = "; transpose them" if weights.shape == expected[::-1] else ""
            raise ValueError(
                f"{name} have shape {weights.shape} but there are {expected[0]} target and {expected[1]} source "
                f"tokens; expected {expected}, [target_len, source_len]{turned}"
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(f"{name} hold negative numbers, NaN or infinity; expected finite numbers from 0 up")
        return weights


def copies_line(alignment: Alignment, mark: str = "") -> str:
    """A line that says which target tokens were copied, and how surely; empty where nobody copies.

    `mark` says how these are marked.

    >>> copies_line(Alignment(["Ann", "met"], ["meet", "Ann"], np.eye(2), copied=[0.1, 0.98]))
    'copied from the source: Ann 98%; from the vocabulary: meet 90%'
    """
    if not alignment.copied:
        return ""
    sides = {f"copied from the source{mark}": True, "from the vocabulary": False}
    told = []
    for name, wanted in sides.items():
        named = [
            f"{visible(token)} {share if wanted else 1 - share:.0%}"
            for token, share, copies in zip(alignment.target, alignment.copied, alignment.copies, strict=True)
            if copies == wanted
        ]
        told.append(f"{name}: {', '.join(named) or 'nothing'}")
    return "; ".join(told)


def visible(token: str, width: int | None = None) -> str:
    r"""`token` on one line, free of control characters, never empty, cut to `width` characters.

    >>> visible("a\tb"), visible(""), visible("Donaudampfschiff", 8)
    ('a⇥b', '∅', 'Donauda…')
    """
    shown = "".join(_MARKS.get(char, char if char.isprintable() else "·" if char.isspace() else "�") for char in token)
    shown = shown or "∅"
    return shown if width is None or len(shown) <= width else shown[: width - 1] + "…"
