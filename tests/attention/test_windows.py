"""One row per window: how it is built, its rule for the places of one query and one key. The facts run from it."""

import pytest
import torch

from heedful.attention import Attention, windows
from heedful.attention.scores import DotScore
from heedful.attention.windows import CausalWindow, EverywhereWindow, Window
from tests.attention.rows import WindowRow, built, exported, written

WINDOWS = [
    WindowRow(EverywhereWindow, lambda query, key: True, positional=False),
    WindowRow(CausalWindow, lambda query, key: key <= query, aligned_to_end=True),
]

each_window = pytest.mark.parametrize("row", WINDOWS, ids=str)
each_size = pytest.mark.parametrize(("queries", "keys"), [(1, 1), (3, 5), (5, 5), (5, 3)])


def test_every_window_has_a_row():
    missing = exported(windows, Window) - built(WINDOWS)
    assert not missing, f"no row in WINDOWS of {__file__}: {', '.join(sorted(missing))}"


def test_every_window_is_exported():
    missing = written(windows, Window) - exported(windows, Window)
    assert not missing, f"no line in heedful/attention/windows/__init__.py: {', '.join(sorted(missing))}"


def table(row: WindowRow, queries: int, keys: int) -> torch.Tensor:
    """The rule of the paper, place by place."""
    first = max(keys - queries, 0) if row.aligned_to_end else 0
    return torch.tensor([[row.rule(first + query, key) for key in range(keys)] for query in range(queries)])


def seen(window: Window, queries: int, keys: int, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Where the weights of equal scores are not 0."""
    attention = Attention(DotScore(2), window)
    output = attention(torch.zeros(2, queries, 2), torch.zeros(2, keys, 2), mask=mask, need_weights=True)
    assert output.weights is not None
    return output.weights > 0


@each_window
@each_size
def test_a_window_shows_what_its_rule_says(row, queries, keys):
    expected = table(row, queries, keys)
    assert seen(row.build(), queries, keys).equal(expected.expand(2, -1, -1))


@each_window
@each_size
def test_a_window_shows_nothing_that_the_mask_hides(row, queries, keys):
    mask = torch.rand(2, queries, keys) > 0.4
    mask[0, 0] = False
    assert seen(row.build(), queries, keys, mask).equal(table(row, queries, keys) & mask)


@each_window
def test_a_window_is_told_the_places_of_the_queries(row):
    positions = torch.tensor([[0, 4], [2, 1]])
    view, _ = row.build()(torch.zeros(2, 2, 3), positions, torch.tensor([5, 3]), 5)
    mask = torch.ones(2, 2, 5, dtype=torch.bool) if view.mask is None else view.mask
    expected = [[[row.rule(int(place), key) for key in range(5)] for place in places] for places in positions]
    assert mask.tolist() == expected
