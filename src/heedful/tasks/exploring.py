"""What a model looks at, at every step of its training that its run still keeps: for a page to explore."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
from torch import nn

from heedful._errors import ModelFolderError
from heedful.attention import Attention
from heedful.attention.normalizers import SoftmaxNormalizer
from heedful.training.checkpoint import WeightFiles
from heedful.visual.explorer import Explored, Looks

from .translated import Translation
from .translator import Translator


def kept_weights(model: Path) -> WeightFiles:
    """The weights that the run of a model folder keeps: its best step and the last `training.average_last` validated.

    None, where the folder is not `model` in that of a run.
    """
    return WeightFiles(model.parent / "training" / "weights" if model.name == "model" else model / "no run")


def explore(translator: Translator, sentences: Sequence[str], kept: WeightFiles) -> tuple[list[Explored], list[str]]:
    """What all layers and heads look at in some sentences, at each kept step and in the model as it is.

    Every step is fed what the model as it is says, so that its looks can be compared.

    Returns:
        the sentences, and the names of the steps, the model itself last.

    Raises:
        DataError: a sentence is empty or has an empty translation, or the model has no attention.
        ModelFolderError: kept weights cannot be read, or are not of this model.
    """
    found = [translator.explain(sentence) for sentence in sentences]
    rounds = [[before.looks(one) for one in found] for before in _before(translator, kept)]
    rounds.append([translator.looks(one) for one in found])
    explored = [
        Explored(sentence, _said(translator, one), [_joined(looks) for looks in zip(*of_steps, strict=True)])
        for sentence, one, of_steps in zip(sentences, found, zip(*rounds, strict=True), strict=True)
    ]
    return explored, [*(f"step {step:,}" for step in kept.steps()), "the model as it is"]


def other_than_softmax(model: nn.Module) -> list[str]:
    """Parts of a model's attentions whose weights are no plain softmax of scores: normalisers, windows with a gain.

    >>> from heedful.attention.scores import DotScore
    >>> from heedful.attention.normalizers import SparsemaxNormalizer
    >>> other_than_softmax(Attention(DotScore(4), normalizer=SparsemaxNormalizer()))
    ['SparsemaxNormalizer']
    """
    attentions = [module for module in model.modules() if isinstance(module, Attention)]
    odd = {type(one.normalizer).__name__ for one in attentions if not isinstance(one.normalizer, SoftmaxNormalizer)}
    return sorted(odd | {type(one.window).__name__ for one in attentions if one.window.scales})


def _before(translator: Translator, kept: WeightFiles) -> Iterator[Translator]:
    """The translator at each kept step; one at a time, for all are the same object."""
    steps = kept.steps()
    if not steps:
        return
    before = type(translator)(deepcopy(translator.model), translator.tokenizers, translator.recipe)
    for step in steps:
        weights = kept.load(step)
        try:
            before.model.load_state_dict(weights)
        except (AttributeError, RuntimeError, TypeError):
            raise ModelFolderError(
                f"{kept.path(step)} does not fit the model beside it; delete it, or copy the run's whole folder again."
            ) from None
        yield before


def _said(translator: Translator, found: Translation) -> str:
    """The translation; a language model says nothing of its own."""
    return found.text if translator.task == Translator.task else ""


def _joined(looks: Sequence[Looks]) -> Looks:
    """One look at all steps."""
    first = looks[0]
    return Looks(first.name, first.queries, first.keys, np.concatenate([one.weights for one in looks]))
