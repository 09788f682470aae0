"""What a row of the tables is; the facts of this folder run from rows alone."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType

from torch import Tensor, nn

from heedful.attention.normalizers import Normalizer
from heedful.attention.scores import Score
from heedful.attention.windows import Window
from tests.attention.oracle import Formula

# All different, so that a swapped axis cannot pass; 4, 6 and 11 features stand in the rows of the scores.
BATCH, QUERIES, KEYS, VALUE_DIM = 2, 3, 5, 7


@dataclass(frozen=True)
class ScoreRow:
    """How to build a score with its sizes, and its formula for one query and one key, from the paper."""

    build: Callable[[], Score]
    formula: Formula
    option: str = ""
    # the formula asks for the place of the key, too
    positional: bool = False

    def __str__(self) -> str:
        return f"{type(self.build()).__name__}{self.option and '-'}{self.option}"


@dataclass(frozen=True)
class WindowRow:
    """How to build a window, and its rule for the place of one query and of one key."""

    build: Callable[[], Window]
    rule: Callable[[int, int], bool]
    # the last query stands at the last key when there are fewer queries than keys
    aligned_to_end: bool = False
    # which keys are seen depends on their places
    positional: bool = True
    # the weights are multiplied by a gain
    scales: bool = False
    # added to the score of a query vector at a place and a key at a place, from the parameters
    bias: Callable[[Tensor, int, int, Mapping[str, Tensor]], Tensor | float] | None = None

    def __str__(self) -> str:
        return type(self.build()).__name__


@dataclass(frozen=True)
class NormalizerRow:
    """How to build a normaliser, and its weights for the visible scores of one query and its parameters by name."""

    build: Callable[[], Normalizer]
    weigh: Callable[..., Tensor]
    option: str = ""
    # a row that sees something sums to 1
    distribution: bool = True
    # one key takes it all: no small change of a score changes the weights
    chooses: bool = False
    # which keys stand side by side plays a part
    positional: bool = False
    # training mode draws lots; the row is of evaluation mode
    draws: bool = False

    def weigh_for(self, normalizer: Normalizer) -> Callable[[Tensor], Tensor]:
        """The formula with the parameters of this normaliser."""
        return partial(self.weigh, **dict(normalizer.named_parameters()))

    def __str__(self) -> str:
        return f"{type(self.build()).__name__}{self.option and '-'}{self.option}"


def exported(folder: ModuleType, base: type[nn.Module]) -> set[str]:
    """Names of the mechanisms that a folder offers: its exported classes, without their abstract base."""
    return {
        name
        for name, thing in vars(folder).items()
        if inspect.isclass(thing) and issubclass(thing, base) and not inspect.isabstract(thing)
    }


def written(folder: ModuleType, base: type[nn.Module]) -> set[str]:
    """Names of the mechanisms that stand in the files of a folder, exported or not."""
    names = set()
    for file in pkgutil.iter_modules(folder.__path__):
        names |= exported(import_module(f"{folder.__name__}.{file.name}"), base)
    return names


def built(rows: list) -> set[str]:
    """Names of the classes that have a row."""
    return {type(row.build()).__name__ for row in rows}
