"""One row per window: how it is built, its rule for the places of one query and one key. The facts run from it."""

import pytest
import torch

from heedful.attention import Attention, windows
from heedful.attention.scores import DotScore
from heedful.attention.windows import (
    BlockWindow,
    CausalWindow,
    DilatedWindow,
    EverywhereWindow,
    LocalMonotonicWindow,
    SinkWindow,
    SlidingWindow,
    WaitKWindow,
    Window,
)
from tests.attention.rows import WindowRow, built, exported, written

WINDOWS = [
    WindowRow(EverywhereWindow, lambda query, key: True, positional=False),
    WindowRow(CausalWindow, lambda query, key: key <= query, aligned_to_end=True),
    WindowRow(lambda: SlidingWindow(2, 1), lambda query, key: query - 2 <= key <= query + 1, aligned_to_end=True),
    WindowRow(lambda: DilatedWindow(1, 2), lambda query, key: abs(key - query) in (0, 2), aligned_to_end=True),
    WindowRow(lambda: BlockWindow(2, 1), lambda query, key: query // 2 - key // 2 in (0, 1), aligned_to_end=True),
    WindowRow(
        lambda: SinkWindow(1, sinks=2),
        lambda query, key: key <= query and (key < 2 or key >= query - 1),
        aligned_to_end=True,
    ),
    WindowRow(lambda: LocalMonotonicWindow(2), lambda query, key: abs(key - query) <= 2),
    WindowRow(lambda: WaitKWindow(2), lambda query, key: key < query + 2),
]

each_window = pytest.mark.parametrize("row", WINDOWS, ids=str)
each_size = pytest.mark.parametrize(("queries", "keys"), [(1, 1), (3, 5), (5, 5), (5, 3)])


def test_every_window_has_a_row():
    # what the query predicts has its loops in test_luong_local.py, what adds to the scores in test_relative.py
    elsewhere = {"LocalPredictiveWindow", "AdaptiveSpanWindow", "RelativeWindow"}
    missing = exported(windows, Window) - elsewhere - built(WINDOWS)
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


def test_windows_that_are_wide_enough_are_simpler_ones():
    for wide, simple in (
        (SlidingWindow(9, 9), EverywhereWindow()),
        (SlidingWindow(9, 0), CausalWindow()),
        (DilatedWindow(2, 1), SlidingWindow(2, 2)),
        (BlockWindow(9), EverywhereWindow()),
        (SinkWindow(1, sinks=0), SlidingWindow(1, 0)),
        (LocalMonotonicWindow(9), EverywhereWindow()),
        (WaitKWindow(9), EverywhereWindow()),
        (WaitKWindow(1), CausalWindow()),
    ):
        assert seen(wide, 5, 5).equal(seen(simple, 5, 5))


def test_past_the_end_of_the_source_a_clamped_window_stays():
    mask = torch.tensor([[[True, True, True, False, False]], [[True] * 5]])
    free, clamped = (seen(LocalMonotonicWindow(1, clamp), 6, 5, mask) for clamp in (False, True))
    assert free[0].sum(-1).tolist() == [2, 3, 2, 1, 0, 0]
    assert clamped[0].sum(-1).tolist() == [2, 3, 2, 2, 2, 2]
    assert clamped[0, 5].tolist() == [False, True, True, False, False]


@pytest.mark.messages
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SlidingWindow(-1, 0), r"left is -1; expected a whole number \(int\) from 0 up"),
        (lambda: DilatedWindow(1, 0), r"dilation is 0; expected a whole number \(int\) from 1 up"),
        (lambda: BlockWindow(0), r"size is 0; expected a whole number \(int\) from 1 up"),
        (lambda: SinkWindow(1, 1.5), r"sinks is 1.5; expected a whole number \(int\) from 0 up"),
        (lambda: WaitKWindow(0), r"wait is 0; expected a whole number \(int\) from 1 up"),
        (lambda: LocalMonotonicWindow(True), r"half_width is True; expected a whole number \(int\) from 0 up"),
    ],
)
def test_a_reach_that_is_no_number_of_places_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
