"""An encoder that reads no further than each token and the few before it: embeddings and n-grams, no recurrence."""

from typing import Any

from jaxtyping import Int, Shaped
from torch import Tensor, nn

from heedful.functional import padding_mask
from heedful.layers import Dropout, NgramEmbedding, TokenEmbedding

from .encoders import EncoderOutput, check_lengths


class EmbeddingEncoder(nn.Module):
    """`output[t] = embedding(token t) + n-grams that end at t`, a bag for a pooling to read (after Joulin et al. 2017).

    Args:
        embedding: ids to vectors; `None` where the source is vectors already.
        embedding_dim: features of such a vector.
        ngrams: ids to the vectors that are added.
        dropout: share of the features of the sum dropped in training.

    Raises:
        ValueError: n-grams of what has no ids; in a call, a length that does not fit.

    >>> import torch
    >>> encoder = EmbeddingEncoder(TokenEmbedding(11, 3), 3, NgramEmbedding(3, rows=7))
    >>> encoded = encoder(torch.tensor([[4, 5, 6], [7, 0, 0]]), torch.tensor([3, 1]))
    >>> encoded.outputs.shape, bool(encoded.outputs[1, 1:].any())
    (torch.Size([2, 3, 3]), False)
    """

    def __init__(
        self,
        embedding: TokenEmbedding | None,
        embedding_dim: int,
        ngrams: NgramEmbedding | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if embedding is None and ngrams is not None:
            raise ValueError("n-grams are made of ids; give an embedding, too, or leave ngrams out.")
        self.embedding: Any = nn.Identity() if embedding is None else embedding
        self.ngrams, self.dropout, self.output_dim = ngrams, Dropout(dropout), embedding_dim

    def forward(
        self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"] | None = None
    ) -> EncoderOutput:
        """Read `source`; what stands behind `lengths` has no influence.

        Args:
            source: token ids, `[batch, source_len]`; without an embedding, vectors `[batch, source_len, features]`.
            lengths: real tokens of each sentence, at least 1; all of them when left out.
        """
        vectors = self.embedding(source)
        if self.ngrams is not None:
            vectors = vectors + self.ngrams(source)
        outputs = self.dropout(vectors)
        if lengths is None:
            return EncoderOutput(outputs, outputs.mean(1))
        check_lengths(lengths.cpu(), *source.shape[:2])
        real = padding_mask(lengths, source.shape[1]).view(*source.shape[:2], 1)
        outputs = outputs.masked_fill(~real, 0)
        return EncoderOutput(outputs, outputs.sum(1) / lengths.unsqueeze(1))
