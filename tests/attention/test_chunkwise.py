"""Two scores of each key: monotonic chunkwise attention and the transition agent; hard decoding in linear time."""

import itertools

import pytest
import torch

from heedful.attention import (
    Attention,
    ForwardTransitionAttention,
    MilkAttention,
    MochaAttention,
    MonotonicAttention,
    StepwiseAttention,
    base,
)
from heedful.attention.normalizers import (
    ChunkwiseNormalizer,
    ForwardNormalizer,
    ForwardTransitionNormalizer,
    MonotonicNormalizer,
    SoftmaxNormalizer,
    StepwiseNormalizer,
)
from heedful.attention.normalizers.chunkwise import chunk_weights, lookback_weights
from heedful.attention.scores import (
    CoverageScore,
    DotScore,
    GeneralScore,
    LocationSensitiveScore,
    NormalizedAdditiveScore,
    PairedScore,
    TransitionScore,
)
from heedful.attention.state import reorder
from heedful.attention.windows import SlidingWindow
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.attention.test_compiled import Stepper
from tests.attention.test_monotonic import run
from tests.tolerances import assert_close

NAMED = {
    "mocha": lambda: MochaAttention(4, 6, 11, width=3, noise=0.0),
    "milk": lambda: MilkAttention(4, 6, 11, noise=0.0),
    "transition": lambda: ForwardTransitionAttention(4, 6, 11, 2, 3),
}
each_named = pytest.mark.parametrize("name", NAMED)


def build(name, training=True):
    attention = NAMED[name]().double().train(training)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention


def normed(p, name, query, key):
    """Salimans 2016: g v / |v| . tanh(W q + U k + b), + r."""
    inner = torch.tanh(
        p[f"{name}.additive.query_proj"] @ query + p[f"{name}.additive.key_proj"] @ key + p[f"{name}.additive.bias"]
    )
    energy = p[f"{name}.additive.energy"]
    return p[f"{name}.gain"] * (energy / (energy**2).sum().sqrt()) @ inner + p.get(f"{name}.offset", 0.0)


def mocha_by_hand(p, query, key, value, width):
    """Chiu and Raffel 2018, equations 8, 16 to 18, one batch item: contexts and weights of all queries."""
    keys = len(key)
    last, all_weights = [1.0] + [0.0] * (keys - 1), []
    for one in query:
        stop = [torch.sigmoid(normed(p, "first", one, other)) for other in key]
        power = [normed(p, "second", one, other).exp() for other in key]
        arriving, stops = 0.0, []
        for j in range(keys):
            arriving = (1 - stop[j - 1]) * arriving + last[j] if j else last[0]
            stops.append(stop[j] * arriving)
        weights = [torch.zeros((), dtype=torch.float64) for _ in key]
        for k in range(keys):
            chunk = range(max(0, k - width + 1), k + 1)
            for j in chunk:
                weights[j] = weights[j] + stops[k] * power[j] / sum(power[each] for each in chunk)
        last = stops
        all_weights.append(torch.stack(weights))
    return torch.stack(all_weights) @ value, torch.stack(all_weights)


def transition_by_hand(p, query, key, value, width=None):
    """Zhang 2018, algorithm 2, one batch item, over a location-sensitive score; the value is the key."""
    keys, chance = len(key), 0.5
    last, before, all_weights = torch.eye(keys, dtype=torch.float64)[0], torch.zeros(keys, dtype=torch.float64), []
    convolve, agent = p["score.location_conv"], p["agent"][0]
    for one in query:
        scores = []
        for place, other in enumerate(key):
            near = [before[place + tap] if 0 <= place + tap < keys else before[0] * 0 for tap in (-1, 0, 1)]
            location = p["score.location_proj"] @ (convolve[:, 0] @ torch.stack(near))
            inner = p["score.additive.query_proj"] @ one + p["score.additive.key_proj"] @ other + location
            scores.append(p["score.additive.energy"] @ torch.tanh(inner + p["score.additive.bias"]))
        shifted = torch.cat((last.new_zeros(1), last[:-1]))
        weights = ((1 - chance) * last + chance * shifted) * torch.softmax(torch.stack(scores), 0)
        last = before = weights / weights.sum()
        chance = torch.sigmoid(agent[: key.shape[1]] @ (last @ key) + agent[key.shape[1] :] @ one + p["bias"][0])
        all_weights.append(last)
    return torch.stack(all_weights) @ value, torch.stack(all_weights)


@each_named
def test_context_weights_and_gradients_are_those_of_the_papers(name):
    attention = build(name)
    query, key, value = draw(attention)
    p = dict(attention.score.named_parameters())
    by_hand = transition_by_hand if name == "transition" else mocha_by_hand
    width = 3 if name == "mocha" else 99
    lengths = (KEYS, 3)
    mask = torch.arange(KEYS) < torch.tensor(lengths).view(-1, 1, 1)
    output = attention(query, key, value, mask, need_weights=True)
    assert attention(query, key, value, mask).context.equal(output.context)
    found = [by_hand(p, query[i], key[i, :n], value[i, :n], width) for i, n in enumerate(lengths)]
    context = torch.stack([each[0] for each in found])
    assert_close(output.context, context)
    for item, (length, each) in enumerate(zip(lengths, found, strict=True)):
        assert_close(weights_of(output)[item, :, :length], each[1])
        assert not weights_of(output)[item, :, length:].any()
    leaves = (query, key, value, *attention.parameters())
    for ours, theirs in zip(gradients(output.context, *leaves), gradients(context, *leaves), strict=True):
        assert_close(ours, theirs)


@each_named
@pytest.mark.parametrize("training", [True, False])
def test_steps_are_one_call_and_hypotheses_change_places(name, training):
    attention = build(name, training)
    query, key, value = draw(attention)
    mask, order = some_mask().any(1, keepdim=True), torch.tensor([1, 0])
    whole = attention(query, key, value, mask)
    memory, state = attention.remember(key, value, mask), None
    for index in range(QUERIES):
        # before each step but the first, the two items change places
        swapped = index % 2 == 1
        asked = (query.flip(0) if swapped else query)[:, index : index + 1]
        output, state = attention.step(asked, memory, state)
        context = whole.context[:, index : index + 1]
        assert_close(output.context, context.flip(0) if swapped else context)
        memory, state = reorder(memory, order), reorder(state, order)


@each_named
@pytest.mark.parametrize("training", [True, False])
def test_hidden_keys_and_empty_items_have_no_part_in_anything(name, training):
    attention = build(name, training)
    query, key, value = draw(attention)
    visible = torch.tensor([[True, True, False, True, True], [False] * 5])
    expected = attention(query, key, value, visible.unsqueeze(1)).context
    slopes = gradients(expected, query, key, value)
    for anything in (torch.nan, torch.inf, 1e30):
        with torch.no_grad():
            key[~visible], value[~visible] = anything, anything
        actual = attention(query, key, value, visible.unsqueeze(1)).context
        assert actual.equal(expected)
        assert not actual[1].any()
        for ours, theirs in zip(gradients(actual, query, key, value), slopes, strict=True):
            assert ours.equal(theirs)
            assert ours.isfinite().all()


@each_named
def test_a_growing_memory_is_attention_to_the_keys_so_far(name):
    attention = build(name)
    query, key, value = draw(attention, queries=KEYS)
    causal = torch.ones(1, KEYS, KEYS, dtype=torch.bool).tril()
    expected = attention(query, key, value, causal)
    memory, state, contexts = attention.remember(key[:, :0], value[:, :0]), None, []
    for place in range(KEYS):
        now = slice(place, place + 1)
        memory = attention.extend(memory, key[:, now], value[:, now])
        output, state = attention.step(query[:, now], memory, state)
        contexts.append(output.context)
    assert_close(torch.cat(contexts, 1), expected.context)


@each_named
@pytest.mark.parametrize("training", [True, False])
def test_sizes_of_nothing_less_precision_and_huge_scores(name, training):
    attention = build(name, training)
    for sizes in ((0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 3, 1)):
        arguments = draw(attention, *sizes)
        output = attention(*arguments, need_weights=True)
        assert output.context.shape == (sizes[0], sizes[1], 7)
        assert weights_of(output).shape == sizes
        assert all(each.isfinite().all() for each in gradients(output.context, *arguments))
    arguments, mask = draw(attention), some_mask()
    for size in (1.0, 300.0):
        big = (arguments[0] * size, arguments[1] * size, arguments[2])
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            less = build(name, training).to(dtype)
            less.load_state_dict(attention.state_dict())
            leaves = tuple(each.detach().to(dtype).requires_grad_() for each in big)
            output = less(*leaves, mask, need_weights=True)
            assert output.context.dtype == dtype
            assert output.context.isfinite().all()
            assert all(each.isfinite().all() for each in gradients(output.context, *leaves))
            if size == 1 and training:
                exact = build(name, training)
                exact.load_state_dict(less.state_dict())
                wide = exact(*(leaf.detach().double() for leaf in leaves), mask, need_weights=True)
                assert_close(weights_of(output), weights_of(wide), dtype)


@each_named
def test_finite_differences(name):
    attention = build(name)
    query, key, value = draw(attention, 1, 2, 3)
    assert torch.autograd.gradcheck(lambda *leaves: attention(*leaves).context, (query, key, value))


def test_a_chunk_of_one_key_is_monotonic_and_sums_are_those_of_the_stops():
    scores = torch.randn(BATCH, 2, KEYS, dtype=torch.float64)
    stops, _ = MonotonicNormalizer(noise=0.0)(scores[:, :1], None)
    assert_close(ChunkwiseNormalizer(1, noise=0.0)(scores, None)[0], stops)
    for width in (2, 4, 99, None):
        weights, state = ChunkwiseNormalizer(width, noise=0.0)(scores, None)
        assert_close(weights.sum(-1), stops.sum(-1))
        # what goes on are the stops, not the weights
        assert_close(state, stops.squeeze(1))
    wide, back = (ChunkwiseNormalizer(width, noise=0.0)(scores, None)[0] for width in (99, None))
    assert_close(wide, back)


@pytest.mark.parametrize("width", [1, 2, 8, None])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_two_thousand_keys_in_float32(width, spread):
    """Against the square of stops and keys in float64; a score of 100 carries a rounding of 1e-5 into its exponent."""
    stops, energy = torch.rand(1, 2000) / 2000, (torch.randn(1, 2000) * spread).requires_grad_()
    visible = torch.rand(1, 2000) > 0.1
    stops = stops * visible
    if width is None:
        weights = lookback_weights(stops, energy, visible)
    else:
        weights = chunk_weights(stops, energy, visible, width)
    places = torch.arange(2000)
    reach = places.unsqueeze(1) - places
    chunk = (reach >= 0) & (reach < (width or 2000)) & visible
    shares = torch.softmax(energy.detach().double().expand(2000, 2000).masked_fill(~chunk, -1e9), -1)
    assert ((weights - stops.double() @ shares).abs().max()) < 1e-4 * weights.max()
    assert not weights[~visible].any()
    (slope,) = torch.autograd.grad((weights * torch.randn(1, 2000)).sum(), energy)
    assert slope.isfinite().all()


@pytest.mark.parametrize("width", [2, None])
def test_where_nothing_is_left_to_chance_the_expectation_is_the_choice(width):
    scores = torch.where(torch.rand(8, 6, 7) < 0.4, 1e3, -1e3)
    mask = torch.arange(7) < torch.randint(1, 8, (8, 1, 1))
    soft, hard = ChunkwiseNormalizer(width, noise=0.0), ChunkwiseNormalizer(width).eval()
    hard.monotonic.lost = True
    state = other = None
    for query in range(6):
        both = torch.stack((scores[:, query], torch.randn(8, 7)), 1)
        expected, state = soft(both, mask, state)
        actual, other = hard(both, mask, other)
        assert_close(actual, expected)


def test_an_agent_of_one_half_is_forward_attention_and_a_certain_one_stays_or_moves():
    scores = torch.randn(BATCH, 4, KEYS, dtype=torch.float64)
    expected, _ = run(ForwardNormalizer(), scores)
    state = None
    for query in range(4):
        both = torch.stack((scores[:, query], torch.zeros_like(scores[:, query])), 1)
        weights, state = ForwardTransitionNormalizer()(both, None, state)
        assert_close(weights.squeeze(1), expected[:, query])
    for odds, places in ((-1e3, [0, 0, 0, 0]), (1e3, [1, 2, 3, 4])):
        state, speedy = None, None
        for query, place in enumerate(places):
            both = torch.stack((scores[:, query], torch.full_like(scores[:, query], odds)), 1)
            weights, state = ForwardTransitionNormalizer()(both, None, state)
            assert weights.argmax(-1).tolist() == [[place]] * BATCH
            both = torch.stack((scores[:, query], torch.zeros_like(scores[:, query])), 1)
            weights, speedy = ForwardTransitionNormalizer(speed=odds).eval()(both, None, speedy)
            assert weights.argmax(-1).tolist() == [[place]] * BATCH
            trained, plain = (ForwardTransitionNormalizer(speed=speed)(both, None)[0] for speed in (odds, 0.0))
            assert trained.equal(plain), "speed is for inference alone"


def test_the_transition_is_the_share_of_all_paths():
    scores, odds = torch.randn(3, 6, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    state, share, move = None, torch.softmax(scores, -1), torch.sigmoid(odds)
    for query in range(3):
        both = torch.stack((scores[query], odds[query].expand(6))).unsqueeze(0)
        weights, state = ForwardTransitionNormalizer()(both, None, state)
        expected = torch.zeros(6, dtype=torch.float64)
        for path in itertools.product((0, 1), repeat=query + 1):
            places = list(itertools.accumulate(path))
            ways = [share[step, place] for step, place in enumerate(places)]
            ways += [move[step] if go else 1 - move[step] for step, go in enumerate(path)]
            expected[places[-1]] += torch.stack(ways).prod()
        assert_close(weights[0, 0], expected / expected.sum())


def test_named_mechanisms_are_their_parts():
    def pair():
        return PairedScore(NormalizedAdditiveScore(4, 6, 11, -1.0), NormalizedAdditiveScore(4, 6, 11))

    location = LocationSensitiveScore(4, 6, 11, 10, 31)
    for named, by_hand in (
        (MochaAttention(4, 6, 11), Attention(pair(), normalizer=ChunkwiseNormalizer(2))),
        (MilkAttention(4, 6, 11), Attention(pair(), normalizer=ChunkwiseNormalizer(None))),
        (
            ForwardTransitionAttention(4, 6, 11),
            Attention(TransitionScore(location), normalizer=ForwardTransitionNormalizer()),
        ),
    ):
        by_hand.load_state_dict(named.state_dict())
        arguments, mask = draw(named, dtype=torch.float32), some_mask()
        for training in (True, False):
            outputs = []
            for attention in (named.train(training), by_hand.train(training)):
                torch.manual_seed(0)
                outputs.append(attention(*arguments, mask).context)
            assert outputs[0].equal(outputs[1])


# --- hard decoding ---

HARD = {
    "monotonic": lambda: MonotonicAttention(4, 6, 11, offset=-0.3),
    "lost": lambda: Attention(GeneralScore(4, 6), normalizer=MonotonicNormalizer(lost=True)),
    "mocha": lambda: MochaAttention(4, 6, 11, width=5, offset=-0.3),
    "stepwise": lambda: StepwiseAttention(4, 6, 11),
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("keys", [65, 150])
def test_a_long_memory_is_read_as_if_all_keys_were_scored(name, keys, monkeypatch):
    attention = HARD[name]().double().eval()
    query, key, value = draw(attention, 3, 9, keys)
    with torch.no_grad():
        query.mul_(3)
    mask = torch.rand(3, 1, keys) > 0.2
    mask[1] = False
    mask[2, :, 40:] = False
    found = []
    for long in (64, 10**9):
        monkeypatch.setattr(base, "_LONG", long)
        memory = attention.remember(key, value, mask)
        output, state = attention.look(query, memory, need_weights=True)
        assert attention.look(query, memory)[0].context.equal(output.context)
        leaves = (query, key, value, *attention.parameters())
        found.append((output.context, weights_of(output), state.normalizer, *gradients(output.context, *leaves)))
    for few, all_ in zip(*found, strict=True):
        assert_close(few.double(), all_.double())
    assert found[0][1].any()


def test_a_step_scores_the_key_where_it_stands_alone(monkeypatch):
    shapes, plain = [], DotScore.forward

    def watched(self, *arguments):
        scores, state = plain(self, *arguments)
        shapes.append(scores.shape)
        return scores, state

    monkeypatch.setattr(DotScore, "forward", watched)
    attention = Attention(DotScore(4), normalizer=StepwiseNormalizer()).eval()
    attention(torch.randn(BATCH, QUERIES, 4), torch.randn(BATCH, 100, 4))
    assert shapes == [(BATCH, 1, 1)] * QUERIES


def sharp_choices(queries, keys):
    """Queries that stop at one key of twelve or so, and a last key at which every query stops."""
    key = torch.randn(BATCH, keys, 2)
    key[..., 1], key[:, -1] = 1, torch.tensor([0.0, -9.0])
    query = torch.stack((torch.randint(0, 2, (BATCH, queries)) * 2.0 - 1, torch.full((BATCH, queries), -1.4)), -1)
    return query, key


@pytest.mark.parametrize(("width", "queries"), [(None, 400), (4, 2000)], ids=["monotonic", "mocha"])
def test_thousands_of_steps_score_few_more_keys_than_there_are(width, queries, monkeypatch):
    keys = 2000
    query, key = sharp_choices(queries, keys)
    if width is None:
        attention = Attention(DotScore(2), normalizer=MonotonicNormalizer())
    else:
        attention = Attention(PairedScore(DotScore(2), DotScore(2)), normalizer=ChunkwiseNormalizer(width))
    attention.eval()
    count, plain = 0, DotScore.forward

    def counting(self, *arguments):
        nonlocal count
        scores, state = plain(self, *arguments)
        count += scores.numel()
        return scores, state

    monkeypatch.setattr(DotScore, "forward", counting)
    memory = attention.remember(key)
    with torch.no_grad():
        output, state = attention.look(query, memory, need_weights=True)
    energies = 1 if width is None else 2
    assert count <= BATCH * energies * (keys + queries * (32 + (width or 0)))

    scores = torch.einsum("bqd,bkd->bqk", query, key)
    places, stops = torch.arange(keys), []
    for item in range(BATCH):
        place = 0
        for ready in (scores[item] >= 0).numpy():
            place += int(ready[place:].argmax())
            stops.append(place)
    stop = torch.tensor(stops).view(BATCH, queries, 1)
    chunk = (places <= stop) & (places > stop - (width or 1))
    assert_close(weights_of(output), torch.softmax(scores.masked_fill(~chunk, -torch.inf), -1))
    assert state.normalizer.equal(stop[:, -1, 0])
    # the head went through the whole memory
    assert stop[:, -1].eq(keys - 1).all()


def test_other_windows_and_scores_with_a_state_are_read_whole():
    for attention in (
        Attention(DotScore(6), SlidingWindow(3, 99), MonotonicNormalizer()),
        Attention(CoverageScore(6, 6, 11), normalizer=MonotonicNormalizer()),
        Attention(TransitionScore(DotScore(6)), normalizer=ChunkwiseNormalizer(3)),
    ):
        key = torch.randn(BATCH, 99, 6)
        weights = weights_of(attention.eval()(torch.randn(BATCH, 2, 6), key, need_weights=True))
        assert weights.shape == (BATCH, 2, 99)


@pytest.mark.messages
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: Attention(DotScore(4), normalizer=ChunkwiseNormalizer()),
            r"DotScore gives 1 score of each key, but ChunkwiseNormalizer reads 2; expected the same number\. Use P",
        ),
        (
            lambda: Attention(PairedScore(DotScore(4), DotScore(4)), normalizer=SoftmaxNormalizer()),
            r"PairedScore gives 2 scores of each key, but SoftmaxNormalizer reads 1; expected the same number\. Use a ",
        ),
        (lambda: PairedScore(DotScore(4), DotScore(5)), "second has 5 features of a query and 5 of a key, first has 4"),
        (
            lambda: PairedScore(DotScore(4), CoverageScore(4, 4, 3)),
            "CoverageScore depends on earlier queries or is a pair itself; expected a score of one query and one key",
        ),
        (
            lambda: TransitionScore(PairedScore(DotScore(4), DotScore(4))),
            "PairedScore depends on earlier queries or",
        ),
        (lambda: ChunkwiseNormalizer(0), r"width is 0; expected a whole number \(int\) from 1 up"),
        (
            lambda: ForwardTransitionNormalizer(float("nan")),
            "speed is nan; expected a finite number to add",
        ),
        (lambda: SoftmaxNormalizer().choose(lambda items, places: places, torch.ones(1, 1).bool()), "needs the scores"),
    ],
)
def test_what_does_not_go_together_is_refused(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()


@pytest.mark.compile
@pytest.mark.parametrize(("training", "keys"), [(True, KEYS), (False, 70)])
@each_named
def test_compiled_in_one_graph(name, training, keys):
    """Compiled code scores all keys of a long memory, and reads the same."""
    attention = build(name, training)
    arguments = draw(attention, keys=keys)
    mask = torch.arange(keys) < torch.tensor([keys, keys - 2]).view(-1, 1, 1)
    expected = attention(*arguments, mask, need_weights=True)
    actual = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments, mask, need_weights=True)
    assert_close(actual.context, expected.context)
    assert_close(weights_of(actual), weights_of(expected))
    for ours, theirs in zip(
        gradients(actual.context, *arguments), gradients(expected.context, *arguments), strict=True
    ):
        assert_close(ours, theirs)


@pytest.mark.compile
@pytest.mark.parametrize("training", [True, False])
@each_named
@torch.no_grad()
def test_an_exported_step_takes_memory_and_state_as_they_are(name, training):
    attention = build(name, training)
    query, key, value = draw(attention)
    memory = attention.remember(key, value, some_mask().any(1, keepdim=True))
    _, state = attention.step(query[:, :1], memory)
    program = torch.export.export(Stepper(attention), (query[:, :1], memory, state)).module()
    for index in range(1, QUERIES):
        now = query[:, index : index + 1]
        (expected, after), (actual, state) = attention.step(now, memory, state), program(now, memory, state)
        assert_close(actual.context, expected.context)
        assert_close(state.normalizer.double(), after.normalizer.double())
