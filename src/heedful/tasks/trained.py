"""A trained model of any task: its weights, its tokenisers and the recipe they were made by, in one folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, TypeVar

from heedful._errors import DataError, ModelFolderError
from heedful.data.tokenizers import TokenizerPair
from heedful.layers.cheaper import Precision
from heedful.models.cheaper import cheaper

from .hub import HubMixin
from .model_folder import TASKS, ModelFolder, load_folder, save_folder
from .rebuild import rebuild, unique_state
from .recipe import Recipe
from .shortlist import Shortlist

Model = TypeVar("Model", bound="TrainedModel")

# one thread rounds, others wait for what it makes
_ROUNDING = Lock()


class TrainedModel(HubMixin):
    """A model, its tokenisers and the recipe they were made by; each task has one with words for what it does.

    Args:
        model: what was trained.
        tokenizers: of both sides.
        recipe: what it was made by.
        metrics: scores that were measured on it.

    Attributes:
        task: of the recipes whose models it takes.
        shortlist: what may be said over which source, where `heedful shortlist` learnt it; None otherwise.
    """

    task: ClassVar[str]

    def __init__(
        self, model: Any, tokenizers: TokenizerPair, recipe: Recipe, metrics: Mapping[str, Any] | None = None
    ) -> None:
        self.model: Any = model
        self.tokenizers, self.recipe = tokenizers, recipe
        self.metrics = dict(metrics or {})
        self.shortlist: Shortlist | None = None
        # by precision, what the weights were, and the model
        self._cheaper: dict[str, tuple[list[tuple[int, int]], Any]] = {}

    @classmethod
    def load(cls: type[Model], folder: str | os.PathLike[str]) -> Model:
        """Read a model folder.

        Raises:
            ModelFolderError: the folder lacks a file, was cut off, its files do not fit each other, or the model is for
                another task.
        """
        content = load_folder(folder)
        if content.recipe.task != cls.task:
            raise ModelFolderError(
                f"{folder} is of a model for {content.recipe.task!r}, which {cls.__name__} does not take; expected one "
                f"for {cls.task!r}. Load it with {TASKS[content.recipe.task]}."
            )
        trained = cls(rebuild(content, folder).eval(), content.tokenizers, content.recipe, content.metrics)
        trained.shortlist = content.shortlist
        return trained

    def model_in(self, precision: Precision) -> Any:
        """The model for decoding in a precision; for each, its weights are rounded once, and again where they changed.

        Raises:
            DataError: a precision that this machine does not have, or a model that is not in float32 on the CPU.
        """
        if precision == "float32":
            return self.model
        weights = [(id(one), one._version) for one in self.model.parameters()]
        with _ROUNDING:
            # what was rounded of other weights is let go
            self._cheaper = {name: kept for name, kept in self._cheaper.items() if kept[0] == weights}
            if precision not in self._cheaper:
                try:
                    self._cheaper[precision] = weights, cheaper(self.model, precision)
                except ValueError as error:
                    raise DataError(f"decoding.precision is {precision}: {error}.") from None
            return self._cheaper[precision][1]

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder, whole or not at all."""
        content = ModelFolder(unique_state(self.model), self.tokenizers, self.recipe, self.metrics, self.shortlist)
        return save_folder(content, folder)
