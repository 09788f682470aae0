"""A self-contained page to explore attention: temperature, window and mask change the weights, computed in the page."""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from heedful._files import write_whole

from .alignment import visible

# units in a difference of one between two scores: weights are right to a thousandth of themselves
_FINENESS = 500
_NEVER = 2**16 - 1


@dataclass(frozen=True, eq=False)
class Looks:
    """What the layers and heads of one attention looked at in one sentence, at one step of training or more.

    name: what is looked at ("the source")
    queries, keys: the tokens that look and those looked at
    weights: [steps, layers, heads, queries, keys], from 0 up

    Raises ValueError when a shape does not fit the tokens, or a weight is negative, NaN or infinite.

    >>> Looks("the source", ["le", "chat"], ["the", "cat"], np.eye(2)[None, None, None]).weights.shape
    (1, 1, 1, 2, 2)
    """

    name: str
    queries: Sequence[str]
    keys: Sequence[str]
    weights: np.ndarray

    def __post_init__(self) -> None:
        weights, expected = np.asarray(self.weights, dtype=np.float64), (len(self.queries), len(self.keys))
        if weights.ndim != 5 or weights.shape[3:] != expected or not weights.size:
            raise ValueError(
                f"weights of {self.name} have shape {weights.shape}; expected [steps, layers, heads, {expected[0]}, "
                f"{expected[1]}], at least one of each, for {expected[0]} queries and {expected[1]} keys"
            )
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(
                f"weights of {self.name} hold negative numbers, NaN or infinity; expected finite numbers from 0 up"
            )
        object.__setattr__(self, "weights", weights)


@dataclass(frozen=True, eq=False)
class Explored:
    """One sentence: its text, what the model said ("" for nothing), and all its looks, at least one."""

    text: str
    answer: str
    looks: Sequence[Looks]


def explorer_page(
    sentences: Sequence[Explored], steps: Sequence[str], odd: Sequence[str] = (), title: str = "Explore attention"
) -> str:
    """The page as one string of HTML, without any outer resource; of use with JavaScript alone.

    sentences: at least one
    steps: the names of the steps of training that all weights have, in order ("step 100")
    odd: parts of the model whose weights are no plain softmax; the page says so

    It holds, for every weight, its logarithm less the largest of the row, in steps of 1/500: softmax makes the same
    weights of these as of the scores before it, at any temperature, under any window and mask. A weight of 0 stays 0.
    Raises ValueError without sentences or looks, or where the number of steps is another.

    >>> looks = Looks("the source", ["le"], ["the", "cat"], np.full((1, 1, 1, 1, 2), 0.5))
    >>> "https:" in explorer_page([Explored("the cat", "le chat", [looks])], ["the model as it is"])
    False
    """
    if not sentences or not all(one.looks for one in sentences):
        raise ValueError("there is nothing to explore; expected at least one sentence, and looks of each")
    for looks in (looks for one in sentences for looks in one.looks):
        if len(looks.weights) != len(steps):
            raise ValueError(
                f"weights of {looks.name} have {len(looks.weights)} steps, but {len(steps)} are named; name each"
            )
    data = {
        "fineness": _FINENESS,
        "never": _NEVER,
        "steps": [*steps],
        "odd": [*odd],
        "sentences": [
            {
                "text": visible(one.text),
                "answer": visible(one.answer) if one.answer else "",
                "looks": [*map(_data, one.looks)],
            }
            for one in sentences
        ],
    }
    read = files("heedful.visual").joinpath
    parts = {name: read(name).read_text(encoding="utf-8") for name in ("page.css", "explorer.css", *_SCRIPTS)}
    return Template(read("explorer.html").read_text(encoding="utf-8")).substitute(
        title=escape(visible(title)),
        style=parts["page.css"] + parts["explorer.css"],
        script="\n".join(parts[name] for name in _SCRIPTS),
        # inside a script element only "<" could end it early
        data=json.dumps(data, ensure_ascii=False).replace("<", r"\u003c"),
    )


_SCRIPTS = ("theme.js", "explorer_weights.js", "explorer.js")


def write_explorer(
    sentences: Sequence[Explored],
    path: str | os.PathLike[str],
    steps: Sequence[str],
    odd: Sequence[str] = (),
    title: str = "Explore attention",
) -> Path:
    """Write `explorer_page` to a file, whole or not at all, and return its path."""
    return write_whole(path, explorer_page(sentences, steps, odd, title))


def _data(looks: Looks) -> dict[str, object]:
    _, layers, heads, *_ = looks.weights.shape
    return {
        "name": looks.name,
        "queries": [visible(token) for token in looks.queries],
        "keys": [visible(token) for token in looks.keys],
        "layers": layers,
        "heads": heads,
        "steps": [base64.b64encode(_units(weights).tobytes()).decode("ascii") for weights in looks.weights],
    }


def _units(weights: np.ndarray) -> np.ndarray:
    """How far the logarithm of each weight lies below the largest of its row, in units, little-endian; see `_NEVER`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.log(weights.max(-1, keepdims=True)) - np.log(weights)
        units = np.where(weights > 0, np.minimum(np.rint(_FINENESS * below), _NEVER - 1), _NEVER)
    return units.astype("<u2")
