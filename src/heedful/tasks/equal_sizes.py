"""Models of one size: another attention or pooling, and the width that brings the parameters to a given number."""

from collections.abc import Callable, Set
from typing import Any, get_args

import torch
from pydantic import ValidationError

from heedful._errors import RecipeError
from heedful.attention import scores

from .build import HEADED, build_task
from .model_options import ModelOptions
from .parts import plain_parts

TRANSFORMER = "transformer"
# what may stand in the place of a recipe's attention, or of its pooling
NAMES = (*get_args(ModelOptions.model_fields["attention"].annotation), TRANSFORMER)
# scores of a recurrent decoder of any width: those of the additive attention, and of the other
ADDITIVE_SCORES = ("additive", "normalized_additive")
SCORES = (*ADDITIVE_SCORES, "concat", "general", "scaled_general")
# scores of all attentions of a Transformer
TRANSFORMER_SCORES = tuple(plain_parts(scores, {"query_dim", "key_dim", "dim", "hidden_dim"}))
NAMES_AND_SCORES = tuple(dict.fromkeys((*NAMES, *SCORES, *TRANSFORMER_SCORES)))
PLACES = ("encoder_self", "decoder_self", "cross")
POOLINGS = (*get_args(ModelOptions.model_fields["pooling"].annotation), TRANSFORMER)
# of pictures, without which a decoder has nothing to look at
PICTURE_ENCODERS = ("regions", "convolutional")
# layers of either side below which a Transformer is not tried
LEAST_LAYERS = 2
# relative, between models that are called equal in size
TOLERANCE = 0.02


def with_attention(model: ModelOptions, name: str) -> ModelOptions:
    """The section with another attention, or with a Transformer in the place of both sides.

    A wiring stays where the recipe names one; score and wiring are those of the new attention otherwise. The attentions
    of a Transformer get another score, all of them.

    Args:
        model: the section.
        name: one of `NAMES`, or of `SCORES` under the attention of Bahdanau or Luong; where the decoder is a
            Transformer, one of `TRANSFORMER_SCORES`.

    Raises:
        RecipeError: the name is for the other kind of decoder, or does not go with what the recipe says.

    >>> with_attention(ModelOptions(attention="luong", score="dot"), "bahdanau").score
    'additive'
    >>> with_attention(ModelOptions(), "general").attention
    'luong'
    >>> with_attention(ModelOptions(architecture="transformer"), "sine").transformer.cross.score.name
    'sine'
    """
    if model.decoder == TRANSFORMER:
        return _with_score(model, name)
    if name == model.attention:
        return model
    given = model.model_dump(exclude_unset=True)
    given.pop("score", None)
    if name in SCORES:
        return _options(name, given, attention="bahdanau" if name in ADDITIVE_SCORES else "luong", score=name)
    if name not in NAMES:
        raise RecipeError(
            f"{name} is a score for the attentions of a Transformer, but the recipe's decoder is recurrent; its "
            f"scores, whatever its width, are {', '.join(SCORES)}"
        )
    if name != TRANSFORMER:
        return _options(name, _without(given, {"wiring"} if name == "none" else set()), attention=name)
    given = _without(given, {"attention", "wiring", "encoder", "decoder"})
    layers: dict[str, Any] = {
        key: max(LEAST_LAYERS, getattr(model, key)) for key in ("encoder_layers", "decoder_layers")
    }
    if model.encoder in PICTURE_ENCODERS:
        layers["encoder"] = model.encoder
    return _options(name, given, architecture=TRANSFORMER, **layers)


def _with_score(model: ModelOptions, name: str) -> ModelOptions:
    """The section of a Transformer whose attentions all compare by one score."""
    if name not in TRANSFORMER_SCORES:
        raise RecipeError(
            f"the recipe's decoder is a Transformer, whose attentions differ in their scores, but {name} is none; "
            f"choose from {', '.join(TRANSFORMER_SCORES)}, or --set model.decoder=recurrent"
        )
    given = model.model_dump(exclude_unset=True)
    own = given.get("transformer", {})
    places = {place: {**own.get(place, {}), "score": {"name": name}} for place in PLACES}
    return _options(name, given, transformer={**own, **places})


def with_pooling(model: ModelOptions, name: str) -> ModelOptions:
    """The section of a classifier with another pooling, or with its own over the encoder of a Transformer.

    Args:
        model: the section.
        name: one of `POOLINGS`.

    Raises:
        RecipeError: the pooling does not go with the encoder, or that is a Transformer already.

    >>> with_pooling(ModelOptions(), "mean").pooling, with_pooling(ModelOptions(), "transformer").encoder
    ('mean', 'transformer')
    """
    given = model.model_dump(exclude_unset=True)
    if name != TRANSFORMER:
        return model if name == model.pooling else _options(name, given, pooling=name)
    if model.encoder == TRANSFORMER:
        raise RecipeError("the recipe's encoder is a Transformer already; name poolings, such as attention,mean")
    layers = max(LEAST_LAYERS, model.encoder_layers)
    return _options(name, _without(given, {"architecture"}), encoder=TRANSFORMER, encoder_layers=layers)


def count_parameters(model: ModelOptions, vocabulary: tuple[int, int], task: str = "translation") -> int:
    """Parameters of the model that the section describes.

    Args:
        model: the section.
        vocabulary: source and target ids.
        task: of the recipe.

    Raises:
        RecipeError: its parts do not fit each other.

    >>> count_parameters(ModelOptions(embedding_dim=5, units=6), (11, 13)) > 1000
    True
    """
    with torch.device("meta"):
        built = build_task(task, model, *vocabulary)
    return sum(parameter.numel() for parameter in built.parameters())


def fit_size(model: ModelOptions, vocabulary: tuple[int, int], wanted: int, task: str = "translation") -> ModelOptions:
    """The section with the width whose number of parameters is nearest to a given one.

    The width is `transformer.hidden_units` of a Transformer; otherwise `decoder_units`, a multiple of the heads where
    the attention has some; of a classifier `encoder_units`, or `embedding_dim` where words have no encoder.

    Args:
        model: the section.
        vocabulary: source and target ids.
        wanted: parameters.
        task: of the recipe.

    Raises:
        RecipeError: its parts do not fit each other.
    """
    key = _width_key(model, task)
    if key == "embedding_dim" and model.source_embeddings:
        return model  # whose file has one width
    unit = _divided_by(model) if key == "decoder_units" else 1
    first = _width(model, key) // unit
    steps = nearest(lambda width: count_parameters(_wide(model, key, unit * width), vocabulary, task), wanted, first)
    return _wide(model, key, unit * steps)


def _divided_by(model: ModelOptions) -> int:
    """What the units of a decoder have to be a multiple of."""
    if model.attention not in HEADED:
        return 1
    return model.transformer.heads * (2 if model.attention == "differential" else 1)


def width_of(model: ModelOptions, task: str = "translation") -> str:
    """The width that `fit_size` sets, in words.

    >>> width_of(ModelOptions(units=6)), width_of(ModelOptions(units=6), "classification")
    ('decoder_units 6', 'encoder_units 6')
    """
    key = _width_key(model, task)
    return f"{key} {_width(model, key)}"


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


def _width_key(model: ModelOptions, task: str) -> str:
    """The field whose number makes the model larger."""
    if (model.encoder if task == "classification" else model.decoder) == TRANSFORMER:
        return "hidden_units"
    if task != "classification":
        return "decoder_units"
    return "embedding_dim" if model.encoder == "none" else "encoder_units"


def _width(model: ModelOptions, key: str) -> int:
    return getattr(model.transformer if key == "hidden_units" else model, key)


def _wide(model: ModelOptions, key: str, width: int) -> ModelOptions:
    if key == "hidden_units":
        return model.model_copy(update={"transformer": model.transformer.model_copy(update={key: width})})
    return model.model_copy(update={key: width})


def _options(name: str, given: dict[str, Any], **changes: Any) -> ModelOptions:
    """The section with other values.

    Raises:
        RecipeError: what the recipe says does not go with them.
    """
    try:
        return ModelOptions(**{**given, **changes})
    except ValidationError as error:
        fault = error.errors()[0]
        why = fault.get("ctx", {}).get("error", fault["msg"])
        raise RecipeError(f"{name} does not go with the recipe: {why}; or compare without {name}") from None


def _without(given: dict[str, Any], keys: Set[str]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in keys}
