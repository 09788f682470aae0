"""A trained model of any task: its weights, its tokenisers and the recipe they were made by, in one folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from heedful._errors import ModelFolderError
from heedful.data.tokenizers import TokenizerPair

from .build import build_task
from .hub import HubMixin
from .model_folder import AGAIN, TASKS, ModelFolder, load_folder, save_folder
from .recipe import Recipe

Model = TypeVar("Model", bound="TrainedModel")


class TrainedModel(HubMixin):
    """A model, its tokenisers and the recipe they were made by; each task has one with words for what it does.

    Args:
        model: what was trained.
        tokenizers: of both sides.
        recipe: what it was made by.
        metrics: scores that were measured on it.

    Attributes:
        task: of the recipes whose models it takes.
    """

    task: ClassVar[str]

    def __init__(
        self, model: Any, tokenizers: TokenizerPair, recipe: Recipe, metrics: Mapping[str, Any] | None = None
    ) -> None:
        self.model: Any = model
        self.tokenizers, self.recipe = tokenizers, recipe
        self.metrics = dict(metrics or {})

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
        return cls(_rebuild(content, folder).eval(), content.tokenizers, content.recipe, content.metrics)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder, whole or not at all."""
        return save_folder(ModelFolder(unique_state(self.model), self.tokenizers, self.recipe, self.metrics), folder)


def unique_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every weight once: a tied matrix stands under its first name only, as safetensors wants it."""
    state: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name] = tensor.detach()
    return state


def _rebuild(content: ModelFolder, folder: str | os.PathLike[str]) -> torch.nn.Module:
    """The model of a folder. It is built only when its weights are known to fit, so that no recipe fills the memory."""
    options = content.recipe.model
    sizes = content.tokenizers.source.vocab_size, content.tokenizers.target.vocab_size
    # the weights hold what a pretrained embedding began with; its file need not be here
    options = options.model_copy(update={"source_embeddings": None, "target_embeddings": None})
    layers = options.encoder_layers + options.decoder_layers
    if layers > len(content.weights):
        raise ModelFolderError(f"{folder} has {len(content.weights)} weights for a recipe of {layers} layers; {AGAIN}.")
    try:
        with torch.device("meta"):
            state = unique_state(build_task(content.recipe.task, options, *sizes))
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        why = str(error).partition("\n")[0]
        raise ModelFolderError(f"No model can be built by the recipe in {folder} ({why}); {AGAIN}.") from None
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    found = {name: tuple(tensor.shape) for name, tensor in content.weights.items()}
    if expected != found:
        odd = sorted(name for name in expected | found if expected.get(name) != found.get(name))
        raise ModelFolderError(
            f"The weights in {folder} do not fit its recipe.yaml and tokenizer.json: {odd[0]} is "
            f"{found.get(odd[0], 'missing')}, expected {expected.get(odd[0], 'nothing')}; {AGAIN}."
        )
    model = build_task(content.recipe.task, options, *sizes)
    model.load_state_dict(dict(content.weights), strict=False)
    return model
