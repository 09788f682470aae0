"""Token embeddings, with padding at 0 and, if one has it, a pretrained matrix."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .dropout import Dropout


class TokenEmbedding(nn.Module):
    """Ids to vectors, with dropout.

    Args:
        vocab_size: number of ids.
        dim: features of a vector.
        dropout: share of the features dropped in training.
        matrix: pretrained vectors `[vocab_size, dim]` to start from.
        padding: whether id 0 is padding, whose vector is 0 for good; otherwise it is an id like any other.

    Raises:
        ValueError: the matrix has another shape.

    >>> TokenEmbedding(11, 3)(torch.tensor([[1, 2, 0]]))[0, 2]
    tensor([0., 0., 0.], grad_fn=<SelectBackward0>)
    """

    def __init__(
        self, vocab_size: int, dim: int, dropout: float = 0.0, matrix: Tensor | None = None, padding: bool = True
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, dim, padding_idx=0 if padding else None)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        if matrix is not None and tuple(matrix.shape) != (vocab_size, dim):
            raise ValueError(
                f"matrix has shape {tuple(matrix.shape)}; expected [vocab_size, dim] = [{vocab_size}, {dim}]. "
                "Give one row for each id of the tokeniser, in its order."
            )
        with torch.no_grad():
            if matrix is not None:
                self.table.weight.copy_(matrix)
            if padding:
                self.table.weight[0] = 0
        self.dropout = Dropout(dropout)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.table.num_embeddings

    @property
    def dim(self) -> int:
        """Features of a vector."""
        return self.table.embedding_dim

    @property
    def weight(self) -> Float[Tensor, "vocab_size dim"]:
        """The table itself, to tie an output layer to."""
        return self.table.weight

    def forward(self, ids: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps dim"]:
        """Vectors of `ids`; padding gives zeros."""
        vectors = self.table(ids)
        if self.table.padding_idx is not None:
            # by mask, not by the table's row 0 alone: a tied output layer trains that row, too
            vectors = vectors.masked_fill(ids.eq(0).unsqueeze(-1), 0)
        return self.dropout(vectors)
