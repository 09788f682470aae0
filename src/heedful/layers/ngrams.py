"""Vectors of neighbouring tokens: the most frequent n-grams beside the words (Joulin et al. 2017, section 2.1)."""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

# of the polynomial that makes one number of an n-gram; times PRIME it stays below 2**63
BASE, PRIME = 1_000_003, 2**31 - 1


class NgramEmbedding(nn.Module):
    """For each token, the sum of the vectors of the n-grams of 2 to `longest` tokens that end there.

    Those that are most frequent in the training texts have a vector, see `learn`; all others have none. (The paper
    gives every n-gram one by hashing, so that frequent ones share theirs with rare ones.)

    Args:
        dim: features of a vector.
        rows: n-grams that have one.
        longest: tokens of the longest n-gram.

    Parameters: `table.weight [rows, dim]`, 0 at first: what training seldom saw says nothing. Buffer: `numbers [rows]`,
    ascending, of the n-grams that have a vector; it must stay in float64.

    Raises:
        ValueError: a size is not positive, or `longest` is below 2.

    >>> layer = NgramEmbedding(3, rows=7)
    >>> layer.learn([torch.tensor([4, 5, 6])])
    >>> layer(torch.tensor([[4, 5, 6]])).shape
    torch.Size([1, 3, 3])
    """

    numbers: Tensor

    def __init__(self, dim: int, rows: int, longest: int = 2) -> None:
        super().__init__()
        if dim < 1 or rows < 1 or longest < 2:
            raise ValueError(f"dim, rows and longest are {dim}, {rows} and {longest}; expected 1, 1 and 2 at least.")
        self.longest = longest
        self.table = nn.Embedding(rows, dim)
        nn.init.zeros_(self.table.weight)
        # no n-gram has this number; float64 holds it exactly, and files of weights hold nothing but floats
        self.register_buffer("numbers", torch.full((rows,), PRIME, dtype=torch.float64))

    @torch.no_grad()
    def learn(self, texts: Iterable[Int[Tensor, " steps"]]) -> None:
        """Give a vector to the n-grams that stand in most of these texts; of equally many, to any."""
        counts: dict[int, int] = {}
        for ids in texts:
            for number in torch.cat([one for _, one in self._numbers(ids)] or [ids[:0]]).unique().tolist():
                counts[number] = counts.get(number, 0) + 1
        kept = sorted(sorted(counts, key=lambda number: -counts[number])[: len(self.numbers)])
        self.numbers.fill_(PRIME)[: len(kept)] = torch.tensor(kept, dtype=torch.float64)

    def forward(self, ids: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps dim"]:
        """Vectors at each of `ids`; a place with fewer tokens before it has the shorter n-grams alone."""
        vectors = self.table.weight.new_zeros(*ids.shape, self.table.embedding_dim)
        for length, whole in self._numbers(ids):
            number = whole.double()
            row = torch.searchsorted(self.numbers, number).clamp_max(self.table.num_embeddings - 1)
            known = (self.numbers[row] == number).unsqueeze(-1)
            vectors = vectors + nn.functional.pad(self.table(row) * known, (0, 0, length - 1, 0))
        return vectors

    def _numbers(self, ids: Int[Tensor, "*batch steps"]) -> Iterator[tuple[int, Int[Tensor, "*batch ngrams"]]]:
        """A number for each n-gram, length by length."""
        number = ids
        for length in range(2, min(self.longest, ids.shape[-1]) + 1):
            # the n-gram that ended a place earlier, and one token more
            number = (BASE * number[..., :-1] + ids[..., length - 1 :]) % PRIME
            yield length, number
