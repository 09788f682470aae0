"""Vectors of n-grams by hashing, against whole numbers of Python."""

import pytest
import torch

from heedful.layers import NgramEmbedding
from tests.tolerances import assert_close

PRIME = 2**31 - 1


def vector(layer: NgramEmbedding, ngram: list[int]) -> torch.Tensor:
    """The sum of the two rows of an n-gram, by hand."""
    number = 0
    for token in ngram:
        number = (number * 1_000_003 + token) % PRIME
    rows = [
        (factor * number + addend) % PRIME % len(layer.table.weight)
        for factor, addend in ((1_540_483_477, 374_761_393), (668_265_263, 1_274_126_177))
    ]
    return layer.table.weight[rows].sum(0)


@pytest.mark.parametrize("longest", [2, 4])
def test_every_token_has_the_sum_of_the_ngrams_that_end_there(longest):
    layer = NgramEmbedding(5, rows=23, longest=longest).double()
    ids = torch.tensor([[31_999, 7, 2_000_000_000, 9, 4], [6, 31_999, 7, 1, 1]])
    found = layer(ids)
    for row, text in enumerate(ids.tolist()):
        for place in range(len(text)):
            ngrams = [text[place + 1 - size : place + 1] for size in range(2, longest + 1) if size <= place + 1]
            expected = sum((vector(layer, ngram) for ngram in ngrams), torch.zeros(5).double())
            assert_close(found[row, place], expected)
    assert not layer(ids[:, :1]).any()


def test_order_counts_and_pairs_that_share_a_row_seldom_share_both():
    layer = NgramEmbedding(1, rows=50)
    numbers = torch.arange(1, 2001)
    rows = torch.stack([layer.row(numbers, 0), layer.row(numbers, 1)], 1)
    # 2,000 numbers in 50 rows share one of them; 2,500 pairs of rows hold most of them apart
    assert len(rows.unique(dim=0)) > 1000
    assert torch.bincount(rows[:, 0], minlength=50).max() < 2 * 2000 / 50
    assert not torch.equal(layer(torch.tensor([[4, 5]])), layer(torch.tensor([[5, 4]])))


@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 3, 1)])
def test_sizes_that_make_no_ngram_are_refused(sizes):
    with pytest.raises(ValueError, match="expected 1, 1 and 2 at least"):
        NgramEmbedding(*sizes)
