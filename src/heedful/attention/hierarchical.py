"""Hierarchical attention: which words matter in a sentence, which sentences in a document (Yang et al. 2016)."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from heedful._pytree import register_pytree
from heedful.functional import padding_mask

from .pooling import Pooling
from .source import YANG_2016


@register_pytree
@dataclass(frozen=True)
class Document:
    """What is read of documents.

    Attributes:
        vector: `[batch, features]`.
        word_weights: `[batch, sentences, words]`, each real sentence's a distribution; `None` unless asked for.
        sentence_weights: `[batch, sentences]`, or `None` unless asked for.
    """

    vector: Float[Tensor, "batch features"]
    word_weights: Float[Tensor, "batch sentences words"] | None = None
    sentence_weights: Float[Tensor, "batch sentences"] | None = None


class HierarchicalAttention(nn.Module):
    """`document = pool(encode(sentences))`, `sentence = pool(encode(words))`: attention pooling on two levels.

    A sentence without words has the vector 0 and is hidden from the pooling above it; so is padding on both levels.

    Args:
        word_encoder: maps words `[many, words, ...]` and their lengths `[many]` to what has a field `outputs`
            `[many, words, features]`, as `heedful.models.RecurrentEncoder` does.
        word_pooling: of these outputs; in the paper `AttentionPooling`.
        sentence_encoder: the same for sentence vectors, `[batch, sentences, features]`.
        sentence_pooling: of its outputs.

    Cost: time sentences * words * dim * hidden_dim, and the encoders; memory sentences * words * hidden_dim.

    >>> from types import SimpleNamespace
    >>> from heedful.attention import AttentionPooling
    >>> class AsTheyAre(nn.Module):
    ...     def forward(self, steps, lengths):
    ...         return SimpleNamespace(outputs=steps)
    >>> levels = (AsTheyAre(), AttentionPooling(5, 3), AsTheyAre(), AttentionPooling(5, 3))
    >>> document = HierarchicalAttention(*levels)(torch.ones(2, 4, 7, 5), torch.tensor([[7, 2, 0, 0], [3, 1, 1, 5]]))
    >>> document.vector.shape
    torch.Size([2, 5])
    """

    source = YANG_2016(place="section 2.2, equations 5 to 10")
    uncompiled = "how many sentences have words depends on the lengths"

    def __init__(
        self, word_encoder: nn.Module, word_pooling: Pooling, sentence_encoder: nn.Module, sentence_pooling: Pooling
    ) -> None:
        super().__init__()
        self.word_encoder, self.word_pooling = word_encoder, word_pooling
        self.sentence_encoder, self.sentence_pooling = sentence_encoder, sentence_pooling

    def forward(
        self,
        documents: Shaped[Tensor, "batch sentences words ..."],
        lengths: Int[Tensor, "batch sentences"],
        need_weights: bool = False,
    ) -> Document:
        """Read documents.

        Args:
            documents: what the word encoder reads, by sentence: ids `[batch, sentences, words]`, or numbers
                `[batch, sentences, words, features]`.
            lengths: words of each sentence, `[batch, sentences]`; 0 where there is none.
            need_weights: return the weights of both levels, too.

        Raises:
            ValueError: shapes that do not fit each other, or more words than there is room for.
        """
        _check(documents, lengths)
        sentences, words, weights = self._read_sentences(documents, lengths, need_weights)
        real = lengths > 0
        # the encoder reads up to the last real sentence; without any it reads one, whose weight is 0
        ends = (real * torch.arange(1, lengths.shape[1] + 1, device=lengths.device)).amax(1)
        outputs = self.sentence_encoder(sentences, ends.clamp_min(1)).outputs
        vector, sentence_weights = self.sentence_pooling(outputs, real, need_weights)
        if weights is not None:
            weights = sentences.new_zeros(lengths.numel(), documents.shape[2]).index_copy(0, words, weights)
            weights = weights.view(documents.shape[:3])
        return Document(vector, weights, sentence_weights)

    def _read_sentences(self, documents: Tensor, lengths: Tensor, need_weights: bool) -> tuple[Tensor, Tensor, Any]:
        """Sentence vectors, the places of those that have words, and the weights of their words."""
        flat, flat_lengths = documents.flatten(0, 1), lengths.flatten()
        places = flat_lengths.nonzero().squeeze(1)
        if not len(places):
            # encoders need at least one sentence; this one is hidden
            places = torch.zeros(1, dtype=torch.long, device=lengths.device)
        read, read_lengths = flat[places], flat_lengths[places]
        mask = padding_mask(read_lengths, documents.shape[2])
        outputs = self.word_encoder(read, read_lengths.clamp_min(1)).outputs
        vectors, weights = self.word_pooling(outputs, mask, need_weights)
        sentences = vectors.new_zeros(len(flat), vectors.shape[1]).index_copy(0, places, vectors)
        return sentences.view(*lengths.shape, -1), places, weights


def _check(documents: Tensor, lengths: Tensor) -> None:
    if documents.dim() < 3 or lengths.shape != documents.shape[:2]:
        raise ValueError(
            f"documents have shape {tuple(documents.shape)} and lengths {tuple(lengths.shape)}; expected "
            "[batch, sentences, words, ...] and [batch, sentences], one number of words for each sentence."
        )
    if 0 in documents.shape[:3]:
        raise ValueError(
            f"documents have shape {tuple(documents.shape)}; expected at least one document, sentence and word. Pad "
            "what is empty, with a length of 0."
        )
