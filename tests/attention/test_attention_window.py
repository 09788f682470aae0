"""The window that follows the last weights: hand tables, steps, beams, and what a hidden row leaves."""

import pytest
import torch

from heedful.attention import Attention
from heedful.attention.normalizers import HardmaxNormalizer, SoftmaxNormalizer
from heedful.attention.scores import CoverageScore, DotScore
from heedful.attention.state import reorder
from heedful.attention.windows import AndWindow, AttentionWindow, EverywhereWindow, OrWindow, SlidingWindow
from heedful.attention.windows.constrained import weighted_median
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.tolerances import assert_close

ANCHORS = {
    "largest": lambda row: max(range(len(row)), key=lambda place: (row[place], -place)),
    "median": lambda row: next(place for place in range(len(row)) if sum(row[: place + 1]) >= sum(row) / 2),
}
each_anchor = pytest.mark.parametrize("anchor", ANCHORS)


def build(anchor="median", back=1, forward=2) -> Attention:
    return Attention(DotScore(4), AttentionWindow(back, forward, anchor)).double().eval()


def by_hand(anchor, query, key, value, mask):
    """Item after item, each with an anchor of its own; query after query."""
    contexts = []
    for item in range(len(query)):
        place, read = 0, []
        for index, asked in enumerate(query[item]):
            near = [k for k in range(KEYS) if place - 1 <= k <= place + 2 and mask[item, index, k]]
            if not near:
                read.append(torch.zeros_like(value[item, 0]))
                continue
            shares = torch.softmax(key[item, near] @ asked, 0)
            row = torch.zeros(KEYS, dtype=torch.float64)
            row[near] = shares.detach()
            place = ANCHORS[anchor](row.tolist())
            read.append(shares @ value[item, near])
        contexts.append(torch.stack(read))
    return torch.stack(contexts)


@each_anchor
def test_context_and_gradients_are_those_of_the_loop(anchor):
    attention = build(anchor)
    query, key, value = draw(attention, queries=7)
    mask = torch.rand(BATCH, 7, KEYS) > 0.3
    mask[0, 2] = False
    expected = by_hand(anchor, query, key, value, mask)
    for need_weights in (False, True):
        context = attention(query, key, value, mask, need_weights).context
        assert_close(context, expected)
        leaves = (query, key, value)
        for ours, theirs in zip(gradients(context, *leaves), gradients(expected, *leaves), strict=True):
            assert_close(ours, theirs)


def test_the_window_stands_around_the_anchor_of_each_batch_item():
    window = AttentionWindow(back=1, forward=3, anchor="largest").eval()
    last = torch.zeros(2, 1, 7)
    last[0, 0, 4] = last[1, 0, 0] = 1
    state = window.update(None, last)
    arguments = torch.zeros(2, 1, 4), torch.zeros(2, 1, dtype=torch.long), torch.tensor([7, 7]), 7
    view, _ = window(*arguments, state)
    assert view.mask[:, 0].tolist() == [[3 <= k <= 7 for k in range(7)], [k <= 3 for k in range(7)]]
    begun, _ = window(*arguments)
    assert begun.mask[:, 0].tolist() == [[k <= 3 for k in range(7)]] * 2


def test_in_training_mode_everything_is_seen():
    attention = build().train()
    arguments = draw(attention)
    assert_close(attention(*arguments).context, Attention(DotScore(4))(*arguments).context)
    wide = build(back=KEYS, forward=KEYS)
    assert_close(wide(*arguments).context, Attention(DotScore(4))(*arguments).context)


def test_a_median_leaves_half_of_the_weight_on_either_side():
    weights = torch.rand(50, 9, dtype=torch.float64)
    for row, place in zip(weights, weighted_median(weights).tolist(), strict=True):
        assert row[:place].sum() < row.sum() / 2 <= row[: place + 1].sum()


@each_anchor
def test_steps_are_one_call_hypotheses_change_places_and_hidden_keys_have_no_part(anchor):
    attention = build(anchor)
    query, key, value = draw(attention)
    mask, order = some_mask().any(1, keepdim=True), torch.tensor([1, 0])
    whole = attention(query, key, value, mask).context
    with torch.no_grad():
        key[~mask.squeeze(1)], value[~mask.squeeze(1)] = torch.nan, torch.inf
    assert attention(query, key, value, mask).context.equal(whole)
    memory, state = attention.remember(key, value, mask), None
    for index in range(QUERIES):
        swapped = index % 2 == 1
        asked = (query.flip(0) if swapped else query)[:, index : index + 1]
        output, state = attention.step(asked, memory, state)
        row = whole[:, index : index + 1]
        assert_close(output.context, row.flip(0) if swapped else row)
        memory, state = reorder(memory, order), reorder(state, order)


def test_it_is_joined_with_other_windows_and_told_the_weights_there():
    plain = build()
    arguments = draw(plain, queries=7)
    expected = plain(*arguments, need_weights=True)
    for window in (
        AndWindow(EverywhereWindow(), plain.window),
        OrWindow(plain.window, plain.window),
        AndWindow(OrWindow(SlidingWindow(0, 0), AttentionWindow(1, 2)), AttentionWindow(1, 2)),
    ):
        joined = Attention(DotScore(4), window).eval()
        assert joined.stateful
        assert weights_of(joined(*arguments, need_weights=True)).equal(weights_of(expected))


def test_with_a_score_that_knows_earlier_weights_each_keeps_its_own_state():
    attention = Attention(CoverageScore(4, 6, 11), AttentionWindow(1, 1), SoftmaxNormalizer()).double().eval()
    query, key, value = draw(attention)
    memory, state = attention.remember(key, value), None
    for index in range(QUERIES):
        _, state = attention.step(query[:, index : index + 1], memory, state)
    assert state.window.shape == (BATCH,)
    assert state.score.shape == (BATCH, 1, KEYS)


def test_a_choice_walks_on_from_where_it_stands():
    attention = Attention(DotScore(1), AttentionWindow(0, 1, "largest"), HardmaxNormalizer()).eval()
    key = torch.tensor([[[1.0], [2.0], [3.0], [9.0], [0.0]]])
    weights = weights_of(attention(torch.ones(1, 5, 1), key, need_weights=True))
    assert weights[0].argmax(-1).tolist() == [1, 2, 3, 3, 3]


@each_anchor
def test_a_query_that_saw_nothing_leaves_the_anchor_where_it_was(anchor):
    window = AttentionWindow(back=1, forward=1, anchor=anchor).eval()
    empty = torch.zeros(2, 1, 7)
    assert window.update(torch.tensor([3, 5]), empty).tolist() == [3, 5]
    assert window.update(None, empty).tolist() == [0, 0]
    empty[1, 0, 4] = 1
    assert window.update(torch.tensor([3, 5]), empty).tolist() == [3, 4]


@pytest.mark.parametrize(("batch", "queries", "keys"), [(0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 3, 1)])
def test_degenerate_sizes(batch, queries, keys):
    attention = build()
    output = attention(*draw(attention, batch, queries, keys), need_weights=True)
    assert output.context.shape == (batch, queries, 7)
    assert weights_of(output).shape == (batch, queries, keys)


@pytest.mark.compile
@each_anchor
def test_compiled_in_one_graph_and_exported(anchor):
    attention = build(anchor)
    arguments = (*draw(attention), some_mask(), True)
    expected = attention(*arguments)
    actual = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments)
    assert_close(weights_of(actual), weights_of(expected))
    for ours, theirs in zip(
        gradients(actual.context, *arguments[:3]), gradients(expected.context, *arguments[:3]), strict=True
    ):
        assert_close(ours, theirs)
    with torch.no_grad():
        assert_close(torch.export.export(attention, arguments).module()(*arguments).context, expected.context)


@pytest.mark.messages
def test_an_unknown_anchor_is_refused():
    with pytest.raises(ValueError, match="anchor is 'mean'; expected one of 'median', 'largest'"):
        AttentionWindow(1, 2, "mean")  # pyright: ignore[reportArgumentType]
