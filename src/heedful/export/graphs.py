"""The graphs of any model that heedful trains: which of them it has, and what it is like when they are made."""

import copy
from typing import Any

import torch
from torch import nn

from heedful.models import DocumentClassifier, DualStageForecaster, LanguageModel, SequenceClassifier

from .classifying import classifier_graph, document_graph
from .deferred_state import defer_first_state
from .forecasting import forecaster_graph
from .kinds import kind_of
from .programs import Graphs
from .translating import seq2seq_graphs
from .trees import quiet
from .writing import writer_graphs


def make_graphs(model: nn.Module) -> Graphs:
    """The graphs of a model, in evaluation and float32; it stays as it is.

    Args:
        model: what a recipe builds: an encoder-decoder over text, regions or pixels, a language model, a classifier or
            a forecaster.

    Raises:
        TypeError: a model of another kind.
    """
    kind_of(model)
    ready: Any = copy.deepcopy(model).cpu().eval()
    defer_first_state(ready)
    with torch.no_grad(), quiet():
        if isinstance(ready, SequenceClassifier):
            return classifier_graph(ready)
        if isinstance(ready, DocumentClassifier):
            return document_graph(ready)
        ready.float()
        if isinstance(ready, LanguageModel):
            return writer_graphs(ready)
        return forecaster_graph(ready) if isinstance(ready, DualStageForecaster) else seq2seq_graphs(ready)
