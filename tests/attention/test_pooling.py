"""Poolings: their formulas for one sequence, written from the papers, and what may not be seen."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import heedful.attention
from heedful import padding_mask
from heedful.attention import (
    AttBlstmPooling,
    Attention,
    AttentionPooling,
    AttentiveStatisticsPooling,
    ChannelStatisticsPooling,
    FeatureAttention,
    FeatureTemporalAttention,
    GatedPooling,
    LastPooling,
    LastStateAttention,
    LearnedQueryPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
    StructuredSelfAttention,
)
from heedful.attention.normalizers import SmoothedNormalizer
from heedful.attention.scores import AdditiveScore, GeneralScore
from tests.tolerances import assert_close

BATCH, KEYS, DIM = 3, 5, 7
POISONS = (torch.nan, torch.inf, -torch.inf, 1e30)


class Row(NamedTuple):
    """How to build it, and its formula for the visible steps `x [steps, dim]` of one sequence, `p` its parameters.

    `formula(p, x)` gives the output and the weights; `ordered`: the order of the steps plays a part; `in_place`: the
    output has a row for each step.
    """

    build: Callable[[], nn.Module]
    formula: Callable
    ordered: bool = False
    in_place: bool = False

    def __repr__(self) -> str:
        return type(self.build()).__name__


def _softmax(scores):
    return (scores - scores.max()).exp() / (scores - scores.max()).exp().sum()


def _attention_pooling(p, x):
    weights = _softmax(torch.stack([p["context_vector"] @ torch.tanh(p["weight"] @ step + p["bias"]) for step in x]))
    return sum(w * step for w, step in zip(weights, x, strict=True)), weights


def _att_blstm(p, x):
    weights = _softmax(torch.stack([p["weight"] @ torch.tanh(step) for step in x]))
    return torch.tanh(sum(w * step for w, step in zip(weights, x, strict=True))), weights


def _luong(p, x):
    return _attentional(p, x, torch.stack([x[-1] @ p["query_proj"] @ step for step in x]))


def _bahdanau(p, x):
    q, k, v = (p[f"attention.score.{name}"] for name in ("query_proj", "key_proj", "energy"))
    return _attentional(p, x, torch.stack([v @ torch.tanh(q @ x[-1] + k @ step) for step in x]))


def _attentional(p, x, scores):
    weights = _softmax(scores)
    context = sum(w * step for w, step in zip(weights, x, strict=True))
    return torch.tanh(p["output_proj"] @ torch.cat([context, x[-1]])), weights


def _statistics(p, x):
    return _mean_and_spread(x, *_attention_pooling(p, x))


def _relu_statistics(p, x):
    """Okabe 2018, section 3, whose f is any non-linearity."""
    inner = [torch.where((row := p["weight"] @ step + p["bias"]) > 0, row, 0) for step in x]
    weights = _softmax(torch.stack([p["context_vector"] @ one for one in inner]))
    return _mean_and_spread(x, sum(w * step for w, step in zip(weights, x, strict=True)), weights)


def _mean_and_spread(x, mean, weights):
    variance = sum(w * (step - mean) ** 2 for w, step in zip(weights, x, strict=True))
    return torch.cat([mean, torch.where(variance > 1e-12, variance, 1e-12).sqrt()]), weights


def _channel_statistics(p, x):
    """Desplanques 2020: e[t, c] = v_c . f(W [h_t; mean; std] + b), a softmax over t for each channel c."""
    plain = sum(step for step in x) / len(x)
    spread = torch.where(((x - plain) ** 2).mean(0) > 1e-12, ((x - plain) ** 2).mean(0), 1e-12).sqrt()
    inner = [torch.tanh(p["weight"] @ torch.cat([step, plain, spread]) + p["bias"]) for step in x]
    weights = torch.stack([_softmax(torch.stack([row @ one for one in inner])) for row in p["channel_proj"]])
    means = torch.stack([w @ x[:, channel] for channel, w in enumerate(weights)])
    variances = torch.stack([w @ (x[:, channel] - means[channel]) ** 2 for channel, w in enumerate(weights)])
    return torch.cat([means, torch.where(variances > 1e-12, variances, 1e-12).sqrt()]), weights


def _gated(p, x):
    inner = [torch.tanh(p["weight"] @ step + p["bias"]) for step in x]
    gates = [torch.sigmoid(p["gate_weight"] @ step + p["gate_bias"]) for step in x]
    weights = _softmax(torch.stack([p["context_vector"] @ (i * g) for i, g in zip(inner, gates, strict=True)]))
    return sum(w * step for w, step in zip(weights, x, strict=True)), weights


def _learned_query(p, x):
    """Any attention: here `query . W step` under Chorowski's smoothing."""
    powers = torch.stack([1 / (1 + torch.exp(-(p["query"] @ p["attention.score.weight"] @ step))) for step in x])
    weights = powers / powers.sum()
    return sum(w * step for w, step in zip(weights, x, strict=True)), weights


def _structured(p, x):
    rows = []
    for hop in p["hop_proj"]:
        rows.append(_softmax(torch.stack([hop @ torch.tanh(p["inner_proj"] @ step) for step in x])))
    weights = torch.stack(rows)
    return weights @ x, weights


def _temporal(p, x):
    n = len(x)
    columns = [_softmax(p["weight"][:n, :n] @ x[:, f] + p["bias"][:n]) for f in range(x.shape[1])]
    weights = torch.stack(columns, 1)
    return weights * x, weights


def _shared_temporal(p, x):
    weights = _temporal(p, x)[1].mean(1, keepdim=True).expand_as(x)
    return weights * x, weights


def _mean(p, x):
    return x.mean(0), torch.full((len(x),), 1 / len(x), dtype=x.dtype)


def _max(p, x):
    places = [max(range(len(x)), key=lambda i, f=f: float(x[i, f].detach())) for f in range(x.shape[1])]
    best = torch.stack([x[place, f] for f, place in enumerate(places)])
    return best, torch.tensor([places.count(i) / x.shape[1] for i in range(len(x))], dtype=x.dtype)


def _last(p, x):
    return x[-1], torch.eye(len(x), dtype=x.dtype)[-1]


ROWS = [
    Row(lambda: AttentionPooling(DIM, 11), _attention_pooling),
    Row(lambda: AttBlstmPooling(DIM), _att_blstm),
    Row(lambda: LastStateAttention(DIM, 4), _luong, ordered=True),
    Row(lambda: LastStateAttention(DIM, 4, "bahdanau"), _bahdanau, ordered=True),
    Row(lambda: AttentiveStatisticsPooling(DIM, 11), _statistics),
    Row(lambda: AttentiveStatisticsPooling(DIM, 11, "relu"), _relu_statistics),
    Row(lambda: ChannelStatisticsPooling(DIM, 11), _channel_statistics),
    Row(lambda: GatedPooling(DIM, 11), _gated),
    Row(lambda: LearnedQueryPooling(Attention(GeneralScore(4, DIM), normalizer=SmoothedNormalizer())), _learned_query),
    Row(lambda: StructuredSelfAttention(DIM, 11, 2), _structured),
    Row(lambda: FeatureTemporalAttention(6), _temporal, ordered=True, in_place=True),
    Row(lambda: FeatureTemporalAttention(6, shared=True), _shared_temporal, ordered=True, in_place=True),
    Row(MeanPooling, _mean),
    Row(MaxPooling, _max),
    Row(LastPooling, _last, ordered=True),
]
each_row = pytest.mark.parametrize("row", ROWS, ids=repr)


def _built(row: Row) -> nn.Module:
    layer = row.build().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            # biases begin at 0, which would hide where they are left out
            parameter.normal_(std=0.7)
    return layer


def _steps() -> torch.Tensor:
    return torch.randn(BATCH, KEYS, DIM, dtype=torch.float64, requires_grad=True)


def _mask() -> torch.Tensor:
    return torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=torch.bool)


def _output(found):
    output, _ = found
    return output


def _gradients(output, *leaves):
    torch.manual_seed(3)
    return torch.autograd.grad((output * torch.randn(output.shape, dtype=output.dtype)).sum(), leaves)


def test_every_pooling_has_a_row():
    offered = {
        name
        for name, thing in vars(heedful.attention).items()
        if isinstance(thing, type) and hasattr(thing, "source") and getattr(thing, "kind", "pooling") == "pooling"
    }
    offered |= {name for name, thing in vars(heedful.attention).items() if _is_pooling(thing)}
    assert {type(row.build()).__name__ for row in ROWS} | {
        "FeatureAttention",
        "HierarchicalAttention",
        "InducedAttention",
        "SeedPooling",
    } == offered


def _is_pooling(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Pooling) and thing is not Pooling


@each_row
def test_a_layer_is_its_formula_with_gradients(row):
    layer, steps = _built(row), _steps()
    output, weights = layer(steps, need_weights=True)
    p = dict(layer.named_parameters())
    wanted = [row.formula(p, x) for x in steps]
    assert_close(output, torch.stack([one for one, _ in wanted]))
    assert_close(weights, torch.stack([one for _, one in wanted]))
    leaves = (steps, *layer.parameters())
    for ours, theirs in zip(
        _gradients(output, *leaves), _gradients(torch.stack([one for one, _ in wanted]), *leaves), strict=True
    ):
        assert_close(ours, theirs)


@each_row
def test_a_masked_layer_reads_the_visible_steps_alone(row):
    layer, steps, mask = _built(row), _steps(), _mask()
    # what depends on the place of a step needs the visible ones in front
    mask = mask if not row.in_place else torch.stack([mask[0], mask[1], mask[1]])
    output, weights = layer(steps, mask, need_weights=True)
    for one, weight, x, seen in zip(output, weights, steps, mask, strict=True):
        wanted, wanted_weights = row.formula(dict(layer.named_parameters()), x[seen])
        assert_close(one[seen] if row.in_place else one, wanted)
        own = weight[seen] if row.in_place else weight[..., seen]
        assert_close(own, wanted_weights)
        hidden = weight[~seen] if row.in_place else weight[..., ~seen]
        assert not hidden.any()


@each_row
def test_gradcheck(row):
    layer, steps, mask = _built(row), _steps(), _mask()
    names = [name for name, _ in layer.named_parameters()]

    def run(steps, *parameters):
        return _output(torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (steps, mask)))

    assert torch.autograd.gradcheck(run, (steps, *layer.parameters()), fast_mode=True)


@each_row
def test_a_hidden_step_may_hold_anything(row):
    layer, steps, mask = _built(row), _steps(), _mask()
    leaves = (steps, *layer.parameters())
    output = _output(layer(steps, mask))
    expected = _gradients(output, *leaves)
    assert not expected[0][~mask].any()
    for poison in POISONS:
        with torch.no_grad():
            steps[~mask] = poison
        found = layer(steps, mask, need_weights=True)
        assert _output(found).isfinite().all()
        assert_close(_output(found), output)
        plain = _output(layer(steps, mask))
        assert plain.equal(output)
        for ours, theirs in zip(_gradients(plain, *leaves), expected, strict=True):
            assert ours.equal(theirs)


@each_row
def test_a_sequence_without_a_visible_step_gives_zeros(row):
    layer, steps, mask = _built(row), _steps(), _mask()
    mask[1] = False
    output, weights = layer(steps, mask, need_weights=True)
    assert not output[1].any()
    assert not weights[1].any()
    gradients = _gradients(output, steps, *layer.parameters())
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][1].any()


@each_row
def test_asking_for_the_weights_changes_nothing_and_they_sum_to_one(row):
    layer, steps, mask = _built(row), _steps(), _mask()
    output, weights = layer(steps, mask, need_weights=True)
    assert tuple(layer(steps, mask))[1] is None
    assert_close(_output(layer(steps, mask)), output)
    sums = weights.sum(1) if row.in_place else weights.sum(-1)
    assert_close(sums, torch.ones_like(sums))
    assert (weights >= 0).all()


@pytest.mark.parametrize("row", [row for row in ROWS if not row.ordered], ids=repr)
def test_shuffling_the_steps_shuffles_the_weights_alone(row):
    layer, steps = _built(row), _steps()
    order = torch.tensor([3, 0, 4, 1, 2])
    output, weights = layer(steps, need_weights=True)
    other, shuffled = layer(steps[:, order], need_weights=True)
    assert_close(other, output)
    assert_close(shuffled, weights[..., order])


@each_row
@given(st.integers(0, 3), st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_further_padding_changes_nothing_and_batch_items_do_not_touch(row, more, lengths):
    layer = _built(row)
    if row.in_place:
        more = min(more, 1)
    steps, lengths = torch.randn(len(lengths), KEYS, DIM, dtype=torch.float64), torch.tensor(lengths)
    output = _output(layer(steps, padding_mask(lengths, KEYS)))
    wider = torch.cat([steps, torch.full((len(lengths), more, DIM), torch.nan, dtype=torch.float64)], 1)
    other = _output(layer(wider, padding_mask(lengths, KEYS + more)))
    assert_close(other[:, :KEYS] if row.in_place else other, output)
    for place in range(len(lengths)):
        alone = _output(layer(steps[place : place + 1], padding_mask(lengths[place : place + 1], KEYS)))
        assert_close(alone[0], output[place])


@each_row
def test_an_empty_batch_gives_an_empty_batch(row):
    output, weights = _built(row)(torch.zeros(0, KEYS, DIM, dtype=torch.float64), need_weights=True)
    assert output.shape[0] == weights.shape[0] == 0


@each_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrower_numbers_come_close(row, dtype):
    wide = _built(row)
    narrow = row.build().to(dtype)
    narrow.load_state_dict(wide.state_dict())
    wide.load_state_dict(narrow.state_dict())
    steps, mask = _steps().detach().to(dtype), _mask()
    output, weights = narrow(steps, mask, need_weights=True)
    expected, expected_weights = wide(steps.double(), mask, need_weights=True)
    assert output.dtype == weights.dtype == dtype
    assert_close(output, expected, dtype)
    assert_close(weights, expected_weights, dtype)


@pytest.mark.compile
@each_row
def test_a_layer_compiles_and_exports(row):
    layer, steps, mask = row.build(), torch.randn(BATCH, KEYS, DIM), _mask()
    expected = tuple(layer(steps, mask, need_weights=True))
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(tuple(compiled(steps, mask, need_weights=True)), expected, strict=True):
        assert_close(ours, theirs)
    program = torch.export.export(layer, (steps, mask))
    assert_close(_output(program.module()(steps, mask)), expected[0])


# --- facts of one layer ---


@pytest.mark.parametrize(("score", "numbers"), [("luong", 35_600), ("bahdanau", 45_700)])
def test_last_state_attention_has_the_parameters_of_keras_attention(score, numbers):
    layer = LastStateAttention(100, score=score)
    assert sum(parameter.numel() for parameter in layer.parameters()) == numbers


def test_last_state_attention_begins_as_in_keras_attention():
    score = LastStateAttention(100, score="bahdanau").attention.score
    for weight, limit in ((score.query_proj, 0.03**0.5), (score.energy, (6 / 101) ** 0.5)):
        assert 0.95 * limit < weight.detach().abs().max() <= limit


def test_attention_pooling_has_the_parameters_of_its_example():
    assert sum(parameter.numel() for parameter in AttentionPooling(300, 50).parameters()) == 15_100


def test_a_learned_query_of_the_additive_score_is_attention_pooling():
    asked = LearnedQueryPooling(Attention(AdditiveScore(4, DIM, 11, bias=True))).double()
    pooling, score = AttentionPooling(DIM, 11).double(), asked.attention.score
    with torch.no_grad():
        score.bias.normal_()
        pooling.weight.copy_(score.key_proj)
        pooling.context_vector.copy_(score.energy)
        pooling.bias.copy_(score.query_proj @ asked.query + score.bias)
    steps = _steps()
    ours, theirs = (layer(steps, _mask(), need_weights=True) for layer in (asked, pooling))
    assert_close(ours.vector, theirs.vector)
    assert_close(ours.weights, theirs.weights)


def test_one_hop_is_attention_pooling_without_a_bias():
    hops, pooling = StructuredSelfAttention(DIM, 11, hops=1).double(), AttentionPooling(DIM, 11).double()
    with torch.no_grad():
        pooling.weight.copy_(hops.inner_proj)
        pooling.context_vector.copy_(hops.hop_proj[0])
    steps = _steps()
    assert_close(hops(steps, _mask()).context.squeeze(1), pooling(steps, _mask()).vector)


def test_att_blstm_pooling_is_attention_pooling_with_the_identity_then_tanh():
    blstm, pooling = AttBlstmPooling(DIM).double(), AttentionPooling(DIM, DIM).double()
    with torch.no_grad():
        pooling.weight.copy_(torch.eye(DIM))
        pooling.context_vector.copy_(blstm.weight)
    steps = _steps()
    assert_close(blstm(steps, _mask()).vector, torch.tanh(pooling(steps, _mask()).vector))


def test_a_gate_that_is_open_is_attention_pooling():
    gated, pooling = GatedPooling(DIM, 11).double(), AttentionPooling(DIM, 11).double()
    with torch.no_grad():
        gated.gate_weight.zero_()
        gated.gate_bias.fill_(60)
        for name, parameter in pooling.named_parameters():
            parameter.copy_(gated.get_parameter(name))
    steps = _steps()
    assert_close(gated(steps, _mask()).vector, pooling(steps, _mask()).vector)


@pytest.mark.parametrize(
    ("build", "last"), [(AttentiveStatisticsPooling, "context_vector"), (ChannelStatisticsPooling, "channel_proj")]
)
def test_statistics_under_uniform_weights_are_the_mean_and_the_spread_of_the_population(build, last):
    layer, steps = build(DIM, 11).double(), _steps()
    nn.init.zeros_(layer.get_parameter(last))
    assert_close(layer(steps).vector, torch.cat([steps.mean(1), steps.std(1, correction=0)], 1))
    for pooling in (AttentiveStatisticsPooling(DIM, 400), GatedPooling(DIM, 400)):
        assert 0.8 < pooling.context_vector.std().item() * 20 < 1.2


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (MeanPooling, lambda step: step),
        (MaxPooling, lambda step: step),
        (LastPooling, lambda step: step),
        (lambda: AttentionPooling(DIM, 11), lambda step: step),
        (lambda: GatedPooling(DIM, 11), lambda step: step),
        (lambda: StructuredSelfAttention(DIM, 11, 2), lambda step: step.unsqueeze(1).expand(-1, 2, -1)),
        (lambda: AttBlstmPooling(DIM), torch.tanh),
        (lambda: AttentiveStatisticsPooling(DIM, 11), lambda step: torch.cat((step, step * 0 + 1e-6), 1)),
        (lambda: ChannelStatisticsPooling(DIM, 11), lambda step: torch.cat((step, step * 0 + 1e-6), 1)),
    ],
)
def test_one_visible_step_is_read_whole(build, expected):
    steps = _steps()
    output = _output(build().double()(steps, torch.arange(KEYS) == torch.full((BATCH, 1), 2)))
    assert_close(output, expected(steps[:, 2]))


@pytest.mark.parametrize("build", [AttentiveStatisticsPooling, ChannelStatisticsPooling])
def test_statistics_of_a_constant_far_from_zero_have_no_spread_and_finite_slopes(build):
    layer, steps = build(DIM, 11), torch.full((BATCH, KEYS, DIM), 1e4, requires_grad=True)
    vector = layer(steps, _mask()).vector
    assert (vector[:, DIM:] < 1e-2).all()
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(vector.sum(), (steps, *layer.parameters())))


def test_temporal_attention_without_weight_is_the_mean_times_the_step():
    layer, steps = FeatureTemporalAttention(KEYS).double(), _steps()
    nn.init.zeros_(layer.weight)
    assert_close(layer(steps).output, steps / KEYS)


@pytest.mark.parametrize("rescale", [False, True])
def test_feature_attention_is_its_formula_with_gradients(rescale):
    layer, x = FeatureAttention(DIM, rescale).double(), torch.randn(BATCH, DIM, dtype=torch.float64, requires_grad=True)
    nn.init.normal_(layer.bias)
    output, weights = layer(x, need_weights=True)
    rows = [_softmax(layer.weight @ one + layer.bias) for one in x]
    assert_close(weights, torch.stack(rows))
    assert_close(output, torch.stack([w * one for w, one in zip(rows, x, strict=True)]) * (DIM if rescale else 1))
    assert layer(x).weights is None
    assert torch.autograd.gradcheck(lambda x: layer(x).output, x)


def test_feature_attention_without_weight_is_x_over_its_features():
    layer, x = FeatureAttention(DIM).double(), torch.randn(BATCH, DIM, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    assert_close(layer(x).output, x / DIM)


# --- what a person reads ---


@pytest.mark.messages
@each_row
def test_a_wrong_call_says_what_was_expected(row):
    layer = row.build()
    with pytest.raises(ValueError, match=r"has shape \(3, 7\); expected \[batch, steps, .*sequence\[None\]"):
        layer(torch.zeros(3, DIM))
    with pytest.raises(ValueError, match=r"has shape \(3, 0, 7\), no steps; expected \[batch, .* at least one step"):
        layer(torch.zeros(3, 0, DIM))
    with pytest.raises(ValueError, match=r"the sequence is int64; expected floating-point features\. Put an emb"):
        layer(torch.zeros(BATCH, KEYS, DIM, dtype=torch.long))
    with pytest.raises(ValueError, match=r"mask is float32; a mask is boolean"):
        layer(torch.zeros(BATCH, KEYS, DIM), torch.ones(BATCH, KEYS))
    with pytest.raises(ValueError, match=r"mask has shape \(3, 4\); expected \[batch, steps\] = \[3, 5\]\."):
        layer(torch.zeros(BATCH, KEYS, DIM), torch.ones(BATCH, 4, dtype=torch.bool))
    if getattr(layer, "dim", None):
        with pytest.raises(ValueError, match=r"has 2 features; the layer expected 7\. Build it for 2, or"):
            layer(torch.zeros(BATCH, KEYS, 2))


@pytest.mark.messages
def test_sizes_and_names_are_refused_when_built():
    with pytest.raises(
        ValueError, match=r"score is 'loung'; expected one of 'luong', 'bahdanau', 'dot', 'scaled_dot'\."
    ):
        LastStateAttention(4, score="loung")
    with pytest.raises(ValueError, match=r"units is 2\.5; expected a whole number \(int\) from 1 up\."):
        LastStateAttention(4, units=2.5)
    with pytest.raises(ValueError, match=r"units is 0; expected a whole number"):
        LastStateAttention(4, units=0)
    for build in (AttentionPooling, AttentiveStatisticsPooling, GatedPooling, StructuredSelfAttention):
        with pytest.raises(ValueError, match=r"attention_dim is 0; expected a whole number"):
            build(4, 0, *([1] if build is StructuredSelfAttention else []))
    with pytest.raises(ValueError, match=r"activation is 'sine'; expected one of 'tanh', 'relu'\."):
        AttentiveStatisticsPooling(4, 3, "sine")
    for build in (AttBlstmPooling, FeatureAttention):
        with pytest.raises(ValueError, match=r"dim is -1; expected a whole number"):
            build(-1)
    with pytest.raises(ValueError, match=r"max_len is 0; expected the length of the longest sequence"):
        FeatureTemporalAttention(0)


@pytest.mark.messages
def test_feature_layers_say_what_they_take():
    with pytest.raises(ValueError, match=r"has shape \(2, 5, 4\); expected \[batch, features\]\. For sequences use"):
        FeatureAttention(4)(torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match=r"the input has 5 features; the layer expected 4\."):
        FeatureAttention(4)(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"the input is int64; expected floating-point features\."):
        FeatureAttention(4)(torch.zeros(2, 4).long())
    with pytest.raises(ValueError, match=r"the sequence has 5 steps; the layer expected at most 4\. Build it"):
        FeatureTemporalAttention(4)(torch.zeros(2, 5, 3))
