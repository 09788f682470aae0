"""Vectors of n-grams against lists of Python: which have one, and where they end."""

from collections import Counter

import pytest
import torch

from heedful.layers import NgramEmbedding
from tests.tolerances import assert_close

TEXTS = [[31_999, 7, 2_000_000_000, 9, 4, 9, 4], [6, 31_999, 7, 1, 1], [31_999, 7, 2_000_000_000], [5], [9, 4, 9]]


def ngrams_at(text: list[int], place: int, longest: int) -> list[tuple[int, ...]]:
    return [tuple(text[place + 1 - size : place + 1]) for size in range(2, longest + 1) if size <= place + 1]


@pytest.mark.parametrize("longest", [2, 4])
def test_every_token_has_the_sum_of_the_frequent_ngrams_that_end_there(longest):
    held = Counter()
    for text in TEXTS:
        held.update({one for place in range(len(text)) for one in ngrams_at(text, place, longest)})
    frequent = [ngram for ngram, count in held.items() if count > 1]
    layer = NgramEmbedding(5, rows=len(frequent), longest=longest).double()
    layer.learn(map(torch.tensor, TEXTS))
    torch.nn.init.normal_(layer.table.weight)
    # the vector of an n-gram, where it stands alone at an end
    alone = {one: layer(torch.tensor([one]))[0, -1] - sum_of_shorter(layer, one) for one in frequent}
    assert len({tuple(vector.tolist()) for vector in alone.values()}) == len(frequent)
    for text in TEXTS:
        found = layer(torch.tensor([text]))[0]
        for place in range(len(text)):
            wanted = [alone[one] for one in ngrams_at(text, place, longest) if one in alone]
            assert_close(found[place], sum(wanted, torch.zeros(5).double()))


def sum_of_shorter(layer: NgramEmbedding, ngram: tuple[int, ...]) -> torch.Tensor:
    """What the n-grams within one say at its end."""
    return layer(torch.tensor([ngram[1:]]))[0, -1] if len(ngram) > 2 else torch.zeros(5).double()


def test_the_others_have_none_and_order_counts():
    layer = NgramEmbedding(2, rows=6)
    assert not layer(torch.tensor([[4, 5, 6]])).any()
    layer.learn([torch.tensor([4, 5])])
    torch.nn.init.ones_(layer.table.weight)
    assert layer(torch.tensor([[4, 5, 4]]))[0].tolist() == [[0, 0], [1, 1], [0, 0]]
    layer.learn([])
    assert not layer(torch.tensor([[4, 5]])).any()
    again = NgramEmbedding(2, rows=6)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.numbers, layer.numbers)


@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 3, 1)])
def test_sizes_that_make_no_ngram_are_refused(sizes):
    with pytest.raises(ValueError, match="expected 1, 1 and 2 at least"):
        NgramEmbedding(*sizes)
