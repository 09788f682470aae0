"""Several sources: contexts weighed in turn, and keys side by side."""

import pytest
import torch
from torch import nn

from heedful import BahdanauAttention, CoverageAttention, LuongAttention
from heedful.attention import Attention, FlatMultiSourceAttention, FusedContexts, MultiSourceAttention
from heedful.attention.scores import DotScore
from heedful.attention.state import reorder
from tests.tolerances import assert_close

BATCH, QUERIES, OUT = 2, 3, 8
POISONS = (torch.nan, torch.inf, 1e30)


def network() -> MultiSourceAttention:
    layer = MultiSourceAttention([LuongAttention(4, 5), LuongAttention(4, 6)], hidden_dim=7, out_dim=OUT).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def draw():
    sizes = ((BATCH, QUERIES, 4), (BATCH, 5, 5), (BATCH, 2, 6))
    return [torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in sizes]


def by_loop(layer, query, sources):
    """The paper's equations 8 to 10 for one query over what is visible of each source; absent ones are empty."""
    p, contexts, scores = dict(layer.named_parameters()), [], []
    for place, source in enumerate(sources):
        if not len(source):
            continue
        weights = torch.softmax(torch.stack([query @ p[f"attentions.{place}.score.weight"] @ key for key in source]), 0)
        context = weights @ source
        inner = p["query_proj.weight"] @ query + p["query_proj.bias"] + p[f"context_projs.{place}"] @ context
        scores.append(p["energy"] @ torch.tanh(inner))
        contexts.append(p[f"output_projs.{place}"] @ context)
    if not contexts:
        return torch.zeros(OUT, dtype=torch.float64)
    return torch.softmax(torch.stack(scores), 0) @ torch.stack(contexts)


def test_it_is_the_formula_with_gradients_and_an_absent_source_drops_out():
    layer, (query, first, second) = network(), draw()
    masks = [torch.tensor([[[True] * 4 + [False]], [[True, False, True, True, True]]]), torch.ones(BATCH, 1, 2) > 0]
    masks[1][1] = False
    output = layer(query, [first, second], masks, need_weights=True)
    seen = [
        [source[item][mask[item, 0]] for source, mask in zip((first, second), masks, strict=True)]
        for item in range(BATCH)
    ]
    wanted = torch.stack(
        [torch.stack([by_loop(layer, one, seen[item]) for one in query[item]]) for item in range(BATCH)]
    )
    assert_close(output.context, wanted)
    assert_close(layer(query, [first, second], masks).context, wanted)
    assert not output.source_weights[1, :, 1].any()
    assert_close(output.source_weights.sum(2), torch.ones(BATCH, QUERIES))
    assert [weights.shape[2] for weights in output.weights] == [5, 2]
    leaves = (query, first, second, *layer.parameters())
    ours = torch.autograd.grad(output.context.square().sum(), leaves)
    for one, other in zip(ours, torch.autograd.grad(wanted.square().sum(), leaves), strict=True):
        assert_close(one, other)


def test_sum_and_concatenation_are_the_contexts_put_together_and_an_absent_source_adds_nothing():
    attentions = [LuongAttention(4, 5), LuongAttention(4, 6)]
    summed = MultiSourceAttention(attentions, out_dim=OUT, combine="sum").double()
    joined = MultiSourceAttention(attentions, combine="concat").double()
    query, *sources = draw()
    masks = [None, torch.tensor([[[True, False]], [[False, False]]])]
    contexts = [one(query, key, mask=mask).context for one, key, mask in zip(attentions, sources, masks, strict=True)]
    assert not contexts[1][1].any()
    assert_close(joined(query, sources, masks).context, torch.cat(contexts, 2))
    matrix = torch.cat(list(summed.output_projs), 1)
    assert_close(summed(query, sources, masks).context, torch.cat(contexts, 2) @ matrix.T)
    output = summed(query, sources, masks, need_weights=True)
    assert output.source_weights is None
    assert [weights.shape[2] for weights in output.weights] == [5, 2]
    assert {name.split(".")[0] for name, _ in summed.named_parameters()} == {"attentions", "output_projs"}
    assert {name.split(".")[0] for name, _ in joined.named_parameters()} == {"attentions"}


def test_one_source_is_its_own_context_projected():
    layer = MultiSourceAttention([BahdanauAttention(4, 5, 9)], 7, OUT).double()
    query, first, _ = draw()
    wanted = layer.attentions[0](query, first).context @ layer.output_projs[0].T
    assert_close(layer(query, [first]).context, wanted)


def test_two_sources_that_are_alike_count_alike():
    attention = BahdanauAttention(4, 5, 9)
    layer = MultiSourceAttention([attention, attention], 7, OUT).double()
    with torch.no_grad():
        layer.context_projs[1].copy_(layer.context_projs[0])
    query, first, _ = draw()
    output = layer(query, [first, first], need_weights=True)
    assert_close(output.source_weights, torch.full((BATCH, QUERIES, 2), 0.5))


@pytest.mark.parametrize("flat", [False, True])
def test_what_is_hidden_may_hold_anything_and_nothing_visible_gives_zeros(flat):
    layer = FlatMultiSourceAttention(BahdanauAttention(4, 8, 7), [5, 6]).double() if flat else network()
    query, first, second = draw()
    masks = [torch.ones(BATCH, 1, 5) > 0, None]
    masks[0][0, 0, 2] = False
    masks[1] = torch.ones(BATCH, 1, 2) > 0
    masks[0][1], masks[1][1] = False, False
    leaves = (query, first, second, *layer.parameters())
    context = layer(query, [first, second], masks).context
    assert not context[1].any()
    slopes = torch.autograd.grad(context.square().sum(), leaves)
    assert all(slope.isfinite().all() for slope in slopes)
    assert not slopes[1][0, 2].any()
    for poison in POISONS:
        with torch.no_grad():
            first[0, 2], first[1], second[1] = poison, poison, poison
        again = layer(query, [first, second], masks).context
        assert again.equal(context)
        others = torch.autograd.grad(again.square().sum(), leaves)
        assert all(one.equal(other) for one, other in zip(slopes, others, strict=True))


def test_step_by_step_with_states_that_a_beam_reorders():
    layer = MultiSourceAttention([CoverageAttention(4, 5, 7), BahdanauAttention(4, 6, 7)], 7, OUT).double()
    query, first, second = draw()
    memory, states, steps = layer.remember([first, second]), None, []
    for step in range(QUERIES):
        output, states = layer.look(query[:, step : step + 1], memory, states)
        steps.append(output.context)
    assert_close(torch.cat(steps, 1), layer(query, [first, second]).context)
    order = torch.tensor([1, 1, 0])
    moved, _ = layer.look(query[order, :1], reorder(memory, order), reorder(states, order))
    assert_close(moved.context, layer.look(query[:, :1], memory, states)[0].context[order])


def test_flat_is_one_softmax_over_all_keys():
    layer, (query, first, second) = FlatMultiSourceAttention(Attention(DotScore(4)), [5, 6]).double(), draw()
    masks = [torch.tensor([[[True] * 4 + [False]], [[True] * 5]]), None]
    output = layer(query, [first, second], masks, need_weights=True)
    keys = torch.cat([source @ p.weight.T for source, p in zip((first, second), layer.projections, strict=True)], 1)
    scores = query @ keys.transpose(1, 2)
    weights = scores.masked_fill(torch.tensor([[4], [7]]).view(2, 1, 1) == torch.arange(7), -torch.inf).softmax(2)
    assert_close(output.weights, weights)
    assert_close(output.context, weights @ keys)
    memory = layer.remember([first, second], masks)
    assert_close(layer.attention.step(query[:, 1:2], memory)[0].context, output.context[:, 1:2])


def test_two_contexts_are_mixed_by_a_gate():
    fuse = FusedContexts(4, 5).double()
    query, first, second = (torch.randn(BATCH, QUERIES, size).double() for size in (4, 5, 5))
    gate = torch.sigmoid(torch.cat((query, first, second), 2) @ fuse.gate.weight.T + fuse.gate.bias)
    assert_close(fuse(query, first, second), gate * first + (1 - gate) * second)
    nn.init.zeros_(fuse.gate.weight)
    assert_close(fuse(query, first, second), (first + second) / 2)
    leaves = [tensor.requires_grad_() for tensor in (query, first, second)]
    assert torch.autograd.gradcheck(fuse, leaves)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_numbers_come_close(dtype):
    wide = MultiSourceAttention([LuongAttention(4, 5), LuongAttention(4, 6)], 7, OUT).double()
    narrow = MultiSourceAttention([LuongAttention(4, 5), LuongAttention(4, 6)], 7, OUT).to(dtype)
    narrow.load_state_dict(wide.state_dict())
    wide.load_state_dict(narrow.state_dict())
    query, first, second = (tensor.detach().to(dtype) for tensor in draw())
    found = narrow(query, [first, second]).context
    assert found.dtype == dtype
    assert_close(found, wide(query.double(), [first.double(), second.double()]).context, dtype)


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"there are 2 attentions, for queries of \[3, 4\] features; expected at least"
    ):
        MultiSourceAttention([LuongAttention(4, 5), LuongAttention(3, 5)], 7, 8)
    with pytest.raises(ValueError, match=r"combine is 'mean'; expected one of 'attention', 'sum', 'concat'"):
        MultiSourceAttention([LuongAttention(4, 5)], 7, 8, "mean")  # pyright: ignore[reportArgumentType]
    for combine, name in (("sum", "out_dim"), ("attention", "hidden_dim")):
        with pytest.raises(ValueError, match=rf"{name} is None; expected a whole number"):
            MultiSourceAttention([LuongAttention(4, 5)], None, None if combine == "sum" else 8, combine)
    with pytest.raises(ValueError, match=r"there are 0 attentions"):
        MultiSourceAttention([], 7, 8)
    with pytest.raises(ValueError, match=r"there are 1 sources and 1 masks; expected 2, one for each attention"):
        network()(torch.zeros(2, 3, 4), [torch.zeros(2, 5, 5)])
    with pytest.raises(ValueError, match=r"key_dims\[1\] is 0; expected a whole number"):
        FlatMultiSourceAttention(LuongAttention(4, 5), [5, 0])
    with pytest.raises(ValueError, match=r"key_dims is empty"):
        FlatMultiSourceAttention(LuongAttention(4, 5), [])
    with pytest.raises(ValueError, match=r"there are 1 sources and 1 masks; expected 2 of each"):
        FlatMultiSourceAttention(LuongAttention(4, 5), [5, 6])(torch.zeros(2, 3, 4), [torch.zeros(2, 5, 5)])
    with pytest.raises(ValueError, match=r"second has 6 features; FusedContexts expected 5"):
        FusedContexts(4, 5)(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5), torch.zeros(2, 3, 6))
