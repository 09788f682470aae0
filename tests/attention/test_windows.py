"""One row per window: how it is built, its rule for the places of one query and one key. The facts run from it."""

import itertools

import pytest
import torch

from heedful import padding_mask
from heedful.attention import Attention, windows
from heedful.attention.normalizers import HardmaxNormalizer
from heedful.attention.scores import DotScore
from heedful.attention.windows import (
    AlibiBias,
    AndWindow,
    AttentionWindow,
    BlockWindow,
    BucketedRelativeBias,
    CausalWindow,
    DilatedWindow,
    DocumentWindow,
    EverywhereWindow,
    LocalMonotonicWindow,
    LocalPredictiveWindow,
    OrWindow,
    PrefixWindow,
    RelativeBias,
    ScoreBias,
    SinkWindow,
    SlidingWindow,
    StridedWindow,
    View,
    WaitKWindow,
    Window,
    document_mask,
    local_monotonic_mask,
    prefix_mask,
)
from tests.attention.rows import WindowRow, built, exported, written
from tests.tolerances import assert_close


def parabola(query, key):
    """A function by name, which can be pickled; its numbers are exact in float32."""
    return -0.5 * (query - key) ** 2


def shaw(query, place, key, p):
    """Shaw 2018, section 3: q . a_clip(k - q) / sqrt(d), for distances up to 2."""
    return query @ p["table"][max(-2, min(key - place, 2)) + 2] / 2


def t5(query, place, key, p):
    """Raffel 2020, section 2.1: 0, 1, then two ranges, up to 6 and beyond; the same again behind the query."""
    return p["table"][(0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3)[abs(key - place)] + 4 * (key > place), 0]


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
    WindowRow(
        lambda: StridedWindow(2),
        lambda query, key: key == query - 1 or (key <= query and (query - key) % 2 == 0),
        aligned_to_end=True,
    ),
    WindowRow(lambda: PrefixWindow(2), lambda query, key: key < 2 or key <= query, aligned_to_end=True),
    WindowRow(
        lambda: DocumentWindow([0, 0, 1, 1, 1]),
        lambda query, key: max(query, key) < 5 and (query < 2) == (key < 2),
        aligned_to_end=True,
    ),
    WindowRow(
        lambda: AndWindow(CausalWindow(), AlibiBias(0.25), EverywhereWindow(), DilatedWindow(1, 2), AlibiBias(0.5)),
        lambda query, key: key in (query, query - 2),
        aligned_to_end=True,
        bias=lambda query, place, key, p: -0.75 * abs(key - place),
    ),
    WindowRow(
        lambda: OrWindow(SlidingWindow(0, 1), SinkWindow(0, sinks=1)),
        lambda query, key: key in (query, query + 1, 0),
        aligned_to_end=True,
    ),
    WindowRow(
        lambda: ScoreBias(parabola),
        lambda query, key: True,
        aligned_to_end=True,
        bias=lambda query, place, key, p: -((key - place) ** 2) / 2,
    ),
    WindowRow(
        lambda: AlibiBias(0.3),
        lambda query, key: True,
        aligned_to_end=True,
        bias=lambda query, place, key, p: -0.3 * abs(key - place),
    ),
    WindowRow(lambda: BucketedRelativeBias(8, 20), lambda query, key: True, aligned_to_end=True, bias=t5),
    WindowRow(lambda: RelativeBias(4, 2), lambda query, key: True, aligned_to_end=True, bias=shaw),
]

# options that say more of where a window looks
OPTIONS = [
    WindowRow(
        lambda: SlidingWindow(1, 0, global_keys=(2, 4)),
        lambda query, key: key in (query, query - 1, 2, 4) or query in (2, 4),
        aligned_to_end=True,
    ),
    # a target of 3 queries; the windows are told 5 and 3 keys
    WindowRow(lambda: LocalMonotonicWindow(1, target_len=3), lambda query, key: abs(key - query * 5 / 3) <= 1),
]

each_window = pytest.mark.parametrize("row", WINDOWS, ids=str)
each_size = pytest.mark.parametrize(("queries", "keys"), [(1, 1), (3, 5), (5, 5), (5, 3)])


def test_every_window_has_a_row():
    # what the query predicts has its loops in test_luong_local.py, what is told weights in test_attention_window.py,
    # sines of distances and learned spans in test_relative.py
    plain = {name for name in exported(windows, Window) if not getattr(windows, name).scales}
    plain -= {"AdaptiveSpanWindow", "RelativeWindow"}
    missing = {name for name in plain if not getattr(windows, name).stateful} - built(WINDOWS)
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
    attention = Attention(DotScore(4), window)
    output = attention(torch.zeros(2, queries, 4), torch.zeros(2, keys, 4), mask=mask, need_weights=True)
    assert output.weights is not None
    return output.weights > 0


@each_window
@each_size
def test_a_window_shows_what_its_rule_says(row, queries, keys):
    expected = table(row, queries, keys)
    assert seen(row.build(), queries, keys).equal(expected.expand(2, -1, -1))


def test_an_option_shows_what_its_rule_says():
    for row in OPTIONS:
        assert seen(row.build(), 7, 5).equal(table(row, 7, 5).expand(2, -1, -1))
        assert seen(row.build(), 3, 5).equal(table(row, 3, 5).expand(2, -1, -1))


@each_window
@each_size
def test_a_window_shows_nothing_that_the_mask_hides(row, queries, keys):
    mask = torch.rand(2, queries, keys) > 0.4
    mask[0, 0] = False
    assert seen(row.build(), queries, keys, mask).equal(table(row, queries, keys) & mask)


@each_window
def test_a_window_is_told_the_places_of_the_queries(row):
    positions = torch.tensor([[0, 4], [2, 1]])
    view, _ = row.build()(torch.zeros(2, 2, 4), positions, torch.tensor([5, 3]), 5)
    mask = torch.ones(2, 2, 5, dtype=torch.bool) if view.mask is None else view.mask
    expected = [[[row.rule(int(place), key) for key in range(5)] for place in places] for places in positions]
    assert mask.tolist() == expected


@each_window
def test_a_window_says_what_it_adds_and_multiplies(row):
    window = row.build()
    view, _ = window(torch.zeros(2, 2, 4), torch.tensor([[0, 4], [2, 1]]), torch.tensor([5, 3]), 5)
    assert window.biases == (view.bias is not None) == (row.bias is not None)
    assert window.scales == (view.gain is not None) == row.scales


def test_windows_that_are_wide_enough_are_simpler_ones():
    for wide, simple in (
        (SlidingWindow(9, 9), EverywhereWindow()),
        (SlidingWindow(9, 0), CausalWindow()),
        (DilatedWindow(2, 1), SlidingWindow(2, 2)),
        (BlockWindow(9), EverywhereWindow()),
        (SinkWindow(1, sinks=0), SlidingWindow(1, 0)),
        (LocalMonotonicWindow(9), EverywhereWindow()),
        (LocalMonotonicWindow(1, target_len=5), LocalMonotonicWindow(1)),
        (SlidingWindow(0, 0, global_keys=range(5)), EverywhereWindow()),
        (AndWindow(CausalWindow(), SlidingWindow(9, 0, global_keys=(3,))), CausalWindow()),
        (WaitKWindow(9), EverywhereWindow()),
        (WaitKWindow(1), CausalWindow()),
        (StridedWindow(9), CausalWindow()),
        (StridedWindow(1), CausalWindow()),
        (PrefixWindow(0), CausalWindow()),
        (PrefixWindow(5), EverywhereWindow()),
        (DocumentWindow([3] * 5), EverywhereWindow()),
        (DocumentWindow([0, 0, 1, 1, 2]), BlockWindow(2)),
        (AndWindow(CausalWindow()), CausalWindow()),
        (AndWindow(EverywhereWindow(), SlidingWindow(2, 1)), SlidingWindow(2, 1)),
        (AndWindow(SlidingWindow(2, 1), CausalWindow()), SlidingWindow(2, 0)),
        (OrWindow(EverywhereWindow(), CausalWindow()), EverywhereWindow()),
        (OrWindow(SlidingWindow(2, 0), SlidingWindow(0, 1)), SlidingWindow(2, 1)),
        (OrWindow(SlidingWindow(1, 0), AndWindow(SinkWindow(0, 2), CausalWindow())), SinkWindow(1, 2)),
    ):
        assert seen(wide, 5, 5).equal(seen(simple, 5, 5))


@pytest.mark.parametrize("row", [*WINDOWS, *OPTIONS], ids=str)
def test_what_a_window_hides_has_no_part_in_context_or_gradient(row):
    attention = Attention(DotScore(4), row.build()).double()
    query, key, value = (torch.randn(1, size, 4, dtype=torch.float64, requires_grad=True) for size in (5, 5, 5))
    context = attention(query, key, value).context
    for place, shown in enumerate(table(row, 5, 5)):
        slopes = torch.autograd.grad(context[0, place].sum(), (key, value), retain_graph=True)
        assert not any(slope[0, ~shown].any() for slope in slopes)
        moved = tuple(each.detach() + ~shown.unsqueeze(-1) for each in (key, value))
        assert_close(attention(query, *moved).context[0, place], context[0, place])


def test_the_source_is_read_at_the_pace_of_the_target():
    """Two items of 6 and 3 keys for targets of 3 and 6 queries; then every query past the end of either."""
    lengths, targets = torch.tensor([6, 3]), torch.tensor([3, 6])
    positions, mask = torch.arange(9).expand(2, 9), padding_mask(lengths, 6)
    for clamp in (False, True):
        shown = local_monotonic_mask(positions, 6, 1, lengths, targets, clamp) & mask
        for item in range(2):
            keys, queries = int(lengths[item]), int(targets[item])
            places = [min(query * keys / queries, keys - 1) if clamp else query * keys / queries for query in range(9)]
            assert shown[item].tolist() == [[k < keys and abs(k - place) <= 1 for k in range(6)] for place in places]
        for item, target in enumerate(targets.tolist()):
            window = LocalMonotonicWindow(1, clamp, target)
            assert seen(window, 9, 6, mask)[item].equal(shown[item])


def test_each_block_is_read_as_if_it_were_alone():
    steps = torch.randn(2, 7, 4, dtype=torch.float64)
    whole = Attention(DotScore(4), BlockWindow(3))(steps, steps).context
    for block in (slice(0, 3), slice(3, 6), slice(6, 7)):
        assert_close(whole[:, block], Attention(DotScore(4))(steps[:, block], steps[:, block]).context)


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
        (
            lambda: SlidingWindow(1, 0, global_keys=(0, -1)),
            r"a global key is -1; expected a whole number \(int\) from 0",
        ),
        (lambda: LocalMonotonicWindow(1, target_len=0), r"target_len is 0; expected a whole number \(int\) from 1 up"),
        (lambda: DilatedWindow(1, 0), r"dilation is 0; expected a whole number \(int\) from 1 up"),
        (lambda: BlockWindow(0), r"size is 0; expected a whole number \(int\) from 1 up"),
        (lambda: SinkWindow(1, 1.5), r"sinks is 1.5; expected a whole number \(int\) from 0 up"),
        (lambda: WaitKWindow(0), r"wait is 0; expected a whole number \(int\) from 1 up"),
        (lambda: LocalMonotonicWindow(True), r"half_width is True; expected a whole number \(int\) from 0 up"),
        (lambda: StridedWindow(0), r"stride is 0; expected a whole number \(int\) from 1 up"),
        (lambda: PrefixWindow(-1), r"prefix_len is -1; expected a whole number \(int\) from 0 up"),
        (lambda: RelativeBias(0, 2), r"query_dim is 0; expected a whole number \(int\) from 1 up"),
        (lambda: RelativeBias(4, -1), r"reach is -1; expected a whole number \(int\) from 0 up"),
        (lambda: AttentionWindow(-1, 2), r"back is -1; expected a whole number \(int\) from 0 up"),
        (lambda: BucketedRelativeBias(3), r"num_buckets is 3; expected a whole number \(int\) from 4 up"),
        (lambda: BucketedRelativeBias(32, 8), r"max_distance is 8; expected a whole number \(int\) from 9 up"),
    ],
)
def test_a_reach_that_is_no_number_of_places_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@each_size
def test_what_not_both_windows_show_one_of_them_hides(queries, keys):
    class Not(Window):
        """What another window hides."""

        def __init__(self, window):
            super().__init__()
            self.window, self.aligned_to_end = window, window.aligned_to_end

        def forward(self, *arguments, **named):
            view, state = self.window(*arguments, **named)
            return View(mask=~view.mask), state

    for first, second in itertools.combinations((CausalWindow(), SlidingWindow(0, 2), DilatedWindow(1, 2)), 2):
        both, either = AndWindow(first, second), OrWindow(first, second)
        assert seen(Not(both), queries, keys).equal(seen(OrWindow(Not(first), Not(second)), queries, keys))
        assert seen(Not(either), queries, keys).equal(seen(AndWindow(Not(first), Not(second)), queries, keys))


def test_windows_joined_by_and_multiply_their_gains_and_hand_on_their_states():
    predictive = LocalPredictiveWindow(4, half_width=3).double()
    query, key = (torch.randn(2, size, 4, dtype=torch.float64) for size in (3, 5))
    joined, alone = (Attention(DotScore(4), window) for window in (AndWindow(predictive, predictive), predictive))
    assert joined.window.scales
    view, _ = predictive(query, torch.zeros(2, 3, dtype=torch.long), torch.tensor([5, 5]), 5)
    expected = alone(query, key, need_weights=True).weights * view.gain
    assert_close(joined(query, key, need_weights=True).weights, expected)
    with pytest.raises(ValueError, match="AndWindow multiplies the weights, but HardmaxNormalizer chooses one key"):
        Attention(DotScore(4), joined.window, HardmaxNormalizer())


@pytest.mark.messages
def test_windows_that_do_not_join_are_refused():
    for window, what in ((AlibiBias(0.5), "a bias"), (LocalPredictiveWindow(4), "a gain")):
        name = type(window).__name__
        message = f"{name} has {what}, which is not defined where another .* and that with {name} by AndWindow"
        with pytest.raises(ValueError, match=message):
            OrWindow(CausalWindow(), window)
        with pytest.raises(ValueError, match=f"AndWindow has {what}"):
            OrWindow(CausalWindow(), AndWindow(EverywhereWindow(), window))
        assert AndWindow(OrWindow(CausalWindow(), SinkWindow(1)), window)
    for join in (AndWindow, OrWindow):
        with pytest.raises(ValueError, match=r"no windows came; expected one or more\. .* use EverywhereWindow"):
            join()


def test_each_batch_item_has_a_prefix_of_its_own_and_padding_stays_hidden():
    lengths, prefixes = torch.tensor([5, 3]), torch.tensor([2, 4])
    positions = torch.arange(5).expand(2, 5)
    mask = prefix_mask(positions, 5, prefixes) & padding_mask(lengths, 5)
    for item in range(2):
        length, prefix = int(lengths[item]), int(prefixes[item])
        table = [[k < length and (k <= q or k < prefix) for k in range(5)] for q in range(5)]
        assert mask[item].tolist() == table
    assert seen(EverywhereWindow(), 5, 5, mask).equal(mask)


def test_packed_sequences_read_what_they_would_read_alone():
    """With a bias by distance, too, which needs no places that begin anew."""
    ids = torch.tensor([[0, 0, 0, 1, 1, -1, -1], [4, 7, 7, 7, 7, 7, -1]])
    steps = torch.randn(2, 7, 4, dtype=torch.float64)
    attention = Attention(DotScore(4), AndWindow(CausalWindow(), AlibiBias(0.5)))
    packed = attention(steps, steps, mask=document_mask(ids, ids)).context
    for item, start, stop in ((0, 0, 3), (0, 3, 5), (1, 0, 1), (1, 1, 6)):
        alone = steps[item : item + 1, start:stop]
        assert_close(packed[item : item + 1, start:stop], attention(alone, alone).context)
    assert not packed[ids == -1].any()
    fixed, whole, first = Attention(DotScore(4), DocumentWindow(ids[0].tolist())), Attention(DotScore(4)), steps[:1]
    assert_close(fixed(first, first).context, whole(first, first, mask=document_mask(ids, ids)[:1]).context)


@pytest.mark.messages
@pytest.mark.parametrize(("ids", "came"), [([], "are empty"), ([0, -2], "hold -2"), ([0.5], "hold 0.5")])
def test_ids_that_are_none_are_refused(ids, came):
    with pytest.raises(ValueError, match=rf"ids {came}; expected a whole number \(int\) for each place, -1 for"):
        DocumentWindow(ids)
