"""N-grams as a graph for sources of any length: places by halving, where the layer itself searches a sorted tensor."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from heedful.layers import NgramEmbedding
from heedful.layers.ngrams import BASE, PRIME


class GraphNgrams(nn.Module):
    """What `NgramEmbedding` gives, in operators that every runtime has.

    Args:
        layer: whose vectors they are.

    >>> layer = NgramEmbedding(3, rows=7, longest=3)
    >>> layer.learn([torch.tensor([4, 5, 6])])
    >>> nn.init.normal_(layer.table.weight)[0].shape
    torch.Size([3])
    >>> ids = torch.tensor([[4, 5, 6, 4, 5]])
    >>> torch.equal(GraphNgrams(layer)(ids), layer(ids))
    True
    """

    numbers: Tensor

    def __init__(self, layer: NgramEmbedding) -> None:
        super().__init__()
        self.longest, self.table = layer.longest, layer.table
        # whole numbers, so that a change of all floats leaves them
        self.register_buffer("numbers", layer.numbers.long())

    def forward(self, ids: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps dim"]:
        """Vectors at each of `ids`."""
        steps = ids.shape[1]
        places = torch.arange(steps, device=ids.device)
        vectors = self.table.weight.new_zeros(*ids.shape, self.table.embedding_dim)
        for length in range(2, self.longest + 1):
            before = pad(ids, (length - 1, 0))
            number = before[:, :steps]
            for later in range(1, length):
                number = (BASE * number + before[:, later : later + steps]) % PRIME
            row = self._row(number)
            known = (self.numbers[row] == number) & (places >= length - 1)
            vectors = vectors + self.table(row) * known.unsqueeze(-1)
        return vectors

    def _row(self, number: Int[Tensor, "batch steps"]) -> Int[Tensor, "batch steps"]:
        """The first row whose number is not smaller; the last row where all are."""
        last = len(self.numbers) - 1
        row = torch.zeros_like(number)
        for bit in reversed(range(last.bit_length())):
            ahead = (row + 2**bit).clamp_max(last)
            # the row before is smaller still: the first that is not stands there or behind
            row = torch.where(self.numbers[ahead - 1] < number, ahead, row)
        return row
