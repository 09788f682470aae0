"""Vectors of neighbouring tokens by hashing: an n-gram needs no vocabulary (Joulin et al. 2017, section 2.1)."""

from jaxtyping import Float, Int
from torch import Tensor, nn

# two universal hash functions (Carter and Wegman 1979): (multiplier, addend), modulo a prime
PRIME = 2**31 - 1
HASHES = ((1_540_483_477, 374_761_393), (668_265_263, 1_274_126_177))
# of the polynomial that makes one number of an n-gram; times PRIME it stays below 2**63
BASE = 1_000_003


class NgramEmbedding(nn.Module):
    """For each token, the sum of the vectors of the n-grams of 2 to `longest` tokens that end there.

    An n-gram has no entry of its own: two hash functions choose two rows of one table, whose sum is its vector, so that
    two n-grams that share one row still differ (Svenstrup et al. 2017, section 2.1, without weights).

    Args:
        dim: features of a vector.
        rows: of the table.
        longest: tokens of the longest n-gram.

    Raises:
        ValueError: a size is not positive, or `longest` is below 2.

    >>> import torch
    >>> NgramEmbedding(3, rows=7)(torch.tensor([[4, 5, 6]])).shape
    torch.Size([1, 3, 3])
    """

    def __init__(self, dim: int, rows: int, longest: int = 2) -> None:
        super().__init__()
        if dim < 1 or rows < 1 or longest < 2:
            raise ValueError(f"dim, rows and longest are {dim}, {rows} and {longest}; expected 1, 1 and 2 at least.")
        self.longest = longest
        self.table = nn.Embedding(rows, dim)
        nn.init.normal_(self.table.weight, std=0.5 * dim**-0.5)

    def forward(self, ids: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps dim"]:
        """Vectors at each of `ids`; a place with fewer tokens before it has the shorter n-grams alone."""
        vectors = self.table.weight.new_zeros(*ids.shape, self.table.embedding_dim)
        number = ids
        for length in range(2, min(self.longest, ids.shape[1]) + 1):
            # the n-gram that ended a place earlier, and one token more
            number = (BASE * number[:, :-1] + ids[:, length - 1 :]) % PRIME
            first, second = (self.table(self.row(number, which)) for which in (0, 1))
            vectors = vectors + nn.functional.pad(first + second, (0, 0, length - 1, 0))
        return vectors

    def row(self, numbers: Int[Tensor, "*shape"], which: int) -> Int[Tensor, "*shape"]:
        """The row that one of the two functions, 0 or 1, chooses for the number of an n-gram."""
        factor, addend = HASHES[which]
        return (factor * numbers + addend) % PRIME % self.table.num_embeddings
