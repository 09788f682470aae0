"""Models of one size: another attention in a recipe, and the width that brings the parameters to a given number."""

from collections.abc import Callable
from typing import Any, get_args

import torch

from heedful._errors import RecipeError

from .build import build_model
from .model_options import ModelOptions

TRANSFORMER = "transformer"
# what may stand in the place of a recipe's attention
NAMES = (*get_args(ModelOptions.model_fields["attention"].annotation), TRANSFORMER)
# layers of either side below which a Transformer is not tried
LEAST_LAYERS = 2
# relative, between models that are called equal in size
TOLERANCE = 0.02


def with_attention(model: ModelOptions, name: str) -> ModelOptions:
    """The section with another attention, or with a Transformer in the place of both sides.

    A wiring stays where the recipe names one; score and wiring are those of the new attention otherwise.

    Args:
        model: the section; its decoder is recurrent.
        name: one of `NAMES`.

    >>> with_attention(ModelOptions(attention="luong", score="dot"), "bahdanau").score
    'additive'
    """
    if name == model.attention:
        return model
    given = model.model_dump(exclude_unset=True)
    given.pop("score", None)
    if name == TRANSFORMER:
        drop = {"attention", "wiring", "encoder", "decoder"}
        layers = {key: max(LEAST_LAYERS, getattr(model, key)) for key in ("encoder_layers", "decoder_layers")}
        return ModelOptions(**{**_without(given, drop), **layers, "architecture": TRANSFORMER})
    return ModelOptions(**{**_without(given, {"wiring"} if name == "none" else set()), "attention": name})


def count_parameters(model: ModelOptions, vocabulary: tuple[int, int]) -> int:
    """Parameters of the model that the section describes.

    Args:
        model: the section.
        vocabulary: source and target ids.

    Raises:
        RecipeError: its parts do not fit each other.

    >>> count_parameters(ModelOptions(embedding_dim=5, units=6), (11, 13)) > 1000
    True
    """
    # the files of pretrained embeddings hold no more than the tables have
    plain = model.model_copy(update={"source_embeddings": None, "target_embeddings": None})
    with torch.device("meta"):
        built = build_model(plain, *vocabulary)
    return sum(parameter.numel() for parameter in built.parameters())


def fit_size(model: ModelOptions, vocabulary: tuple[int, int], wanted: int) -> ModelOptions:
    """The section with the width whose number of parameters is nearest to a given one.

    The width is `decoder_units` of a recurrent decoder, a multiple of the heads where it has some, and
    `transformer.hidden_units` of a Transformer.

    Args:
        model: the section.
        vocabulary: source and target ids.
        wanted: parameters.

    Raises:
        RecipeError: its parts do not fit each other.
    """
    unit = model.transformer.heads if model.attention == "multi_head" else 1
    first = model.transformer.hidden_units if model.decoder == TRANSFORMER else model.decoder_units // unit
    steps = nearest(lambda width: count_parameters(_wide(model, unit * width), vocabulary), wanted, first)
    return _wide(model, unit * steps)


def width_of(model: ModelOptions) -> str:
    """The width that `fit_size` sets, in words.

    >>> width_of(ModelOptions(units=6))
    'decoder_units 6'
    """
    if model.decoder == TRANSFORMER:
        return f"hidden_units {model.transformer.hidden_units}"
    return f"decoder_units {model.decoder_units}"


def nearest(count: Callable[[int], int], wanted: int, first: int = 2) -> int:
    """The whole number from 1 up whose count, which grows with it, is nearest to the one wanted.

    Args:
        count: of a number.
        wanted: count.
        first: number to try.

    >>> nearest(lambda width: width**2, 50)
    7
    """
    low, high = 1, max(2, first)
    counts = {low: count(low), high: count(high)}
    while counts[high] < wanted:
        low, high = high, 2 * high
        counts[high] = count(high)
    while high - low > 1 and counts[low] < wanted:
        # where a straight line between both would meet it
        guess = low + (wanted - counts[low]) * (high - low) // (counts[high] - counts[low])
        guess = min(max(guess, low + 1), high - 1)
        counts[guess] = count(guess)
        low, high = (guess, high) if counts[guess] < wanted else (low, guess)
    return min((low, high), key=lambda width: abs(counts[width] - wanted))


def refuse_recipe(model: ModelOptions) -> None:
    """A recipe in which another attention would change nothing, or the model is no translator that looks.

    Raises:
        RecipeError: says what it has instead.
    """
    if model.decoder == TRANSFORMER:
        raise RecipeError(
            "the recipe's decoder is a Transformer, in which model.attention has no say; give a recipe with a "
            "recurrent decoder"
        )
    if model.attention == "none":
        raise RecipeError("the recipe's model has no attention; give a recipe whose model.attention is not none")


def _wide(model: ModelOptions, width: int) -> ModelOptions:
    if model.decoder == TRANSFORMER:
        return model.model_copy(update={"transformer": model.transformer.model_copy(update={"hidden_units": width})})
    return model.model_copy(update={"decoder_units": width})


def _without(given: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in keys}
