"""What a model is for, and what the folder of its export holds beside the graphs."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from heedful._errors import ExportError
from heedful.models import DocumentClassifier, DualStageForecaster, LanguageModel, Seq2Seq, SequenceClassifier

from .translating import features_of

Side = Literal["source", "target"]


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    Attributes:
        task: as recipes name it.
        sides: whose tokenisers are written.
        says: whether it says tokens one after the other, so that limits of length are told.
        names: what the entries of the target side are called where they are no tokens: "labels" or "series".
        copies: whether it says words of its source that have no id in its vocabulary.
    """

    task: str
    sides: tuple[Side, ...]
    says: bool = False
    names: str = ""
    copies: bool = False


TRANSLATION = Kind("translation", ("source", "target"), says=True)
COPYING = replace(TRANSLATION, copies=True)
CAPTION = Kind("caption", ("target",), says=True)
LANGUAGE_MODEL = Kind("language_model", ("source", "target"), says=True)
CLASSIFICATION = Kind("classification", ("source",), names="labels")
FORECAST = Kind("forecast", (), names="series")


def kind_of(model: Any) -> Kind:
    """What a model is for.

    Raises:
        TypeError: a model of no kind that heedful trains.
    """
    if isinstance(model, Seq2Seq):
        if features_of(model) is not None:
            return CAPTION
        return TRANSLATION if model.copying is None else COPYING
    if isinstance(model, LanguageModel):
        return LANGUAGE_MODEL
    if isinstance(model, SequenceClassifier | DocumentClassifier):
        return CLASSIFICATION
    if isinstance(model, DualStageForecaster):
        return FORECAST
    raise TypeError(f"{type(model).__name__} is no model that heedful trains; expected one that a recipe builds.")


def refuse_all_but_translators(model: nn.Module, taker: str) -> None:
    """Refuse what a format does not take that is for text in and text out alone.

    Args:
        model: what should be exported.
        taker: what takes translators, as the message names it.

    Raises:
        ExportError: names what the model is for, or says that it copies.
    """
    kind = kind_of(model)
    if kind is COPYING:
        raise ExportError(
            f"the model copies words of its source, which {taker} does not; export to onnx or torch instead."
        )
    if kind is not TRANSLATION:
        raise ExportError(
            f"the model is for {kind.task}, and {taker} takes translators; export to onnx or torch instead."
        )
