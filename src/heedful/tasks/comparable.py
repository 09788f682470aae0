"""What tells one task from another when its models are compared; one file for each task implements it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from heedful._errors import RecipeError
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.counts import Counted
from heedful.metrics.evidence import attention_sharpness
from heedful.visual.comparison import Table

from .corpora import Say
from .equal_sizes import TRANSFORMER
from .faithfulness import OF_TOKENS, Faithful
from .model_options import ModelOptions
from .recipe import Recipe

# examples that the page shows in every model's words
SHOWN = 6
# examples whose attention is described
LOOKED_AT = 200
# examples that are answered before the clock runs
WARM_UP = 8
# the noun of a speed where nothing is written
TOKENS_READ = "tokens read"
# in a cell of a table
NOTHING = "-"

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Nouns:
    """What a task's things are called, in the plural.

    Attributes:
        things: the examples of the test set; "test pairs".
        answers: what a model makes of them; "translations".
        sizes: what their sizes count; "words of the source".
        units: what is drawn anew, where that is no single example.
        speed: what is learnt and answered in a second.
        lost: what the numbers of faithfulness are.
    """

    things: str = "test pairs"
    answers: str = "translations"
    sizes: str = "words of the source"
    units: str = ""
    speed: str = "tokens"
    lost: str = OF_TOKENS


@dataclass(frozen=True)
class Ground:
    """What all models of a comparison stand on.

    Attributes:
        test: the examples, of which all can be used.
        tokenizers: on whose sizes the number of parameters hangs.
        model: the recipe's section, with what the data alone know.
        nouns: what to call things.
        origin: where the examples are from.
        count: how many.
    """

    test: Any
    tokenizers: TokenizerPair
    model: ModelOptions
    nouns: Nouns
    origin: str
    count: int


@runtime_checkable
class Comparable(Protocol):
    """A task whose models can be compared.

    Attributes:
        key: of a recipe, whose values are compared.
        names: these values, and whatever else may stand there.
    """

    key: str
    names: Sequence[str]

    def refuse(self, recipe: Recipe) -> None:
        """Raise `RecipeError` for a recipe in which another name would change nothing, or without a test set."""
        ...

    def change(self, model: ModelOptions, name: str) -> ModelOptions:
        """The section with another name. Raises `RecipeError` where it does not fit."""
        ...

    def prepare(self, recipe: Recipe, make: Callable[[Callable[[], TokenizerPair]], TokenizerPair], say: Say) -> Ground:
        """Read what is needed before any training; `make` calls what makes vocabularies, or has them already."""
        ...

    def content(self, test: Any) -> list[Any]:
        """The examples as values that differ where the results would."""
        ...

    def measure(self, trained: Any, test: Any) -> dict[str, Any]:
        """What a model answers, as JSON takes it, and how fast."""
        ...

    def look(self, trained: Any, test: Any, gold: Sequence[str] | None) -> dict[str, Any]:
        """What its attention looks like, in numbers and on the examples that are shown; nothing without attention."""
        ...

    def faithfulness(self, trained: Any, test: Any, count: int) -> Mapping[str, Faithful]:
        """How faithful scores of the input are, on the first examples, by their name; nothing without attention."""
        ...

    def count(self, metric: str, run: Mapping[str, Any], test: Any, recipe: Recipe) -> Counted:
        """What a metric counts of what was measured on one training, with sizes."""
        ...

    def samples(self, test: Any, runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
        """A few examples as each model, by its name, answered them."""
        ...


def speed_key(phase: str, speed: str) -> str:
    """What a speed is called among the numbers that were measured.

    >>> speed_key("training", "tokens read")
    'training_tokens_read_per_second'
    """
    return f"{phase}_{speed.replace(' ', '_')}_per_second"


def refuse_no_attention(model: ModelOptions) -> None:
    """Refuse a recipe whose decoder looks at nothing.

    Raises:
        RecipeError: it does not.
    """
    if model.decoder != TRANSFORMER and model.attention == "none":
        raise RecipeError("the recipe's model has no attention; give a recipe whose model.attention is not none")


def refuse_no_test(recipe: Recipe, example: str) -> None:
    """Refuse a recipe without a test set.

    Raises:
        RecipeError: it has none.
    """
    if recipe.data.test is None:
        raise RecipeError(f"the recipe has no data.test to compare on; such as --set {example}")


def sample_places(sizes: Sequence[int], count: int = SHOWN) -> list[int]:
    """Places of a few examples, from the smallest to the largest.

    >>> sample_places([5, 1, 3, 9], count=3)
    [1, 0, 3]
    """
    order = sorted(range(len(sizes)), key=lambda place: sizes[place])
    return [order[int(rank)] for rank in dict.fromkeys(np.linspace(0, len(order) - 1, min(count, len(order))).round())]


def timed(answer: Callable[[Sequence[Thing]], Any], things: Sequence[Thing]) -> tuple[Any, float]:
    """What is answered, and the seconds that it took; some are answered before the clock runs."""
    answer(things[:WARM_UP])
    started = time.perf_counter()
    found = answer(things)
    return found, time.perf_counter() - started


def sharpness_of(weights: Iterable[np.ndarray]) -> float:
    """Mean sum of squared weights over the rows of all; those that look at nothing do not count.

    >>> sharpness_of([np.array([[1.0, 0.0], [0.5, 0.5]])])
    0.75
    """
    rows = [row for one in map(np.atleast_2d, weights) for row in attention_sharpness(one)[one.sum(-1) > 0].tolist()]
    return round(mean(rows), 4) if rows else 0.0
