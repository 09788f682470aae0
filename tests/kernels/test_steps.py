"""Remembered keys: many steps are as many full calls, and all of them reach the keys."""

import pytest
import torch

from heedful._pytree import concatenate, reorder
from heedful.functional import additive_attention, additive_scores, padding_mask, remember_keys, remember_values
from tests.kernels import oracle
from tests.kernels.oracle import leaves
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("path")


def inputs(batch=3, keys=7, units=16, value_dim=16, steps=4, dtype=torch.float32, scale=1.0, key_scale=1.0):
    key, value = (
        torch.randn(batch, keys, units, dtype=dtype) * key_scale,
        torch.randn(batch, keys, value_dim, dtype=dtype),
    )
    queries = torch.randn(batch, steps, units, dtype=dtype) * scale
    return queries, key, value, torch.randn(units, dtype=dtype)


def run(queries, key, value, energy, mask, flows):
    """Steps one by one over a memory: contexts, weights, scores, and their loss."""
    memory, values = remember_keys(key), remember_values(value)
    found = []
    for step in range(queries.shape[1]):
        query = queries[:, step : step + 1]
        scores = additive_scores(query, memory, energy)
        found.append((*additive_attention(query, memory, values, energy, mask, need_weights=True), scores))
    outputs = [torch.cat(parts, 1) for parts in zip(*found, strict=True)]
    return outputs, sum((output * flow).sum() for output, flow in zip(outputs, flows, strict=True))


def expected(queries, key, value, energy, mask, flows):
    context, weights = oracle.attention(queries, key, value, energy, mask)
    outputs = [context, weights, oracle.scores(queries, key, energy)]
    return outputs, sum((output * flow).sum() for output, flow in zip(outputs, flows, strict=True))


CASES = {
    "plain": {},
    "units and values of no whole register": {"units": 5, "value_dim": 3},
    "float64": {"dtype": torch.float64},
    "queries beyond the factors": {"scale": 50.0},
    "keys beyond the factors": {"key_scale": 50.0},
    "many steps": {"steps": 50},
}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_steps_over_a_memory_equal_one_call(case, masked):
    tensors = inputs(**CASES[case])
    batch, keys = tensors[1].shape[:2]
    mask = padding_mask(torch.arange(batch) + 2, keys) if masked else None
    steps = tensors[0].shape[1]
    flows = [torch.randn(batch, steps, size, dtype=tensors[0].dtype) for size in (tensors[2].shape[2], keys, keys)]
    own, exact = leaves(*tensors), leaves(*tensors, dtype=torch.float64)
    outputs, loss = run(*own, mask, flows)
    wanted, wanted_loss = expected(*exact, mask, flows)
    for output, want in zip(outputs, wanted, strict=True):
        assert_close(output, want)
    found = torch.autograd.grad(loss, own)
    for gradient, want in zip(found, torch.autograd.grad(wanted_loss, exact), strict=True):
        # float32: sums over 50 steps of gradients near 10 leave more than 1e-5 of their largest
        assert_close(gradient / want.abs().max(), want / want.abs().max())


def test_a_second_backward_pass_finds_no_notes_of_the_first():
    tensors = leaves(*inputs())
    flows = [torch.randn(3, 4, 16), torch.randn(3, 4, 7), torch.randn(3, 4, 7)]
    _, loss = run(*tensors, None, flows)
    # This pass never reaches the keys, and its notes are nobody's.
    torch.autograd.grad(loss, tensors[0], retain_graph=True)
    first = torch.autograd.grad(loss, tensors, retain_graph=True)
    second = torch.autograd.grad(loss, tensors)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    _, loss = run(*tensors, None, flows)
    loss.backward()
    assert all(torch.equal(a, b.grad) for a, b in zip(first, tensors, strict=True))


def test_a_pass_through_some_of_the_steps_counts_only_those():
    queries, key, value, energy = leaves(*inputs())
    memory, values = remember_keys(key), remember_values(value)
    contexts = [additive_attention(queries[:, t : t + 1], memory, values, energy) for t in range(4)]
    found = torch.autograd.grad(contexts[2].sum(), (key, value, energy), retain_graph=True)
    alone = additive_attention(queries[:, 2:3], key, value, energy)
    for gradient, want in zip(found, torch.autograd.grad(alone.sum(), (key, value, energy)), strict=True):
        assert_close(gradient, want)


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 1)])
def test_a_pass_may_end_at_the_memory(wanted):
    queries, key, value, energy = leaves(*inputs())
    memory, values = remember_keys(key), remember_values(value)
    ends = [(memory.key, values)[i] for i in wanted]
    contexts = torch.cat([additive_attention(queries[:, t : t + 1], memory, values, energy) for t in range(4)], 1)
    whole = additive_attention(queries, key, value, energy)
    expected = torch.autograd.grad(whole.square().sum(), [(key, value)[i] for i in wanted])
    for gradient, want in zip(torch.autograd.grad(contexts.square().sum(), ends), expected, strict=True):
        assert_close(gradient, want)


def test_two_energies_over_one_memory():
    queries, key, _, energy = leaves(*inputs(steps=2))
    (other,) = leaves(torch.randn(16))
    memory = remember_keys(key)
    both = additive_scores(queries[:, :1], memory, energy) + additive_scores(queries[:, 1:], memory, other)
    alone = additive_scores(queries[:, :1], key, energy) + additive_scores(queries[:, 1:], key, other)
    wanted = torch.autograd.grad(alone.square().sum(), (key, energy, other))
    for gradient, want in zip(torch.autograd.grad(both.square().sum(), (key, energy, other)), wanted, strict=True):
        assert_close(gradient, want)


def test_a_reordered_memory_still_reaches_its_keys():
    queries, key, value, energy = leaves(*inputs(steps=1))
    index = torch.tensor([2, 0, 0])
    memory = reorder(remember_keys(key), index)
    found = additive_attention(queries, memory, value[index], energy)
    wanted = additive_attention(queries, key[index], value[index], energy)
    assert_close(found, wanted)
    for a, b in zip(
        torch.autograd.grad(found.sum(), (key, queries)), torch.autograd.grad(wanted.sum(), (key, queries)), strict=True
    ):
        assert_close(a, b)


def test_memories_join():
    queries, key, value, energy = inputs(steps=1)
    memory = concatenate(remember_keys(key[:, :3]), remember_keys(key[:, 3:]), 1)
    assert_close(additive_attention(queries, memory, value, energy), additive_attention(queries, key, value, energy))


def test_several_queries_at_once():
    queries, key, value, energy = leaves(*inputs())
    found = additive_attention(queries, remember_keys(key), remember_values(value), energy)
    wanted = additive_attention(queries, key, value, energy)
    assert_close(found, wanted)
    pairs = zip(
        torch.autograd.grad(found.sum(), (key, value)), torch.autograd.grad(wanted.sum(), (key, value)), strict=True
    )
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_memory_in_half_precision_is_cast_once_for_all_steps(dtype):
    tensors = [tensor.to(dtype) for tensor in inputs()]
    queries, key, value, energy = leaves(*tensors)
    memory, values = remember_keys(key), remember_values(value)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        steps = [additive_attention(query, memory, values, energy) for query in queries.split(1, 1)]
    found = torch.cat(steps, 1)
    assert found.dtype == dtype
    assert_close(found, oracle.attention(*tensors)[0])
    # all steps keep the same keys and values
    large = {tensor.data_ptr() for tensor in kept if tensor.shape[:2] == key.shape[:2] and tensor.shape[1] > 1}
    assert len(large) == 3
    gradients = torch.autograd.grad(found.float().sum(), (key, value))
    assert [gradient.dtype for gradient in gradients] == [dtype, dtype]
    wide = leaves(*(tensor.double() for tensor in tensors))
    wanted = torch.autograd.grad(oracle.attention(*wide)[0].sum(), wide[1:3])
    assert all(torch.allclose(a.double(), b, atol=0.02, rtol=0.02) for a, b in zip(gradients, wanted, strict=True))
