"""Normalisers whose weights depend on the queries before: each against its definition, its paths, long inputs."""

import itertools
from functools import partial

import pytest
import torch

from heedful._pytree import reorder
from heedful.attention import Attention, ForwardAttention, MonotonicAttention, StepwiseAttention
from heedful.attention.normalizers import (
    ChunkwiseNormalizer,
    ConstrainedSoftmaxNormalizer,
    ConstrainedSparsemaxNormalizer,
    ForwardNormalizer,
    ForwardTransitionNormalizer,
    IntraTemporalNormalizer,
    MonotonicNormalizer,
    Normalizer,
    StepwiseNormalizer,
)
from heedful.attention.normalizers.forward_transition import forward_transition_log_weights
from heedful.attention.scores import DotScore, LocationSensitiveScore, NormalizedAdditiveScore
from heedful.attention.windows import AttentionWindow
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS
from tests.attention.test_normalizers import STATEFUL
from tests.tolerances import assert_close


def monotonic(rows):
    """Raffel 2017 as it is defined: a double sum over the last stop and the keys passed since."""
    keys = rows.shape[1]
    last, out = [1.0] + [0.0] * (keys - 1), []
    for stop in torch.sigmoid(rows):
        ways = [[last[k] * torch.prod(1 - stop[k:j]) for k in range(j + 1)] for j in range(keys)]
        last = [stop[j] * sum(ways[j]) for j in range(keys)]
        out.append(torch.stack(last))
    return torch.stack(out)


def monotonic_recursive(rows):
    """The same by the recursion over keys."""
    last, out = [1.0] + [0.0] * (rows.shape[1] - 1), []
    for stop in torch.sigmoid(rows):
        arriving, now = 0.0, []
        for j, before in enumerate(last):
            arriving = (1 - stop[j - 1]) * arriving + before if j else torch.as_tensor(before)
            now.append(stop[j] * arriving)
        last = now
        out.append(torch.stack(now))
    return torch.stack(out)


def stepwise(rows, absorb=False):
    last, out = [1.0] + [0.0] * (rows.shape[1] - 1), []
    for stay in torch.sigmoid(rows):
        if absorb:
            stay = torch.cat((stay[:-1], torch.ones_like(stay[-1:])))
        last = [last[j] * stay[j] + (last[j - 1] * (1 - stay[j - 1]) if j else 0.0) for j in range(len(last))]
        out.append(torch.stack([torch.as_tensor(each, dtype=rows.dtype) for each in last]))
    return torch.stack(out)


def forward(rows):
    last, out = torch.tensor([1.0] + [0.0] * (rows.shape[1] - 1), dtype=rows.dtype), []
    for row in rows:
        share = row.exp() / row.exp().sum()
        now = [(last[n] + (last[n - 1] if n else 0.0)) * share[n] for n in range(len(row))]
        last = torch.stack(now) / sum(now)
        out.append(last)
    return torch.stack(out)


def intra_temporal(rows):
    out = []
    for index, row in enumerate(rows):
        share = row.exp() / rows[:index].exp().sum(0) if index else row.exp()
        out.append(share / share.sum())
    return torch.stack(out)


def constrained_softmax(rows, fertility=0.9):
    """By the paper's rounds: whoever exceeds its budget gets just that, and the others share the rest."""
    budget, out = torch.full_like(rows[0], fertility), []
    for row in rows:
        full = torch.zeros_like(row, dtype=torch.bool)
        for _ in range(len(row) + 1):
            powers = torch.where(full, 0.0, row.exp())
            left = 1 - budget[full].sum()
            weights = torch.where(full, budget, powers * left / powers.sum().clamp_min(1e-300))
            full = full | (weights > budget)
        budget = budget - weights
        out.append(weights)
    return torch.stack(out)


def constrained_sparsemax(rows, fertility=0.9):
    """By trying every split of the keys into those at 0, those at their budget and those between."""
    budget, out = torch.full_like(rows[0], fertility), []
    for row in rows:
        found = budget
        for split in itertools.product((0, 1, 2), repeat=len(row)):
            full, some = torch.tensor(split) == 1, torch.tensor(split) == 2
            if not some.any():
                continue
            tau = (row[some].sum() + budget[full].sum() - 1) / some.sum()
            weights = torch.where(full, budget, torch.where(some, row - tau, 0.0))
            if torch.allclose(weights, (row - tau).clamp_min(0).minimum(budget), rtol=0, atol=1e-13):
                found = weights
                break
        budget = budget - found
        out.append(found)
    return torch.stack(out)


def second(scores):
    """A second score of each key, made of the first one and the place of the key."""
    return 0.5 * scores + torch.cos(torch.arange(scores.shape[-1])).to(scores.dtype)


class Twice(Normalizer):
    """A normaliser of two scores of each key, the second one made of the first, so that it is tried with the others."""

    stateful = True

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, scores, mask, state=None):
        return self.inner(torch.cat((scores, second(scores)), 1), mask, state)


def chunkwise(rows, width):
    """Chiu and Raffel 2018, equation 18: a double sum over the stops from a key on and the keys of their chunks."""
    out = []
    for stops, energy in zip(monotonic(rows), second(rows), strict=True):
        now = []
        for j in range(len(stops)):
            chunks = {k: energy[max(0, k - width + 1) : k + 1] for k in range(j, min(j + width, len(stops)))}
            now.append(sum(stops[k] * energy[j].exp() / chunk.exp().sum() for k, chunk in chunks.items()))
        out.append(torch.stack(now))
    return torch.stack(out)


def forward_transition(rows):
    """Zhang 2018, algorithm 2."""
    last, out = torch.tensor([1.0] + [0.0] * (rows.shape[1] - 1), dtype=rows.dtype), []
    for row, odds in zip(rows, second(rows), strict=True):
        share, move = row.exp() / row.exp().sum(), 1 / (1 + torch.exp(-odds))
        now = [((1 - move[n]) * last[n] + (move[n] * last[n - 1] if n else 0.0)) * share[n] for n in range(len(row))]
        last = torch.stack(now) / sum(now)
        out.append(last)
    return torch.stack(out)


# how it is built, its weights for the visible scores of all queries in order
ROWS = {
    "monotonic": (lambda: MonotonicNormalizer(noise=0.0), monotonic),
    "monotonic, classic": (lambda: MonotonicNormalizer(noise=0.0, method="classic"), monotonic),
    "monotonic, recursive": (lambda: MonotonicNormalizer(hard=False).eval(), monotonic_recursive),
    "stepwise": (lambda: StepwiseNormalizer(noise=0.0), stepwise),
    "stepwise, absorb": (lambda: StepwiseNormalizer(noise=0.0, absorb=True), lambda rows: stepwise(rows, absorb=True)),
    "forward": (ForwardNormalizer, forward),
    "intra-temporal": (IntraTemporalNormalizer, intra_temporal),
    "forward, transition": (lambda: Twice(ForwardTransitionNormalizer()), forward_transition),
    "chunkwise": (lambda: Twice(ChunkwiseNormalizer(3, noise=0.0)), lambda rows: chunkwise(rows, 3)),
    "lookback": (lambda: Twice(ChunkwiseNormalizer(None, noise=0.0)), lambda rows: chunkwise(rows, 99)),
    "constrained softmax": (lambda: ConstrainedSoftmaxNormalizer(0.9), constrained_softmax),
    "constrained sparsemax": (lambda: ConstrainedSparsemaxNormalizer(0.9), constrained_sparsemax),
}
HARD = {
    "monotonic, hard": lambda: MonotonicNormalizer().eval(),
    "monotonic, lost": lambda: MonotonicNormalizer(lost=True).eval(),
    "stepwise, hard": lambda: StepwiseNormalizer().eval(),
    "chunkwise, hard": lambda: Twice(ChunkwiseNormalizer(2).eval()),
    "lookback, hard": lambda: Twice(ChunkwiseNormalizer(None).eval()),
}
BUILDERS = {name: build for name, (build, _) in ROWS.items()} | HARD
each_row = pytest.mark.parametrize(("build", "weigh"), ROWS.values(), ids=ROWS)
each_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


def run(normalizer, scores, mask=None, state=None):
    """Weights of all queries, and the state after them."""
    rows = []
    for query in range(scores.shape[1]):
        row = mask if mask is None or mask.shape[1] == 1 else mask[:, query : query + 1]
        weights, state = normalizer(scores[:, query : query + 1], row, state)
        rows.append(weights)
    return torch.cat(rows, 1), state


def test_every_stateful_normalizer_has_a_row():
    assert {type(getattr(build(), "inner", build())).__name__ for build in BUILDERS.values()} == STATEFUL
    assert all(build().stateful for build in BUILDERS.values())


@each_row
def test_weights_and_gradients_are_those_of_the_definition(build, weigh):
    scores = torch.randn(BATCH, 4, KEYS, dtype=torch.float64, requires_grad=True)
    lengths = [KEYS, 3]
    mask = torch.arange(KEYS) < torch.tensor(lengths)[:, None, None]
    weights, _ = run(build(), scores, mask)
    direction = torch.randn(BATCH, 4, KEYS, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weights * direction).sum(), scores)
    for item, length in enumerate(lengths):
        expected = weigh(scores[item, :, :length])
        assert_close(weights[item, :, :length], expected)
        assert not weights[item, :, length:].any()
        (theirs,) = torch.autograd.grad((expected * direction[item, :, :length]).sum(), scores)
        assert_close(gradient[item], theirs[item])


# the others step onto a hidden key as onto any other, and find nothing there
@pytest.mark.parametrize(("build", "weigh"), [ROWS["monotonic"], ROWS["intra-temporal"]])
def test_a_key_hidden_amid_the_others_is_as_if_it_were_not_there(build, weigh):
    scores = torch.randn(1, 4, KEYS, dtype=torch.float64)
    mask = torch.tensor([[[False, True, False, True, True]]])
    weights, _ = run(build(), scores, mask)
    assert_close(weights[0][:, mask[0, 0]], weigh(scores[0][:, mask[0, 0]]))
    assert not weights[0][:, ~mask[0, 0]].any()


@each_row
def test_gradients_reach_the_state(build, weigh):
    normalizer = build()
    scores = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda scores: run(normalizer, scores)[0], scores)


@pytest.mark.parametrize("absorb", [False, True])
def test_stepwise_is_the_sum_over_all_paths(absorb):
    """Three queries over four keys: every sequence of stay and go with its chance."""
    scores = torch.randn(1, 3, 4, dtype=torch.float64)
    stay = torch.sigmoid(scores[0])
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for query in range(3):
        for path in itertools.product((0, 1), repeat=query + 1):
            place, chance = 0, 1.0
            for step, go in enumerate(path):
                held = absorb and place == 3
                chance = chance * ((0.0 if go else 1.0) if held else 1 - stay[step, place] if go else stay[step, place])
                place += go
            expected[query, place] += chance
    assert_close(run(StepwiseNormalizer(noise=0.0, absorb=absorb), scores)[0][0], expected)


def test_monotonic_is_the_sum_over_all_paths():
    """Three queries over four keys: every non-decreasing sequence of stops with its chance."""
    scores = torch.randn(1, 3, 4, dtype=torch.float64)
    stop = torch.sigmoid(scores[0])
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for query in range(3):
        for path in itertools.combinations_with_replacement(range(4), query + 1):
            chance = torch.tensor(1.0, dtype=torch.float64)
            for step, (start, place) in enumerate(itertools.pairwise((0, *path))):
                chance = chance * torch.prod(1 - stop[step, start:place]) * stop[step, place]
            expected[query, path[-1]] += chance
    assert_close(run(MonotonicNormalizer(noise=0.0), scores)[0][0], expected)


def test_forward_is_the_share_of_all_paths_and_reaches_one_key_more_each_time():
    scores = torch.randn(1, 3, 6, dtype=torch.float64)
    weights = run(ForwardNormalizer(), scores)[0][0]
    share = torch.softmax(scores[0], -1)
    for query in range(3):
        expected = torch.zeros(6, dtype=torch.float64)
        for path in itertools.product((0, 1), repeat=query + 1):
            places = list(itertools.accumulate(path))
            expected[places[-1]] += torch.stack([share[step, place] for step, place in enumerate(places)]).prod()
        assert_close(weights[query], expected / expected.sum())
        assert weights[query].gt(0).tolist() == [True] * (query + 2) + [False] * (4 - query)


def test_equal_scores_at_every_query_are_uniform_from_the_second_on():
    scores = torch.randn(1, 1, KEYS, dtype=torch.float64).expand(1, 4, KEYS)
    weights, _ = run(IntraTemporalNormalizer(), scores)
    assert_close(weights[:, 0], torch.softmax(scores[:, 0], -1))
    assert_close(weights[:, 1:], torch.full((1, 3, KEYS), 1 / KEYS, dtype=torch.float64))


@pytest.mark.parametrize(
    ("soft", "hard"),
    [
        (lambda: MonotonicNormalizer(noise=0.0), lambda: MonotonicNormalizer(lost=True).eval()),
        (lambda: StepwiseNormalizer(noise=0.0, absorb=True), lambda: StepwiseNormalizer(absorb=True).eval()),
    ],
    ids=["monotonic", "stepwise"],
)
def test_where_nothing_is_left_to_chance_the_expectation_is_the_choice(soft, hard):
    for size in (1e3, 1e30, torch.finfo(torch.float32).max):
        scores = torch.where(torch.rand(8, 6, 7) < 0.4, size, -size)
        mask = torch.arange(7) < torch.randint(1, 8, (8, 1, 1))
        expected, actual = run(soft(), scores, mask)[0], run(hard(), scores, mask)[0]
        assert actual.equal(expected)
        assert actual.any()


def test_stays_and_moves():
    scores = torch.full((1, 3, 4), 1e3)
    assert run(StepwiseNormalizer(noise=0.0), scores)[0][0].argmax(-1).tolist() == [0, 0, 0]
    assert run(StepwiseNormalizer(noise=0.0), -scores)[0][0].argmax(-1).tolist() == [1, 2, 3]
    gone = run(StepwiseNormalizer(noise=0.0), -scores.expand(1, 3, 4)[..., :2])[0]
    kept = run(StepwiseNormalizer(noise=0.0, absorb=True), -scores[..., :2])[0]
    assert gone.sum(-1).tolist() == [[1, 0, 0]]
    assert kept.sum(-1).tolist() == [[1, 1, 1]]


def test_the_last_key_is_the_last_visible_one():
    mask = torch.tensor([[[True, True, False, False]]])
    for normalizer in (StepwiseNormalizer(noise=0.0, absorb=True), StepwiseNormalizer().eval()):
        weights, _ = run(normalizer, torch.full((1, 3, 4), -1e3), mask)
        assert weights[0].tolist() == [[0, 1, 0, 0]] * 3


def test_after_a_query_without_a_stop_the_next_begins_where_it_began():
    scores = torch.tensor([[[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [-1.0, -1.0, 0.0]]])
    found, place = run(MonotonicNormalizer().eval(), scores)
    assert found[0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert place.tolist() == [2]
    lost, place = run(MonotonicNormalizer(lost=True).eval(), scores)
    assert lost[0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert place.tolist() == [3]


@each_builder
def test_a_row_that_sees_nothing_is_zero_and_leaves_no_trace(build):
    scores = torch.randn(BATCH, 4, KEYS, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(BATCH, 4, KEYS, dtype=torch.bool)
    mask[0, 2] = False
    mask[1] = False
    weights, _ = run(build(), scores, mask)
    without, _ = run(build(), scores[:1, [0, 1, 3]])
    assert not weights[0, 2].any()
    assert not weights[1].any()
    assert_close(weights[:1, [0, 1, 3]], without)
    if weights.requires_grad:
        (gradient,) = torch.autograd.grad((weights * torch.randn_like(weights)).sum(), scores)
        assert gradient.isfinite().all()
        assert not gradient[1].any()
        assert not gradient[0, 2].any()


@each_builder
def test_hidden_scores_may_hold_anything(build):
    scores = torch.randn(BATCH, 4, KEYS, dtype=torch.float64)
    mask = torch.arange(KEYS) < torch.tensor([[[3]], [[5]]])
    expected = run(build(), scores, mask)
    for anything in (torch.nan, torch.inf, -torch.inf, 1e30):
        spoilt = scores.masked_fill(~mask, anything).requires_grad_()
        actual = run(build(), spoilt, mask)
        assert actual[0].equal(expected[0])
        assert actual[1].equal(expected[1])
        if actual[0].requires_grad:
            (gradient,) = torch.autograd.grad(actual[0].square().sum(), spoilt)
            assert gradient.isfinite().all()
            assert not gradient[~mask.expand_as(gradient)].any()
    by_score = run(build(), scores.masked_fill(~mask, -torch.inf))
    assert by_score[0].equal(expected[0])


@each_builder
def test_one_call_equals_step_by_step_and_hypotheses_change_places(build):
    attention = Attention(DotScore(4), normalizer=build())
    query, key, value = draw(attention)
    mask = some_mask().any(1, keepdim=True)
    whole = attention(query, key, value, mask, need_weights=True)
    memory, state, rows = attention.remember(key, value, mask), None, []
    for index in range(query.shape[1]):
        output, state = attention.step(query[:, index : index + 1], memory, state, need_weights=True)
        rows.append(weights_of(output))
    assert_close(torch.cat(rows, 1), weights_of(whole))

    order = torch.tensor([1, 1, 0])
    _, state = attention.look(query[:, :2], memory)
    stayed, after = attention.step(query[:, 2:], memory, state)
    moved, moved_after = attention.step(query[order, 2:], reorder(memory, order), reorder(state, order))
    assert_close(moved.context, reorder(stayed.context, order))
    assert moved_after.normalizer.equal(reorder(after.normalizer, order))


@each_builder
def test_padding_further_and_growing_memories_change_nothing(build):
    scores = torch.randn(BATCH, 3, KEYS, dtype=torch.float64)
    expected, state = run(build(), scores)
    further = torch.cat((scores, torch.randn(BATCH, 3, 2, dtype=torch.float64)), -1)
    mask = (torch.arange(KEYS + 2) < KEYS).expand(1, 1, -1)
    padded, padded_state = run(build(), further, mask)
    assert_close(padded[..., :KEYS], expected)
    now = torch.randn(BATCH, 1, KEYS + 2, dtype=torch.float64)
    grown, _ = build()(now, None, state)
    assert_close(grown, build()(now, None, padded_state)[0])


@each_builder
@pytest.mark.parametrize("shape", [(0, 1, 5), (2, 1, 0), (2, 1, 1)], ids=str)
def test_degenerate_sizes(build, shape):
    weights, state = build()(torch.ones(shape), None)
    assert weights.shape == shape
    assert build()(torch.ones(shape), None, state)[0].isfinite().all()


def long_weights(name, rows):
    """The recursions in float64, over keys in plain numbers or over queries in whole rows."""
    last, past, out = torch.zeros(rows.shape[1], dtype=torch.float64), torch.zeros(rows.shape[1]).double(), []
    last[0] = 1
    logs = last.log()
    for row in rows.double():
        shifted, stay = torch.cat((last.new_zeros(1), last[:-1])), torch.sigmoid(row)
        if name.startswith("monotonic"):
            arriving, now = 0.0, []
            for before, stop, go in zip(last.tolist(), stay.tolist(), torch.sigmoid(-row).tolist(), strict=True):
                now.append(stop * (arriving + before))
                arriving = go * (arriving + before)
            last = torch.tensor(now, dtype=torch.float64)
        elif name.startswith("stepwise"):
            go = torch.sigmoid(-row)
            if name == "stepwise, absorb":
                stay[-1] = 1
            last = last * stay + torch.cat((last.new_zeros(1), (last * go)[:-1]))
        elif name == "forward":
            now = (last + shifted) * torch.softmax(row, 0)
            last = now / now.sum()
        elif name == "forward, transition":
            # in logarithms: chances of e^-100, 200 times, are no numbers of float64 any more
            odds, beside = second(row), torch.cat((logs.new_full((1,), -torch.inf), logs[:-1]))
            stay, move = torch.nn.functional.logsigmoid(-odds), torch.nn.functional.logsigmoid(odds)
            logs = torch.log_softmax(torch.logaddexp(logs + stay, beside + move) + row, 0)
            last = logs.exp()
        else:
            share = row.exp() / past if past.any() else row.exp()
            past, last = past + row.exp(), share / share.sum()
        out.append(last)
    return torch.stack(out)


# the two of chunks add one softmax to the monotonic ones: tests/attention/test_chunkwise.py
@pytest.mark.parametrize(
    "name", [name for name in ROWS if not name.startswith(("constrained", "chunk", "look", "monotonic, classic"))]
)
@pytest.mark.parametrize(("spread", "error"), [(1.0, 1e-5), (30.0, 1e-3)])
def test_long_memories_and_targets_in_float32(name, spread, error):
    """2,000 keys, 200 queries; scores of 100 carry a rounding of 1e-5 into each exponent, 200 times."""
    scores = (torch.randn(1, 200, 2000) * spread - (4 if name.startswith("monotonic") else 0)).requires_grad_()
    weights, _ = run(ROWS[name][0](), scores)
    assert (weights[0].double() - long_weights(name, scores.detach()[0])).abs().max() < error
    assert (weights.sum(-1) <= 1 + 1e-4).all()
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_two_thousand_keys_are_passed_without_losing_digits(chance):
    """One query against the recursion in float64, where cumulative products vanish and logarithms lose digits."""
    energy = torch.logit(torch.full((2000,), chance, dtype=torch.float64)) + torch.randn(2000, dtype=torch.float64)
    previous = torch.rand(2000, dtype=torch.float64) / 2000
    arriving, expected = torch.zeros(()).double(), []
    for key in range(2000):
        arriving = (arriving * (1 - torch.sigmoid(energy[key - 1])) if key else 0) + previous[key]
        expected.append(torch.sigmoid(energy[key]) * arriving)
    expected = torch.stack(expected)
    normalizer = MonotonicNormalizer(noise=0.0)
    for dtype, digits in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
        weights, _ = normalizer(energy.to(dtype).view(1, 1, -1), None, previous.to(dtype).unsqueeze(0))
        assert ((weights[0, 0].double() - expected) / expected).abs().max() < digits


def test_the_papers_division_is_the_same_in_short_memories_and_loses_all_weight_in_longer_ones():
    """Raffel 2017, equation 14, with the products held at 1e-10 as in tensorflow's code."""
    for keys, agrees in ((30, True), (200, False)):
        stop, previous = torch.full((keys,), 0.5, dtype=torch.float64), torch.rand(keys, dtype=torch.float64) / keys
        products = torch.cat((torch.ones(1, dtype=torch.float64), (1 - stop[:-1]).cumprod(0)))
        divided = stop * products * (previous / products.clamp(1e-10, 1)).cumsum(0)
        energy, state = torch.zeros(1, 1, keys).double(), previous.unsqueeze(0)
        weights, _ = MonotonicNormalizer(noise=0.0)(energy, None, state)
        error = ((divided - weights[0, 0]) / weights[0, 0]).abs().max()
        assert error < 1e-9 if agrees else error > 0.99
        assert_close(MonotonicNormalizer(noise=0.0, method="classic")(energy, None, state)[0][0, 0], divided)


@pytest.mark.parametrize("kind", [MonotonicNormalizer, StepwiseNormalizer])
def test_noise_is_for_training_alone(kind):
    scores = torch.zeros(1, 1, 50, dtype=torch.float64)
    for normalizer in (kind(), kind(hard=False)):
        assert not normalizer(scores, None)[0].equal(normalizer(scores, None)[0])
        normalizer.eval()
        assert normalizer(scores, None)[0].equal(normalizer(scores, None)[0])
    torch.manual_seed(1)
    first = kind()(scores, None)[0]
    torch.manual_seed(1)
    assert kind()(scores, None)[0].equal(first)
    with pytest.raises(ValueError, match=r"noise is -1.0; expected a standard deviation from 0 \(no noise\) up\."):
        kind(noise=-1.0)


@pytest.mark.parametrize(
    ("build", "deviation"),
    [
        (MonotonicNormalizer, 1.0),
        (lambda: ChunkwiseNormalizer(1), 1.0),
        (StepwiseNormalizer, 2.0),
        (lambda: StepwiseNormalizer(0.3), 0.3),
    ],
)
def test_the_noise_is_normal_and_as_wide_as_in_the_papers(build, deviation):
    """The first weight of the first query is the chance to stop, or to stay, there."""
    normalizer = build()
    weights, _ = normalizer(torch.zeros(20_000, normalizer.energies, 5, dtype=torch.float64), None)
    noise = torch.logit(weights[:, 0, 0])
    assert noise.std().item() == pytest.approx(deviation, rel=0.03)
    assert abs(noise.mean().item()) < 0.03 * deviation
    assert (noise.abs() < deviation).double().mean().item() == pytest.approx(0.6827, abs=0.02)


@each_builder
def test_scores_and_state_stay_as_they_were(build):
    normalizer, scores = build(), torch.randn(BATCH, 1, KEYS, dtype=torch.float64)
    _, state = normalizer(scores, None)
    kept, before = scores.clone(), state.clone()
    normalizer(scores, None, state)
    assert scores.equal(kept)
    assert state.equal(before)


def test_a_score_of_zero_stops_and_stays():
    """p >= 0.5 stops (Raffel 2017), and stays (He 2019)."""
    scores = torch.zeros(1, 3, 4)
    for kind in (MonotonicNormalizer, StepwiseNormalizer):
        assert run(kind().eval(), scores)[0][0].argmax(-1).tolist() == [0, 0, 0]
        assert run(kind().eval(), scores - 1e-6)[0][0].argmax(-1).tolist() == (
            [0, 0, 0] if kind is MonotonicNormalizer else [1, 2, 3]
        )


@pytest.mark.parametrize(
    "build", [ForwardNormalizer, lambda: Twice(ForwardTransitionNormalizer())], ids=["forward", "transition"]
)
def test_where_all_that_can_be_reached_is_hidden_the_row_is_empty_and_the_state_stays(build):
    scores = torch.randn(1, 3, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[[True] * 5, [False, False, False, True, True], [True] * 5]])
    weights, _ = run(build(), scores, mask)
    without, _ = run(build(), scores[:, [0, 2]])
    assert not weights[0, 1].any()
    assert_close(weights[:, [0, 2]], without)
    (slope,) = torch.autograd.grad((weights * torch.arange(5)).sum(), scores)
    assert slope.isfinite().all()
    assert not slope[0, 1].any()


def test_a_step_onto_a_hidden_key_finds_nothing_there():
    mask = torch.tensor([[[True, False, True]]])
    for normalizer in (StepwiseNormalizer(noise=0.0), StepwiseNormalizer().eval()):
        weights, _ = run(normalizer, torch.tensor([[[1e3, 0.0, 0.0], [-1e3, 0.0, 0.0]]]), mask)
        assert weights[0].tolist() == [[1, 0, 0], [0, 0, 0]]


def test_a_key_that_was_hidden_so_far_counts_as_in_the_first_row():
    scores = torch.randn(1, 3, KEYS, dtype=torch.float64)
    mask = torch.tensor([[[True, True, False, False, True], [True, False, False, True, True], [True] * 5]])
    weights, past = run(IntraTemporalNormalizer(), scores, mask)
    powers = scores[0].exp()
    for query in range(3):
        before = (powers[:query] * mask[0, :query]).sum(0)
        share = torch.where(before > 0, powers[query] / before, powers[query]) * mask[0, query]
        assert_close(weights[0, query], share / share.sum())
    assert_close(past.exp()[0], (powers * mask[0]).sum(0))


@pytest.mark.parametrize("absorb", [False, True])
def test_what_leaves_the_memory_is_what_the_last_key_sends_on(absorb):
    scores = torch.randn(BATCH, 6, KEYS, dtype=torch.float64)
    totals = run(StepwiseNormalizer(noise=0.0, absorb=absorb), scores)[0].sum(-1)
    last = run(StepwiseNormalizer(noise=0.0, absorb=absorb), scores)[0][:, :-1, -1]
    gone = torch.zeros_like(last) if absorb else last * torch.sigmoid(-scores[:, 1:, -1])
    assert_close(totals[:, 1:], totals[:, :-1] - gone)
    assert absorb or (totals[:, -1] < 1).all()


def test_at_inference_a_window_keeps_forward_attention_near_its_best_key():
    """The mask of coqui: from one key before the best one to two after it."""
    attention = Attention(DotScore(4), AttentionWindow(1, 2, "largest"), ForwardNormalizer()).double()
    plain = Attention(DotScore(4), normalizer=ForwardNormalizer()).double()
    query, key, value = draw(attention, queries=6, keys=9)
    assert attention(query, key, value).context.equal(plain(query, key, value).context)
    scores, weights = query @ key.mT, weights_of(attention.eval()(query, key, value, need_weights=True))
    for item in range(BATCH):
        last, best = torch.eye(9, dtype=torch.float64)[0], 0
        for place in range(6):
            near = (torch.arange(9) >= best - 1) & (torch.arange(9) <= best + 2)
            now = (last + torch.cat((last.new_zeros(1), last[:-1]))) * scores[item, place].exp() * near
            last = now / now.sum()
            best = int(last.argmax())
            assert_close(weights[item, place], last)


def test_an_offset_is_added_to_every_score_and_learned():
    plain, shifted = NormalizedAdditiveScore(4, 6, 11), NormalizedAdditiveScore(4, 6, 11, offset=-4.0)
    assert set(shifted.state_dict()) - set(plain.state_dict()) == {"offset"}
    shifted.load_state_dict(plain.state_dict(), strict=False)
    query, key = torch.randn(BATCH, 3, 4), torch.randn(BATCH, KEYS, 6)
    scores, _ = shifted(query, shifted.remember(key))
    assert_close(scores, plain(query, plain.remember(key))[0] - 4)
    scores.sum().backward()
    assert_close(shifted.offset.grad, torch.tensor(BATCH * 3 * KEYS * 1.0))


@pytest.mark.parametrize(
    ("build", "normalizer", "offset"),
    [
        (MonotonicAttention, MonotonicNormalizer, -1.0),
        (StepwiseAttention, StepwiseNormalizer, 0.0),
        (partial(StepwiseAttention, absorb=True), lambda: StepwiseNormalizer(absorb=True), 0.0),
        (ForwardAttention, ForwardNormalizer, None),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_a_named_mechanism_is_its_parts(build, normalizer, offset, training):
    named = build(4, 6, 11).train(training)
    score = LocationSensitiveScore(4, 6, 11) if offset is None else NormalizedAdditiveScore(4, 6, 11, offset)
    by_hand = Attention(score, normalizer=normalizer()).train(training)
    assert getattr(named.score, "offset", None) == offset
    by_hand.load_state_dict(named.state_dict())
    arguments, mask = draw(named, dtype=torch.float32), some_mask()
    outputs = []
    for attention in (named, by_hand):
        torch.manual_seed(0)
        outputs.append(attention(*arguments, mask, need_weights=True))
    assert outputs[0].context.equal(outputs[1].context)
    assert weights_of(outputs[0]).equal(weights_of(outputs[1]))


@pytest.mark.parametrize("build", [MonotonicAttention, StepwiseAttention])
def test_every_parameter_learns(build):
    attention = build(4, 6, 11, noise=0.0).double()
    query, key, value = draw(attention)
    for gradient in gradients(attention(query, key, value).context, *attention.parameters()):
        assert gradient.isfinite().all()
        assert gradient.any()


# chunkwise and lookback are compiled as named attentions, in test_chunkwise.py; graphs take seconds
@pytest.mark.compile
@pytest.mark.parametrize(
    "name", [name for name in BUILDERS if not name.startswith(("chunkwise", "lookback", "stepwise,"))]
)
def test_compiled_in_one_graph(name):
    build = BUILDERS[name]
    attention = Attention(DotScore(4), normalizer=build()).double()
    arguments, mask = draw(attention), some_mask()
    expected = attention(*arguments, mask, need_weights=True)
    actual = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments, mask, need_weights=True)
    assert_close(weights_of(actual), weights_of(expected))
    for one, other in zip(gradients(actual.context, *arguments), gradients(expected.context, *arguments), strict=True):
        assert_close(one, other)


def test_from_nowhere_no_way_leads_on():
    scores, visible = torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool)
    assert forward_transition_log_weights(scores, scores, visible, torch.full((1, 3), -torch.inf)).isneginf().all()
