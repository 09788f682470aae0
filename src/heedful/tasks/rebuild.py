"""The weights of a model as they are written, and the model of the weights that were read."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from heedful._errors import ModelFolderError

from .build import build_task
from .model_folder import AGAIN, ModelFolder


class WithoutInit(TorchFunctionMode):
    """Leaves new parameters as they are: what fills them next needs no random numbers first.

    Without storage, on the device "meta", drawing them would load the compiler, too.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def unique_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every weight once: a tied matrix stands under its first name only, as safetensors wants it."""
    state: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name] = tensor.detach()
    return state


def rebuild(content: ModelFolder, folder: str | os.PathLike[str]) -> torch.nn.Module:
    """The model of a folder. It is built only when its weights are known to fit, so that no recipe fills the memory.

    Raises:
        ModelFolderError: weights and recipe do not fit each other.
    """
    options = content.recipe.model
    sizes = content.tokenizers.source.vocab_size, content.tokenizers.target.vocab_size
    layers = options.encoder_layers + options.decoder_layers + options.picture.recurrent_layers
    if layers > len(content.weights):
        raise ModelFolderError(f"{folder} has {len(content.weights)} weights for a recipe of {layers} layers; {AGAIN}.")
    try:
        with torch.device("meta"), WithoutInit():
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
    with WithoutInit():
        model = build_task(content.recipe.task, options, *sizes)
    model.load_state_dict(dict(content.weights), strict=False)
    return model
