"""How late a model answers: paths that are certain, an enumeration of those that are not, padding without influence."""

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.attention.normalizers import MonotonicNormalizer
from heedful.training.latency import expected_delay, latency_loss
from tests.tolerances import assert_close


def lagging_by_hand(delays: list[float], keys: int) -> float:
    """Arivazhagan 2019: g'_i = max(g_i, g'_{i-1} + 1 / gamma), gamma = |y| / |x|; mean of g'_i - (i - 1) / gamma."""
    pace, total, last = keys / len(delays), 0.0, -float("inf")
    for place, delay in enumerate(delays):
        last = max(delay, last + pace)
        total += last - place * pace
    return total / len(delays)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(1, 7))
def test_of_a_certain_path_it_is_that_of_the_paper(path, keys):
    """A place of `keys` or more is a query that stops nowhere."""
    path = sorted(path)
    stops = torch.zeros(1, len(path), keys, dtype=torch.float64)
    for query, place in enumerate(path):
        if place < keys:
            stops[0, query, place] = 1
    delays = [float(min(place + 1, keys)) for place in path]
    lengths = torch.tensor([keys]), torch.tensor([len(path)])
    assert_close(expected_delay(stops, lengths[0]), torch.tensor([delays], dtype=torch.float64))
    assert_close(latency_loss(stops, *lengths), torch.tensor(lagging_by_hand(delays, keys), dtype=torch.float64))
    mean = torch.tensor(sum(delays) / len(delays), dtype=torch.float64)
    assert_close(latency_loss(stops, *lengths, lagging=False), mean)


@pytest.mark.parametrize("wait", [1, 2, 5])
def test_who_waits_for_k_keys_lags_by_k_until_the_source_ends(wait):
    places = [min(query + wait - 1, 9) for query in range(10)]
    stops = torch.eye(10)[places].unsqueeze(0)
    assert_close(latency_loss(stops, torch.tensor([10]), torch.tensor([10])), torch.tensor(float(wait)))


def test_the_delay_of_monotonic_attention_is_its_mean_over_all_paths():
    scores = torch.randn(1, 2, 4, dtype=torch.float64)
    stop, state, rows = torch.sigmoid(scores[0]), None, []
    for query in range(2):
        weights, state = MonotonicNormalizer(noise=0.0)(scores[:, query : query + 1], None, state)
        rows.append(weights)
    expected = torch.zeros(2, dtype=torch.float64)
    # place 4: no stop
    for first, second in itertools.product(range(5), repeat=2):
        chances = [
            torch.prod(1 - stop[query, start:place]) * (stop[query, place] if place < 4 else 1)
            for query, start, place in ((0, 0, first), (1, first, second))
        ]
        if second >= first:
            expected += chances[0] * chances[1] * torch.tensor([min(first + 1, 4), min(second + 1, 4)])
    assert_close(expected_delay(torch.cat(rows, 1), torch.tensor([4]))[0], expected)


def test_padding_and_empty_items_count_nowhere_and_gradients_are_those_of_differences():
    stops = torch.rand(3, 4, 5, dtype=torch.float64) / 5
    lengths = torch.tensor([5, 3, 5]), torch.tensor([4, 2, 0])
    stops[1, :, 3:] = 0
    single = [
        latency_loss(stops[item : item + 1, :target, :source], torch.tensor([source]), torch.tensor([target]))
        for item, (source, target) in enumerate([(5, 4), (3, 2)])
    ]
    assert_close(latency_loss(stops, *lengths), (single[0] + single[1]) / 2)
    spoilt = stops.clone()
    spoilt[1, 2:, :3], spoilt[2] = 0.3, 0.1
    assert_close(latency_loss(spoilt, *lengths), latency_loss(stops, *lengths))
    for lagging in (True, False):
        assert torch.autograd.gradcheck(partial(latency_loss, lagging=lagging), (stops.requires_grad_(), *lengths))
    for shape in ((0, 4, 5), (2, 0, 5)):
        none = torch.zeros(shape[0], dtype=torch.long)
        assert latency_loss(torch.zeros(shape), none + 5, none) == 0
