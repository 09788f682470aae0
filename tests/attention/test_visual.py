"""Visual attention: the additive score and a softmax, behind a gate."""

import pytest
import torch
from torch import nn

from heedful.attention import Attention, VisualAttention
from heedful.attention.normalizers import (
    HardmaxNormalizer,
    SampledHardNormalizer,
    SparsemaxNormalizer,
    StraightThroughNormalizer,
)
from heedful.attention.scores import AdditiveScore
from heedful.layers import Recurrent
from heedful.models import EncoderOutput, LookThenUpdateDecoder
from tests.tolerances import assert_close

BATCH, QUERIES, REGIONS = 2, 3, 5
POISONS = (torch.nan, torch.inf, -torch.inf, 1e30)


def network(**options) -> VisualAttention:
    layer = VisualAttention(4, 6, 11, **options).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def draw():
    query = torch.randn(BATCH, QUERIES, 4, dtype=torch.float64, requires_grad=True)
    return query, torch.randn(BATCH, REGIONS, 6, dtype=torch.float64, requires_grad=True)


def by_loop(layer, query, regions):
    """The paper's equations for one query: scores, weights, and the gate on the context."""
    score = layer.attention.score
    p, activation = (score.additive, torch.relu) if hasattr(score, "additive") else (score, torch.tanh)
    scores = [p.energy @ activation(p.query_proj @ query + p.key_proj @ region + p.bias) for region in regions]
    weights = torch.softmax(torch.stack(scores), 0)
    beta = torch.sigmoid(layer.gate.weight @ query + layer.gate.bias)
    return beta * sum(weight * region for weight, region in zip(weights, regions, strict=True)), weights


@pytest.mark.parametrize(("gate", "activation"), [("scalar", "tanh"), ("vector", "tanh"), ("vector", "relu")])
def test_it_is_the_formula_with_gradients(gate, activation):
    layer, (query, regions) = network(gate=gate, activation=activation), draw()
    output = layer(query, regions, need_weights=True)
    found = [[by_loop(layer, one, seen) for one in asked] for asked, seen in zip(query, regions, strict=True)]
    context = torch.stack([torch.stack([context for context, _ in row]) for row in found])
    assert_close(output.context, context)
    assert_close(output.weights, torch.stack([torch.stack([weights for _, weights in row]) for row in found]))
    assert_close(layer(query, regions).context, context)
    leaves = (query, regions, *layer.parameters())
    ours = torch.autograd.grad(output.context.square().sum(), leaves)
    for one, other in zip(ours, torch.autograd.grad(context.square().sum(), leaves), strict=True):
        assert_close(one, other)


def test_without_a_gate_it_is_the_additive_score_and_a_softmax():
    layer, (query, regions) = network(gate=None), draw()
    plain = Attention(AdditiveScore(4, 6, 11, bias=True)).double()
    plain.load_state_dict(layer.attention.state_dict())
    assert layer(query, regions).context.equal(plain(query, regions).context)


@pytest.mark.parametrize("normalizer", [HardmaxNormalizer, StraightThroughNormalizer, SparsemaxNormalizer])
def test_any_normaliser_will_do_and_a_hard_one_reads_one_region(normalizer):
    layer, (query, regions) = network(normalizer=normalizer(), gate=None), draw()
    context, weights = layer(query, regions, need_weights=True)
    assert_close(weights.sum(-1), torch.ones(BATCH, QUERIES))
    if normalizer is not SparsemaxNormalizer:
        assert_close(context, regions[torch.arange(BATCH)[:, None], weights.argmax(-1)])


def test_hard_attention_reads_the_gated_region_that_it_drew_and_learns_by_its_chance():
    layer = network(normalizer=SampledHardNormalizer(expected=0.0))
    query, regions = draw()
    memory, logs = layer.remember(regions), []
    output, state = layer.look(query, memory, need_weights=True)
    assert output.weights is not None
    assert output.weights.sort(-1).values.unique(dim=1).unique(dim=0).tolist() == [[[0.0] * (REGIONS - 1) + [1.0]]]
    for item in range(BATCH):
        for word in range(QUERIES):
            place = int(output.weights[item, word].argmax())
            _, chances = by_loop(layer, query[item, word], regions[item])
            gate = torch.sigmoid(layer.gate.weight @ query[item, word] + layer.gate.bias)
            assert_close(output.context[item, word], gate * regions[item, place])
            logs.append(chances[place].log())
    drawn = state.normalizer.log_prob
    assert_close(drawn, torch.stack(logs).view(BATCH, QUERIES).sum(1))
    learned = (layer.attention.score.energy, query)
    for ours, theirs in zip(
        torch.autograd.grad(drawn.sum(), learned), torch.autograd.grad(sum(logs), learned), strict=True
    ):
        assert_close(ours, theirs)
    soft = network()
    soft.load_state_dict(layer.state_dict())
    assert_close(layer.eval()(query, regions).context, soft(query, regions).context)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_hidden_region_may_hold_anything_and_nothing_visible_gives_zeros(activation):
    layer, (query, regions) = network(activation=activation), draw()
    mask = torch.ones(BATCH, 1, REGIONS, dtype=torch.bool)
    mask[0, :, 3] = False
    mask[1] = False
    leaves = (query, regions, *layer.parameters())
    context = layer(query, regions, mask).context
    assert not context[1].any()
    slopes = torch.autograd.grad(context.sum(), leaves)
    assert not slopes[1][0, 3].any()
    assert not slopes[0][1].any()
    for poison in POISONS:
        with torch.no_grad():
            regions[0, 3], regions[1] = poison, poison
        again = layer(query, regions, mask).context
        assert again.equal(context)
        others = torch.autograd.grad(again.sum(), leaves)
        assert all(one.equal(other) for one, other in zip(slopes, others, strict=True))


def test_word_by_word_is_all_words_at_once():
    layer, (query, regions) = network(), draw()
    whole, state = layer(query, regions, need_weights=True), None
    assert whole.weights is not None
    memory = layer.remember(regions)
    for word in range(QUERIES):
        output, state = layer.step(query[:, word : word + 1], memory, state, need_weights=True)
        assert_close(output.context[:, 0], whole.context[:, word])
        assert output.weights is not None
        assert_close(output.weights[:, 0], whole.weights[:, word])


def test_a_decoder_looks_through_it():
    layer = VisualAttention(7, 6, 11)
    decoder = LookThenUpdateDecoder(layer, Recurrent("lstm", 5 + 6, 7), 5, context_dim=6, summary_dim=6, output_dim=4)
    regions = torch.randn(BATCH, REGIONS, 6)
    mask = torch.ones(BATCH, 1, REGIONS, dtype=torch.bool)
    encoded = decoder.remember(EncoderOutput(regions, regions.mean(1)), mask)
    output = decoder(torch.randn(BATCH, QUERIES, 5), decoder.start(encoded), encoded, need_weights=True)
    assert_close(output.weights.sum(-1), torch.ones(BATCH, QUERIES))
    output.features.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_it_begins_as_in_the_paper_on_request():
    layer = VisualAttention(50, 60, 50, init="paper")
    square = layer.attention.score.query_proj
    assert_close(square @ square.T, torch.eye(50))
    assert 0.008 < layer.attention.score.key_proj.std() < 0.012
    assert not layer.gate.bias.any()
    assert not layer.attention.score.bias.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrower_numbers_come_close(dtype):
    wide, (query, regions) = network(), draw()
    narrow = VisualAttention(4, 6, 11).to(dtype)
    narrow.load_state_dict(wide.state_dict())
    wide.load_state_dict(narrow.state_dict())
    query, regions = query.detach().to(dtype), regions.detach().to(dtype)
    found, expected = narrow(query, regions), wide(query.double(), regions.double())
    assert found.context.dtype == dtype
    assert_close(found.context, expected.context, dtype)


@pytest.mark.compile
def test_it_compiles_and_exports():
    layer, (query, regions) = network(), draw()
    expected = layer(query, regions).context
    assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(query, regions).context, expected)
    assert_close(torch.export.export(layer, (query, regions)).module()(query, regions).context, expected)


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"gate is 'both'; expected one of 'scalar', 'vector'\."):
        VisualAttention(4, 6, 11, gate="both")
    with pytest.raises(ValueError, match=r"activation is 'sine'; expected one of 'tanh', 'relu'\."):
        VisualAttention(4, 6, 11, activation="sine")
    with pytest.raises(ValueError, match=r"init is 'xavier'; expected one of 'glorot', 'paper'\."):
        VisualAttention(4, 6, 11, init="xavier")
    with pytest.raises(ValueError, match=r"key has 5 features; AdditiveScore expected 6\."):
        VisualAttention(4, 6, 11)(torch.zeros(2, 3, 4), torch.zeros(2, 5, 5))
