"""Classifiers as one graph: ids of texts to the probabilities of their labels, and what was looked at."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from heedful.functional import padding_mask
from heedful.models import DocumentClassifier, SequenceClassifier

from .programs import Graphs, one_graph
from .recurrent import scanned


class ClassifierGraph(nn.Module):
    """`source [batch, source], lengths [batch]` to `probabilities [batch, labels]` and the pooling's `weights`.

    Args:
        model: what is exported.
    """

    def __init__(self, model: SequenceClassifier) -> None:
        super().__init__()
        self.model = scanned(model)

    def forward(self, source: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"]) -> dict[str, Tensor]:
        answer, weights = self.model(source, lengths, need_weights=True)
        return {"probabilities": answer.softmax(-1), "weights": weights}


class DocumentGraph(nn.Module):
    """`documents [batch, sentences, words], lengths [batch, sentences]` to `probabilities` and weights of both levels.

    How many sentences have words is no part of a graph: the empty ones are read, too, and hidden.

    Args:
        model: what is exported.
    """

    def __init__(self, model: DocumentClassifier) -> None:
        super().__init__()
        self.levels, self.head = scanned(model.levels), model.head

    def forward(
        self, documents: Int[Tensor, "batch sentences words"], lengths: Int[Tensor, "batch sentences"]
    ) -> dict[str, Tensor]:
        words, sizes = documents.flatten(0, 1), lengths.flatten()
        outputs = self.levels.word_encoder(words, sizes.clamp_min(1)).outputs
        vectors, word_weights = self.levels.word_pooling(outputs, padding_mask(sizes, documents.shape[2]), True)
        sentences, real = vectors.view(*lengths.shape, vectors.shape[1]), lengths > 0
        # the encoder reads up to the last real sentence; without any it reads one, whose weight is 0
        ends = (real * torch.arange(1, lengths.shape[1] + 1)).amax(1).clamp_min(1)
        vector, weights = self.levels.sentence_pooling(
            self.levels.sentence_encoder(sentences, ends).outputs, real, True
        )
        shape = *lengths.shape, *word_weights.shape[1:]
        return {
            "probabilities": self.head(vector).softmax(-1),
            "word_weights": word_weights.view(shape),
            "sentence_weights": weights,
        }


def classifier_graph(model: SequenceClassifier) -> Graphs:
    """The graph of a classifier of texts, in evaluation."""
    source = torch.full((2, 5), 4), ("batch", "source")
    graph: Any = ClassifierGraph(model).float()
    return one_graph(graph, {"source": source, "lengths": (torch.full((2,), 5), ("batch",))})


def document_graph(model: DocumentClassifier) -> Graphs:
    """The graph of a classifier of documents, in evaluation."""
    documents = torch.full((2, 3, 5), 4), ("batch", "sentences", "words")
    lengths = torch.full((2, 3), 5), ("batch", "sentences")
    return one_graph(DocumentGraph(model).float(), {"documents": documents, "lengths": lengths})
