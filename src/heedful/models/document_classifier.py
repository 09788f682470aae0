"""A document in, its label out: words make sentences, sentences the document (Yang et al. 2016)."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from heedful.attention import HierarchicalAttention
from heedful.functional import padding_mask

from .sequence_classifier import Prediction, keep_some


class DocumentClassifier(nn.Module):
    """A classifier of documents, whose sentences each end with an id that is no word.

    Args:
        levels: reads words to sentences and sentences to a document.
        head: maps its vectors `[batch, features]` to `[batch, labels]`.
        end: that id.
        word_dropout: share of the words that are left out in training (Iyyer et al. 2015, section 3).

    >>> from heedful.attention import AttentionPooling
    >>> from heedful.layers import TokenEmbedding
    >>> from heedful.models import EmbeddingEncoder, RecurrentEncoder
    >>> words, sentences = EmbeddingEncoder(TokenEmbedding(11, 3), 3), RecurrentEncoder(None, 3, units=2)
    >>> levels = HierarchicalAttention(words, AttentionPooling(3, 5), sentences, AttentionPooling(4, 5))
    >>> model = DocumentClassifier(levels, nn.Linear(4, 2), end=3)
    >>> answer, weights = model(torch.tensor([[4, 5, 3, 6], [7, 3, 0, 0]]), torch.tensor([4, 2]), need_weights=True)
    >>> answer.shape, [round(one, 4) for one in weights.sum(1).tolist()]
    (torch.Size([2, 2]), [1.0, 1.0])
    """

    def __init__(self, levels: HierarchicalAttention, head: nn.Module, end: int, word_dropout: float = 0.0) -> None:
        super().__init__()
        self.levels, self.head, self.end, self.word_dropout = levels, head, end, word_dropout

    def forward(
        self, inputs: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"], need_weights: bool = False
    ) -> Prediction:
        """Read documents and answer.

        Args:
            inputs: ids, the last of each sentence `end`; it may lack behind the last sentence.
            lengths: ids of each document.
            need_weights: return what was looked at, too: for each id the weight of its word in its sentence times that
                of the sentence, so that the sum over a sentence is the sentence's; 0 at its end.
        """
        kept = None
        if self.training and self.word_dropout:
            kept = keep_some(inputs.shape, self.word_dropout, inputs.device)
        documents, sizes, places = cut_sentences(inputs, lengths, self.end, kept)
        read = self.levels(documents, sizes, need_weights)
        weights = None
        if read.word_weights is not None and read.sentence_weights is not None:
            both = read.word_weights * read.sentence_weights.unsqueeze(2)
            weights = both.new_zeros(inputs.shape)
            row, step, sentence, place = places
            weights[row, step] = both[row, sentence, place]
        return Prediction(self.head(read.vector), weights)


def cut_sentences(
    ids: Int[Tensor, "batch steps"],
    lengths: Int[Tensor, " batch"],
    end: int,
    kept: Bool[Tensor, "batch steps"] | None = None,
) -> tuple[Int[Tensor, "batch sentences words"], Int[Tensor, "batch sentences"], Int[Tensor, "4 found"]]:
    """Documents cut behind each `end`, how many words each sentence has, and where every word went.

    The last are row and step of each word in `ids`, and its sentence and its place there. Words that are not `kept` are
    left out, and those behind them move up.

    >>> documents, sizes, _ = cut_sentences(torch.tensor([[4, 5, 3, 6], [7, 3, 0, 0]]), torch.tensor([4, 2]), end=3)
    >>> documents.tolist(), sizes.tolist()
    ([[[4, 5], [6, 0]], [[7, 0], [0, 0]]], [[2, 1], [1, 0]])
    """
    real = padding_mask(lengths, ids.shape[1]).view(ids.shape)
    ends = real & ids.eq(end)
    sentences = ends.cumsum(1) - ends.long()
    word = real & ~ends if kept is None else real & ~ends & kept
    # words before each step, and before its sentence
    before = word.cumsum(1) - word.long()
    earlier = torch.where(ends, before, 0).cummax(1).values
    earlier = torch.cat([torch.zeros_like(earlier[:, :1]), earlier[:, :-1]], 1)
    row, step = word.nonzero(as_tuple=True)
    sentence, place = sentences[row, step], (before - earlier)[row, step]
    shape = len(ids), *((int(one.max()) + 1 if len(one) else 1) for one in (sentence, place))
    documents = ids.new_zeros(shape)
    documents[row, sentence, place] = ids[row, step]
    sizes = ids.new_zeros(shape[:2]).index_put((row, sentence), torch.ones_like(row), accumulate=True)
    return documents, sizes, torch.stack([row, step, sentence, place])
