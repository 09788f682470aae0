"""Attention over sets, put together from torch's own multi-head attention, and what may not be seen."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful import padding_mask
from heedful.attention import InducedAttention, SeedPooling
from tests.tolerances import TOLERANCES, assert_close

BATCH, KEYS, DIM, HEADS = 3, 5, 6, 2
POISONS = (torch.nan, torch.inf, 1e30)
BUILDS = {
    "seeds": lambda: SeedPooling(DIM, HEADS, seeds=4),
    "induced": lambda: InducedAttention(DIM, HEADS, points=4),
    "seeds of the code": lambda: SeedPooling(DIM, HEADS, 4, "code"),
    "induced of the code": lambda: InducedAttention(DIM, HEADS, 4, "code"),
}
each = pytest.mark.parametrize("name", BUILDS)


def network(name: str) -> nn.Module:
    layer = BUILDS[name]().double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return layer


def elements():
    return torch.randn(BATCH, KEYS, DIM, dtype=torch.float64, requires_grad=True)


def some_mask():
    return torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=torch.bool)


def block_of_torch(block, query, key):
    """The paper's equations 6 and 7 for sets without padding."""
    attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True, dtype=torch.float64)
    parts = (block.query_proj, block.key_proj, block.value_proj)
    state = {
        "in_proj_weight": torch.cat([part.weight for part in parts]),
        "in_proj_bias": torch.cat([part.bias for part in parts]),
        "out_proj.weight": block.output_proj.weight,
        "out_proj.bias": block.output_proj.bias,
    }
    context, weights = torch.func.functional_call(attention, state, (query, key, key))

    def norm(layer, x):
        return nn.functional.layer_norm(x, (DIM,), layer.weight, layer.bias)

    inner = norm(block.first_norm, query + context)
    return norm(block.second_norm, inner + (inner @ block.inner_proj.weight.T + block.inner_proj.bias).relu()), weights


def block_of_the_code(block, query, key):
    """What the authors' code computes, head after head: its own residual and scale, no norms."""

    def project(name, x):
        return x @ getattr(block, name).weight.T + getattr(block, name).bias

    asked, known, read = project("query_proj", query), project("key_proj", key), project("value_proj", key)
    parts, rows = [], []
    for head in range(HEADS):
        own = slice(head * DIM // HEADS, (head + 1) * DIM // HEADS)
        rows.append(torch.softmax(asked[..., own] @ known[..., own].transpose(1, 2) / DIM**0.5, 2))
        parts.append(asked[..., own] + rows[-1] @ read[..., own])
    inner = torch.cat(parts, 2)
    return inner + project("inner_proj", inner).relu(), sum(rows) / HEADS


def by_torch(name, layer, sequence):
    """One set at a time, of its visible elements alone."""
    x = sequence.unsqueeze(0)
    block: Any = block_of_the_code if name.endswith("code") else block_of_torch
    if name.startswith("seeds"):
        inner = x if name.endswith("code") else (x @ layer.inner_proj.weight.T + layer.inner_proj.bias).relu()
        output, weights = block(layer.block, layer.seeds.unsqueeze(0), inner)
        return output[0], weights[0]
    gathered, gathering = block(layer.gather, layer.points.unsqueeze(0), x)
    output, spreading = block(layer.spread, x, gathered)
    return output[0], (spreading @ gathering)[0]


@each
def test_it_is_made_of_its_blocks_with_gradients(name):
    layer, x, mask = network(name), elements(), some_mask()
    context, weights = layer(x, mask, need_weights=True)
    loss = 0
    for output, weight, own, seen in zip(context, weights, x, mask, strict=True):
        wanted, wanted_weights = by_torch(name, layer, own[seen])
        rows = seen if name.startswith("induced") else slice(None)
        assert_close(output[rows], wanted)
        assert_close(weight[rows][:, seen], wanted_weights)
        assert not weight[:, ~seen].any()
        loss = loss + wanted.pow(3).sum()
    leaves = (x, *layer.parameters())
    ours = torch.autograd.grad(context.pow(3).sum(), leaves)
    for one, other in zip(ours, torch.autograd.grad(loss, leaves), strict=True):
        assert_close(one, other)


@each
def test_a_hidden_element_may_hold_anything_and_an_empty_set_gives_zeros(name):
    layer, x, mask = network(name), elements(), some_mask()
    mask[1] = False
    leaves = (x, *layer.parameters())
    context, weights = layer(x, mask, need_weights=True)
    assert not context[1].any()
    assert not weights[1].any()
    slopes = torch.autograd.grad(context.sin().sum(), leaves)
    assert all(slope.isfinite().all() for slope in slopes)
    assert not slopes[0][~mask].any()
    for poison in POISONS:
        with torch.no_grad():
            x[~mask] = poison
        again = layer(x, mask).context
        assert again.equal(context)
        others = torch.autograd.grad(again.sin().sum(), leaves)
        assert all(one.equal(other) for one, other in zip(slopes, others, strict=True))


@each
def test_the_order_of_a_set_says_nothing(name):
    layer, x = network(name), elements()
    order = torch.tensor([3, 0, 4, 1, 2])
    output, other = layer(x).context, layer(x[:, order]).context
    assert_close(other, output[:, order] if name.startswith("induced") else output)


@each
@given(st.integers(0, 3), st.lists(st.integers(0, KEYS), min_size=1, max_size=4))
def test_further_padding_changes_nothing_and_sets_do_not_touch(name, more, lengths):
    layer, lengths = network(name), torch.tensor(lengths)
    x = torch.randn(len(lengths), KEYS, DIM, dtype=torch.float64)
    output = layer(x, padding_mask(lengths, KEYS)).context
    wider = torch.cat([x, torch.full((len(lengths), more, DIM), torch.nan, dtype=torch.float64)], 1)
    assert_close(layer(wider, padding_mask(lengths, KEYS + more)).context[:, : output.shape[1]], output)
    for place in range(len(lengths)):
        assert_close(
            layer(x[place : place + 1], padding_mask(lengths[place : place + 1], KEYS)).context[0], output[place]
        )


@each
def test_weights_sum_to_one_and_come_when_asked_for(name):
    layer, x = network(name), elements()
    context, weights = layer(x, need_weights=True)
    assert layer(x).weights is None
    assert layer(x).context.equal(context)
    assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    assert layer(torch.zeros(0, KEYS, DIM, dtype=torch.float64)).context.shape[0] == 0
    assert torch.autograd.gradcheck(lambda x: layer(x, some_mask()).context, x)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrower_numbers_come_close(name, dtype):
    wide = BUILDS[name]().double()
    narrow = BUILDS[name]().to(dtype)
    narrow.load_state_dict(wide.state_dict())
    wide.load_state_dict(narrow.state_dict())
    x, mask = elements().detach().to(dtype), some_mask()
    found, expected = narrow(x, mask).context, wide(x.double(), mask).context
    assert found.dtype == dtype
    relative, absolute = TOLERANCES[dtype]
    # two blocks round one after the other: the table is for one
    torch.testing.assert_close(found.double(), expected, rtol=2 * relative, atol=2 * absolute)


@pytest.mark.compile
@each
def test_it_compiles_and_exports(name):
    layer, x, mask = network(name), elements(), some_mask()
    expected = layer(x, mask).context
    assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(x, mask).context, expected)
    assert_close(torch.export.export(layer, (x, mask)).module()(x, mask).context, expected)


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"dim is 6 and num_heads 4; expected a multiple\. Try num_heads=1"):
        SeedPooling(6, 4)
    with pytest.raises(ValueError, match=r"faithful_to is 'me'; expected one of 'paper', 'code'"):
        SeedPooling(6, 2, 1, "me")
    with pytest.raises(ValueError, match=r"seeds is 0; expected a whole number"):
        SeedPooling(6, 2, 0)
    with pytest.raises(ValueError, match=r"points is -1; expected a whole number"):
        InducedAttention(6, 2, -1)
    for name in BUILDS:
        with pytest.raises(ValueError, match=r"the sequence has 5 features; the layer expected 6"):
            network(name)(torch.zeros(2, 3, 5, dtype=torch.float64))
