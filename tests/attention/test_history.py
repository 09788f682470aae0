"""Scores that know earlier weights, against loops over single queries and keys written from the papers."""

import math
from dataclasses import replace

import pytest
import torch
from torch.utils._pytree import tree_leaves

from heedful.attention import (
    Attention,
    ChorowskiAttention,
    CoverageAttention,
    DynamicConvolutionAttention,
    GaussianMixtureAttention,
    LinguisticCoverageAttention,
    NeuralCoverageAttention,
    TacotronAttention,
)
from heedful.attention.normalizers import (
    ExponentialNormalizer,
    SmoothedNormalizer,
    SoftmaxNormalizer,
    StepwiseNormalizer,
)
from heedful.attention.regularizers import fertility_loss
from heedful.attention.scores import (
    AdditiveScore,
    CoverageScore,
    DynamicConvolutionScore,
    GaussianMixtureScore,
    LinguisticCoverageScore,
    LocationSensitiveScore,
    NeuralCoverageScore,
)
from heedful.attention.state import reorder
from heedful.attention.windows import AttentionWindow, CausalWindow, LocalPredictiveWindow, SlidingWindow
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.attention.test_compiled import Stepper
from tests.tolerances import assert_close


def additive(feature):
    """Powers of energy . tanh(W query + U key + feature + b), feature from the weights before."""

    def powers(p, asked, keys, before):
        query = p["additive.query_proj"] @ asked[-1] + p["additive.bias"]
        of_key = [
            p["additive.key_proj"] @ key + feature(p, place, before, asked, keys) for place, key in enumerate(keys)
        ]
        return [torch.exp(p["additive.energy"] @ torch.tanh(query + each)) for each in of_key]

    return powers


def covered(p, key, before, *_):
    """See 2017, section 2.3: w_c times the sum of the weights so far."""
    return p["coverage_proj"] * sum(before, torch.zeros(KEYS, dtype=torch.float64))[key]


def linguistic(p, key, before, asked, keys):
    """Tu 2016, section 3.1.1: the sum of the weights so far over N sigmoid(u . key), N = 2."""
    fertility = 2 / (1 + torch.exp(-p["fertility_proj"][0] @ keys[key]))
    return p["coverage_proj"] * sum(before, torch.zeros(KEYS, dtype=torch.float64))[key] / fertility


def neural(p, key, before, asked, keys):
    """Tu 2016, section 3.1.2: torch's own cell over the weight of this key, the key and the query, step by step."""
    cell = [p[f"cell.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    coverage = torch.zeros(1, 3, dtype=torch.float64)
    for weights, query in zip(before, asked, strict=False):
        coverage = torch.gru_cell(torch.cat((weights[key : key + 1], keys[key], query)).unsqueeze(0), coverage, *cell)
    return p["coverage_proj"] @ coverage[0]


def located(history):
    """Chorowski 2015, section 2.2: U f, f_k = sum over the filter's width of F[j] history[k + j], 0 past the ends."""

    def feature(p, key, before, *_):
        zeros = torch.zeros(KEYS, dtype=torch.float64)
        channels = {
            "previous": [before[-1] if before else zeros],
            "total": [sum(before, zeros)],
            "previous_and_total": [before[-1] if before else zeros, sum(before, zeros)],
        }[history]
        filters, _, width = p["location_conv"].shape
        features = []
        for one in range(filters):
            total = torch.zeros((), dtype=torch.float64)
            for channel, received in enumerate(channels):
                for tap in range(width):
                    place = key + tap - width // 2
                    if 0 <= place < KEYS:
                        total = total + p["location_conv"][one, channel, tap] * received[place]
            features.append(total)
        return p["location_proj"] @ torch.stack(features)

    return feature


def convolved(p, asked, keys, before):
    """Battenberg 2020, dynamic convolution: filters of 3 taps, a prior of 4 steps, BetaBinomial(3; 0.1, 0.9)."""
    start = torch.eye(KEYS, dtype=torch.float64)[0]
    # a query that saw nothing leaves the weights as they were
    last = next((weights for weights in reversed(before) if weights.detach().any()), start)
    hidden = torch.tanh(p["query_proj"] @ asked[-1] + p["query_bias"])
    dynamic = (p["filter_proj"] @ hidden).view(2, 3)

    def at(place):
        return last[place] if 0 <= place < KEYS else torch.zeros((), dtype=torch.float64)

    powers = []
    for place in range(KEYS):
        f = torch.stack([sum(p["static_filters"][n, tap] * at(place + tap - 1) for tap in range(3)) for n in range(2)])
        g = torch.stack([sum(dynamic[n, tap] * at(place + tap - 1) for tap in range(3)) for n in range(2)])
        prior = sum(chance * at(place - moved) for moved, chance in enumerate((0.8265, 0.0855, 0.0495, 0.0385)))
        energy = p["energy"] @ torch.tanh(p["static_proj"] @ f + p["dynamic_proj"] @ g + p["bias"])
        powers.append(torch.exp(energy) * torch.as_tensor(prior).clamp_min(1e-6))
    return powers


def gaussians(version):
    """Graves 2013, section 5; Battenberg 2020, table 1: weights, not to be divided by their sum."""

    def powers(p, asked, keys, before):
        center = torch.zeros(2, dtype=torch.float64)
        for query in asked:
            hidden = torch.tanh(p["query_proj"] @ query + p["query_bias"])
            share, step, width = (p["mixture_proj"] @ hidden).view(3, 2) + p["mixture_bias"]
            if version == "v0":
                height, step, sigma = share.exp(), step.exp(), (torch.exp(-width) / 2).sqrt()
            else:
                height = share.exp() / share.exp().sum()
                plain = version == "v1"
                step = step.exp() if plain else torch.log(1 + step.exp())
                sigma = width.exp().sqrt() if plain else torch.log(1 + width.exp())
                height = height / (2 * math.pi * sigma**2).sqrt()
            center = center + step
        return [(height * torch.exp(-((place - center) ** 2) / (2 * sigma**2))).sum() for place in range(KEYS)]

    return powers


# how it is built, its normaliser, and powers of all keys from the queries so far and the weights before
SCORES = {
    "coverage": (lambda: CoverageScore(4, 6, 11), SoftmaxNormalizer, additive(covered)),
    "linguistic": (lambda: LinguisticCoverageScore(4, 6, 11), SoftmaxNormalizer, additive(linguistic)),
    "neural": (lambda: NeuralCoverageScore(4, 6, 11, coverage_dim=3), SoftmaxNormalizer, additive(neural)),
    **{
        history: (
            lambda history=history: LocationSensitiveScore(4, 6, 11, 2, 3, history),
            SoftmaxNormalizer,
            additive(located(history)),
        )
        for history in ("previous", "total", "previous_and_total")
    },
    "dynamic": (
        lambda: DynamicConvolutionScore(4, 6, 11, filters=2, width=3, prior_len=4),
        SoftmaxNormalizer,
        convolved,
    ),
    **{
        version: (
            lambda version=version: GaussianMixtureScore(4, 6, 11, 2, version),
            ExponentialNormalizer,
            gaussians(version),
        )
        for version in ("v0", "v1", "v2")
    },
}
each_score = pytest.mark.parametrize("name", SCORES)
# one of each class: graphs take seconds
each_kind = pytest.mark.parametrize("name", {type(build()): name for name, (build, *_) in SCORES.items()}.values())


def build(name, window=None) -> Attention:
    score, normalizer, _ = SCORES[name]
    attention = Attention(score(), window, normalizer()).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return attention


def by_hand(name, attention, query, key, value, mask):
    """Context and weights, batch item after batch item, query after query, key after key."""
    p, powers_of = dict(attention.score.named_parameters()), SCORES[name][2]
    all_weights, contexts = [], []
    for item in range(len(query)):
        before, read = [], []
        for place in range(query.shape[1]):
            powers = torch.stack(powers_of(p, query[item, : place + 1], key[item], before)) * mask[item, place]
            divided = SCORES[name][1] is SoftmaxNormalizer and mask[item, place].any()
            weights = powers / powers.sum() if divided else powers
            before.append(weights)
            read.append((weights.unsqueeze(-1) * value[item]).sum(0))
        all_weights.append(torch.stack(before))
        contexts.append(torch.stack(read))
    return torch.stack(contexts), torch.stack(all_weights)


@each_score
def test_context_weights_and_gradients_are_those_of_the_loops(name):
    attention = build(name)
    query, key, value = draw(attention)
    mask = some_mask()
    leaves = (query, key, value, *attention.parameters())
    context, weights = by_hand(name, attention, query, key, value, mask)
    output = attention(query, key, value, mask, need_weights=True)
    assert_close(output.context, context)
    assert_close(weights_of(output), weights)
    assert attention(query, key, value, mask).context.equal(output.context)
    for actual, expected in zip(gradients(output.context, *leaves), gradients(context, *leaves), strict=True):
        assert_close(actual, expected)


@each_score
def test_steps_are_one_call_and_hypotheses_change_places(name):
    attention = build(name)
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


@each_score
def test_a_hidden_key_has_no_part_in_weights_gradients_or_state(name):
    attention = build(name)
    query, key, value = draw(attention)
    visible = torch.tensor([[True, True, False, True, True], [False] * 5])
    expected = attention(query, key, value, visible.unsqueeze(1)).context
    slopes = gradients(expected, query, key, value)
    with torch.no_grad():
        key[~visible], value[~visible] = torch.nan, torch.inf
    actual = attention(query, key, value, visible.unsqueeze(1)).context
    assert actual.equal(expected)
    assert not actual[1].any()
    for ours, theirs in zip(gradients(actual, query, key, value), slopes, strict=True):
        assert ours.equal(theirs)
        assert ours.isfinite().all()


# the cells of neural coverage run while a causal window hides their keys, and start later where the memory grows
@pytest.mark.parametrize("name", [name for name in SCORES if name != "neural"])
def test_a_growing_memory_is_causal_attention(name):
    attention = build(name)
    query, key, value = draw(attention, queries=KEYS)
    whole = build(name, CausalWindow())
    whole.load_state_dict(attention.state_dict())
    memory, state, contexts = attention.remember(key[:, :0], value[:, :0]), None, []
    for place in range(KEYS):
        now = slice(place, place + 1)
        memory = attention.extend(memory, key[:, now], value[:, now])
        output, state = attention.step(query[:, now], memory, state)
        contexts.append(output.context)
    assert_close(torch.cat(contexts, 1), whole(query, key, value).context)


@pytest.mark.parametrize("name", ["coverage", "linguistic", "neural", "previous", "total", "previous_and_total"])
def test_without_history_it_is_the_additive_score(name):
    attention = build(name)
    for part, parameter in attention.score.named_parameters():
        if part in ("coverage_proj", "location_proj"):
            torch.nn.init.zeros_(parameter)
    plain = AdditiveScore(4, 6, 11, bias=True).double()
    plain.load_state_dict(attention.score.additive.state_dict())
    arguments = draw(attention)
    assert_close(attention(*arguments).context, Attention(plain)(*arguments).context)


@each_score
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_less_precision_stays_near(name, dtype):
    attention = Attention(SCORES[name][0](), normalizer=SCORES[name][1]())
    arguments, mask = draw(attention, dtype=torch.float32), some_mask()
    expected = attention(*arguments, mask).context
    actual = attention.to(dtype)(*(each.to(dtype) for each in arguments), mask).context
    assert actual.dtype == dtype
    assert_close(actual, expected.to(dtype), dtype)


@each_score
@pytest.mark.parametrize(("batch", "queries", "keys"), [(0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 3, 1)])
def test_degenerate_sizes(name, batch, queries, keys):
    attention = build(name)
    arguments = draw(attention, batch, queries, keys)
    output = attention(*arguments, need_weights=True)
    assert output.context.shape == (batch, queries, 7)
    assert weights_of(output).shape == (batch, queries, keys)
    assert all(each.isfinite().all() for each in gradients(output.context, *arguments))


def test_after_t_steps_the_coverage_of_a_sentence_is_t():
    attention = build("coverage")
    query, key, value = draw(attention)
    memory, state = attention.remember(key, value, some_mask().any(1, keepdim=True)), None
    for steps in range(1, QUERIES + 1):
        _, state = attention.step(query[:, steps - 1 : steps], memory, state)
        assert_close(state.score.sum((1, 2)), torch.full((BATCH,), float(steps), dtype=torch.float64))


def test_a_small_fertility_neither_divides_by_zero_nor_grows_without_bound():
    score = LinguisticCoverageScore(4, 6, 11).double()
    torch.nn.init.constant_(score.fertility_proj, -1e4)
    query, key = (torch.ones(1, size, features, dtype=torch.float64) for size, features in ((1, 4), (KEYS, 6)))
    received = torch.ones(1, 1, KEYS, dtype=torch.float64, requires_grad=True)
    scores, _ = score(query, score.remember(key), received)
    assert scores.isfinite().all()
    assert all(slope.isfinite().all() for slope in gradients(scores, received, score.fertility_proj))


def test_the_first_coverage_reads_no_weight_and_half_of_the_most_is_expected():
    torch.manual_seed(1)
    neural, linguistic = NeuralCoverageScore(4, 6, 11), LinguisticCoverageScore(4, 6, 11, max_fertility=3.0)
    assert not neural.cell.weight_ih[:, 0].any()
    assert neural.cell.weight_ih[:, 1:].any()
    assert_close(linguistic.fertility(torch.randn(2, 5, 6)), torch.full((2, 5), 1.5))


def test_the_predicted_fertility_is_trained_by_its_loss():
    score, weights = LinguisticCoverageScore(4, 6, 11).double(), torch.eye(5, dtype=torch.float64).expand(2, 5, 5)
    fertility_loss(weights, score.fertility(torch.zeros(2, 5, 6, dtype=torch.float64))).backward()
    # half of 2 is what the weights give each key
    assert_close(score.fertility_proj.grad, torch.zeros(1, 6, dtype=torch.float64))
    key = torch.ones(2, 5, 6, dtype=torch.float64)
    (slope,) = torch.autograd.grad(fertility_loss(weights * 2, score.fertility(key)), score.fertility_proj)
    # d (N sigmoid(u . key) - 2)^2 / du at u = 0 is 2 (1 - 2) 2 / 4 key, for each of five keys
    assert_close(slope, torch.full((1, 6), -5.0, dtype=torch.float64))


def test_coverage_switched_off_has_the_same_parameters_and_reads_none():
    enabled, disabled = CoverageScore(4, 6, 11).double(), CoverageScore(4, 6, 11, coverage_enabled=False).double()
    disabled.load_state_dict(enabled.state_dict())
    plain = AdditiveScore(4, 6, 11, bias=True).double()
    plain.load_state_dict(enabled.additive.state_dict())
    arguments = draw(Attention(plain))
    assert_close(Attention(disabled)(*arguments).context, Attention(plain)(*arguments).context)
    assert not torch.allclose(Attention(enabled)(*arguments).context, Attention(plain)(*arguments).context)


@each_score
def test_a_step_leaves_memory_and_state_as_they_were_and_may_be_repeated(name):
    attention = build(name)
    query, key, value = draw(attention)
    memory = attention.remember(key, value, some_mask().any(1, keepdim=True))
    _, state = attention.step(query[:, :1], memory)
    before = [tensor.clone() for tensor in tree_leaves((memory, state)) if tensor is not None]
    first, after = attention.step(query[:, 1:2], memory, state)
    again, after_again = attention.step(query[:, 1:2], memory, state)
    assert again.context.equal(first.context)
    assert after_again.score.equal(after.score)
    assert all(map(torch.equal, filter(torch.is_tensor, tree_leaves((memory, state))), before))


@pytest.mark.parametrize("name", ["coverage", "previous", "total", "dynamic"])
def test_the_state_is_of_the_weights_that_were_used_after_window_and_gain(name):
    """A window by earlier weights, one by place, and one that multiplies the weights."""
    for window in (AttentionWindow(1, 1), SlidingWindow(1, 0), LocalPredictiveWindow(4, half_width=2)):
        attention = build(name, window).eval()
        query, key, value = draw(attention)
        memory, state, used = attention.remember(key, value), None, []
        for place in range(QUERIES):
            output, state = attention.step(query[:, place : place + 1], memory, state, need_weights=True)
            used.append(weights_of(output))
        assert (torch.cat(used) == 0).any() or isinstance(window, LocalPredictiveWindow)
        assert_close(state.score, sum(used) if name in ("coverage", "total") else used[-1])


@pytest.mark.parametrize("start", ["uniform", "first"])
def test_another_start_is_a_state_of_ones_own(start):
    """Weights before the first query: the same over the visible keys (ESPnet), or all on the first one."""
    attention = build("previous")
    query, key, value = draw(attention)
    visible = torch.tensor([[[True] * 5], [[True, True, True, False, False]]])
    memory = attention.remember(key, value, visible)
    row = visible / visible.sum(-1, keepdim=True) if start == "uniform" else torch.eye(5)[0].expand(2, 1, 5)
    row = row.double()
    output, _ = attention.step(query[:, :1], memory, replace(attention.begin(memory), score=row), need_weights=True)
    p, powers_of = dict(attention.score.named_parameters()), SCORES["previous"][2]
    for item in range(2):
        powers = torch.stack(powers_of(p, query[item, :1], key[item], [row[item, 0]])) * visible[item, 0]
        assert_close(weights_of(output)[item, 0], powers / powers.sum())


def test_memory_and_earlier_weights_moved_together_move_the_scores():
    score = LocationSensitiveScore(4, 6, 11, filters=2, width=3).double()
    query, key = torch.randn(1, 1, 4, dtype=torch.float64), torch.randn(1, 12, 6, dtype=torch.float64)
    before = torch.rand(1, 1, 12, dtype=torch.float64)
    scores, _ = score(query, score.remember(key), before)
    moved, _ = score(query, score.remember(key.roll(4, 1)), before.roll(4, 2))
    # a key at an end has one neighbour there and two elsewhere
    inner = slice(5, 11)
    assert_close(moved[..., inner], scores.roll(4, 2)[..., inner])
    assert not torch.allclose(moved[..., inner], scores[..., inner])


def test_the_numbers_of_the_papers_are_the_defaults():
    """Chorowski 2015 as its experiments; Shen 2018, Battenberg 2020: filters, widths, hidden features."""
    sizes = {
        (ChorowskiAttention(4, 6, 11), "location_conv"): (10, 1, 201),
        (TacotronAttention(4, 6), "location_conv"): (32, 2, 31),
        (TacotronAttention(4, 6), "location_proj"): (128, 32),
        (DynamicConvolutionAttention(4, 6), "filter_proj"): (8 * 21, 128),
        (DynamicConvolutionAttention(4, 6), "static_filters"): (8, 21),
        (GaussianMixtureAttention(4, 6), "mixture_proj"): (3 * 5, 128),
    }
    for (attention, name), shape in sizes.items():
        assert attention.score.get_parameter(name).shape == shape
    assert len(DynamicConvolutionAttention(4, 6).score.prior) == 11
    # nothing of a key, and no biases but these
    assert {name for name, each in DynamicConvolutionScore(4, 6).named_parameters() if each.dim() == 1} == {
        "query_bias",
        "bias",
        "energy",
    }
    assert not any(6 in each.shape for each in DynamicConvolutionScore(4, 6).parameters())
    assert GaussianMixtureAttention(4, 6).score.version == "v2"


def test_a_filter_that_copies_hands_on_the_weights_before():
    score = LocationSensitiveScore(4, 6, 1, filters=1, width=3).double()
    with torch.no_grad():
        for parameter in score.parameters():
            parameter.zero_()
        score.location_conv[0, 0, 1] = score.location_proj[0, 0] = score.additive.energy[0] = 1
    before = torch.rand(2, 1, KEYS, dtype=torch.float64)
    query, key = (torch.randn(2, size, features, dtype=torch.float64) for size, features in ((1, 4), (KEYS, 6)))
    assert_close(score(query, score.remember(key), before)[0], torch.tanh(before))


@pytest.mark.parametrize("history", ["total", "previous_and_total"])
def test_the_total_is_the_sum_of_all_weights_before(history):
    score = LocationSensitiveScore(4, 6, 11, filters=2, width=3, history=history)
    weights, state = torch.rand(4, BATCH, 1, KEYS), torch.zeros(BATCH, score.channels, KEYS)
    for row in weights:
        state = score.update(state, row)
    assert_close(state[:, -1:], weights.sum(0))
    assert history == "total" or state[:, :1].equal(weights[-1])


def test_named_mechanisms_are_their_parts():
    for built, score, normalizer in (
        (ChorowskiAttention(4, 6, 11, width=5), LocationSensitiveScore(4, 6, 11, 10, 5), SoftmaxNormalizer()),
        (
            TacotronAttention(4, 6, 11),
            LocationSensitiveScore(4, 6, 11, 32, 31, "previous_and_total"),
            SoftmaxNormalizer(),
        ),
        (CoverageAttention(4, 6, 11), CoverageScore(4, 6, 11), SoftmaxNormalizer()),
        (LinguisticCoverageAttention(4, 6, 11), LinguisticCoverageScore(4, 6, 11), SoftmaxNormalizer()),
        (NeuralCoverageAttention(4, 6, 11), NeuralCoverageScore(4, 6, 11), SoftmaxNormalizer()),
        (DynamicConvolutionAttention(4, 6, 11), DynamicConvolutionScore(4, 6, 11), SoftmaxNormalizer()),
        (GaussianMixtureAttention(4, 6, 11), GaussianMixtureScore(4, 6, 11), ExponentialNormalizer()),
    ):
        parts = Attention(score, normalizer=normalizer)
        parts.load_state_dict(built.state_dict())
        arguments = tuple(each.float() for each in draw(built))
        assert built(*arguments).context.equal(parts(*arguments).context)


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (lambda: ChorowskiAttention(4, 6, 7), {"location_conv": (10, 1, 201), "location_proj": (7, 10)}),
        (lambda: TacotronAttention(4, 6), {"location_conv": (32, 2, 31), "location_proj": (128, 32)}),
        (
            lambda: DynamicConvolutionAttention(4, 6),
            {"static_filters": (8, 21), "filter_proj": (8 * 21, 128), "static_proj": (128, 8), "query_proj": (128, 4)},
        ),
        (lambda: GaussianMixtureAttention(4, 6), {"mixture_proj": (3 * 5, 128), "query_proj": (128, 4)}),
    ],
)
def test_sizes_that_are_left_out_are_those_of_the_papers(build, shapes):
    parameters = dict(build().score.named_parameters())
    assert {name: tuple(parameters[name].shape) for name in shapes} == shapes


def shared(powers):
    return powers / powers.sum()


def stepwise(powers, before):
    """He 2019, equation 8: stay with chance sigmoid(score), or move on by one."""
    last = before[-1] if before else torch.eye(KEYS, dtype=torch.float64)[0]
    stay = powers / (1 + powers)
    moved = last * (1 - stay)
    return last * stay + torch.cat((moved.new_zeros(1), moved[:-1]))


# of exponentials of the scores, and the weights before
READINGS = {
    "softmax": (SoftmaxNormalizer, lambda powers, _: shared(powers)),
    "sharpened": (lambda: SoftmaxNormalizer(0.4), lambda powers, _: shared(powers ** (1 / 0.4))),
    "smoothed": (SmoothedNormalizer, lambda powers, _: shared(powers / (1 + powers))),
    "stepwise": (lambda: StepwiseNormalizer(noise=0.0), stepwise),
}


@pytest.mark.parametrize("name", READINGS)
def test_location_sensitive_scores_under_every_normaliser_that_is_used_with_them(name):
    """Chorowski 2015, section 2.3; He 2019 with the scores of Shen 2018."""
    normalizer, read = READINGS[name]
    attention = ChorowskiAttention(4, 6, 11, 2, 3, normalizer=normalizer()).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, key, value = draw(attention)
    p, powers_of = dict(attention.score.named_parameters()), additive(located("previous"))
    for item in range(BATCH):
        before = []
        for place in range(QUERIES):
            powers = torch.stack(powers_of(p, query[item, : place + 1], key[item], before))
            before.append(read(powers, before))
        weights = weights_of(attention(query, key, value, need_weights=True))[item]
        assert_close(weights, torch.stack(before))


def test_the_state_of_chorowskis_window_is_what_was_used_after_it():
    """Section 2.3: while decoding, only keys around the median of the last weights; the others count as 0 there."""
    attention = ChorowskiAttention(4, 6, 11, 2, 3, window=AttentionWindow(1, 1)).double().eval()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, key, value = draw(attention)
    p, powers_of = dict(attention.score.named_parameters()), additive(located("previous"))
    weights = weights_of(attention(query, key, value, need_weights=True))
    for item in range(BATCH):
        before, anchor = [], 0
        for place in range(QUERIES):
            powers = torch.stack(powers_of(p, query[item, : place + 1], key[item], before))
            near = (torch.arange(KEYS) - anchor).abs() <= 1
            before.append(shared(powers * near))
            anchor = int((before[-1].cumsum(0) < 0.5).sum())
        assert_close(weights[item], torch.stack(before))


@pytest.mark.parametrize("name", [*SCORES, "chorowski, windowed"])
@torch.no_grad()
def test_a_step_taken_twice_gives_the_same_and_leaves_memory_and_state_as_they_were(name):
    if name in SCORES:
        attention = build(name)
    else:
        attention = ChorowskiAttention(4, 6, 11, 2, 3, window=AttentionWindow(1, 1)).double().eval()
    query, key, value = draw(attention)
    memory = attention.remember(key, value, some_mask().any(1, keepdim=True))
    _, state = attention.step(query[:, :1], memory)
    held = [leaf.clone() for leaf in tree_leaves((memory, state)) if isinstance(leaf, torch.Tensor)]
    first, after = attention.step(query[:, 1:2], memory, state)
    again, once_more = attention.step(query[:, 1:2], memory, state)
    assert again.context.equal(first.context)
    for one, other in zip(tree_leaves(after), tree_leaves(once_more), strict=True):
        assert one is other or one.equal(other)
    leaves = [leaf for leaf in tree_leaves((memory, state)) if isinstance(leaf, torch.Tensor)]
    assert all(map(torch.equal, leaves, held))


@pytest.mark.compile
@each_kind
def test_compiled_in_one_graph(name):
    attention = build(name)
    arguments, mask = draw(attention, queries=2), some_mask()[:, :2]
    leaves = (*arguments, *attention.parameters())
    expected = attention(*arguments, mask, need_weights=True)
    actual = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments, mask, need_weights=True)
    assert_close(actual.context, expected.context)
    assert_close(weights_of(actual), weights_of(expected))
    for ours, theirs in zip(gradients(actual.context, *leaves), gradients(expected.context, *leaves), strict=True):
        assert_close(ours, theirs)


@pytest.mark.compile
@each_kind
@torch.no_grad()
def test_an_exported_step_takes_memory_and_state_as_they_are(name):
    attention = build(name)
    query, key, value = draw(attention)
    memory = attention.remember(key, value, some_mask().any(1, keepdim=True))
    _, state = attention.step(query[:, :1], memory)
    program = torch.export.export(Stepper(attention), (query[:, :1], memory, state)).module()
    for index in range(1, QUERIES):
        now = query[:, index : index + 1]
        (expected, after), (actual, state) = attention.step(now, memory, state), program(now, memory, state)
        assert_close(actual.context, expected.context)
        assert_close(state.score, after.score)


@pytest.mark.messages
def test_what_a_convolution_cannot_be():
    with pytest.raises(ValueError, match=r"width is 4; expected an odd number, a key and as many on either side: 5\?"):
        LocationSensitiveScore(4, 6, 11, width=4)
    with pytest.raises(ValueError, match="history is 'all'; expected one of 'previous', 'total', 'previous_and_total'"):
        LocationSensitiveScore(4, 6, 11, history="all")
    with pytest.raises(ValueError, match=r"width is 4; expected an odd number, a key and as many on either side: 5\?"):
        DynamicConvolutionScore(4, 6, width=4)
    with pytest.raises(ValueError, match=r"max_fertility is 0; expected the most that a key may receive, above 0"):
        LinguisticCoverageScore(4, 6, 11, max_fertility=0)
    with pytest.raises(ValueError, match="coverage_dim is 0"):
        NeuralCoverageScore(4, 6, 11, coverage_dim=0)
    with pytest.raises(ValueError, match=r"alpha and beta of the prior are 0\.1 and 0\.0; expected numbers above 0"):
        DynamicConvolutionScore(4, 6, beta=0.0)
