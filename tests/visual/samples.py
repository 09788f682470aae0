"""Sentence pairs the tests draw: of unequal, awkward sizes, ordinary and hostile."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from heedful.visual.alignment import Alignment

SOURCE = ["The", "European", "Economic", "Area", "is", "old", "."]
TARGET = ["La", "zone", "économique", "européenne", "est"]
HOSTILE = [
    "</script>",
    "<b>&amp;",
    '"',
    "$x_1$",
    "",
    "\n",
    "\x1b[31m",
    "a\tb",
    "_",
    "日本語",
    "🐱",
    "नमस्ते",
    "مرحبا",
    "e\u0301",
    "\ufdd0",
]


def example(caption: str = "", seed: int = 0) -> Alignment:
    """Five by seven, soft, each row a distribution."""
    weights = np.random.default_rng(seed).dirichlet(np.full(len(SOURCE), 0.3), size=len(TARGET))
    return Alignment(SOURCE, TARGET, weights, caption)


def one_hot(hot: list[int], source_len: int) -> Alignment:
    """Target t looks at source `hot[t]` alone."""
    source = [f"s{i}" for i in range(source_len)]
    return Alignment(source, [f"t{i}" for i in range(len(hot))], np.eye(source_len)[hot])


def hostile() -> Alignment:
    """Every kind of token that has ever broken a page, a figure or a terminal."""
    weights = np.random.default_rng(1).dirichlet(np.ones(len(HOSTILE)), size=3)
    return Alignment(HOSTILE, HOSTILE[:3], weights, "<i>$caption$</i>")


@st.composite
def parts(draw, longest: int = 12):
    """Source, target and weights of an Alignment: any tokens, any weights from 0 to 1."""
    tokens = st.lists(st.text(max_size=15), min_size=1, max_size=longest)
    source, target = draw(tokens), draw(tokens)
    weights = hnp.arrays(np.float64, (len(target), len(source)), elements=st.floats(0, 1))
    return source, target, draw(weights)
