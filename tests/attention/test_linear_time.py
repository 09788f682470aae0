"""Layers without a matrix of queries x keys: each against the matrix of its formula, query by query and key by key."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from heedful import padding_mask
from heedful.attention import (
    Attention,
    AverageAttention,
    DeltaRuleAttention,
    DynamicConvolution,
    LightConvolution,
    LinearAttention,
    LinearTimeAttention,
    LinformerAttention,
    NystromAttention,
    PerformerAttention,
    RetentionAttention,
    SlidingAttention,
    linear_time,
)
from heedful.attention.linear_time.delta import delta_rule
from heedful.attention.linear_time.nystrom import iterative_pinv
from heedful.attention.linear_time.performer import log_features, orthogonal_rows
from heedful.attention.linear_time.retention import fading, retention
from heedful.attention.linear_time.sums import causal_product
from heedful.attention.scores import ScaledDotScore
from heedful.attention.state import reorder, repeat
from heedful.attention.windows import CausalWindow, SlidingWindow
from tests.attention.cases import gradients, weights_of
from tests.attention.rows import built, exported, written
from tests.attention.test_hidden import POISONS
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, DIM, KEY_DIM, VALUE_DIM = 2, 3, 5, 6, 4, 7
VISIBLE = torch.tensor([[True, True, False, True, False], [False, True, True, True, True]])

# (layer, number of the head, query [queries, d], key [keys, d], visible [keys]) -> weights [queries, keys]
Weigh = Callable[[LinearTimeAttention, int, Tensor, Tensor, list[bool]], Tensor]


@dataclass(frozen=True)
class Row:
    """How to build a layer, its matrix by loops, and what becomes of what the heads read, where that is more."""

    build: Callable[[], LinearTimeAttention]
    weigh: Weigh
    finish: Callable[[LinearTimeAttention, Tensor, Tensor], Tensor] | None = None
    option: str = ""
    # a row that sees something sums to 1
    distribution: bool = True

    def __str__(self) -> str:
        return f"{type(self.build()).__name__}{self.option and '-'}{self.option}"

    def make(self, dtype: torch.dtype = torch.float64) -> LinearTimeAttention:
        layer = self.build()
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
        return layer.to(dtype)

    @property
    def square(self) -> bool:
        layer = self.build()
        return layer.causal or layer.self_only

    @property
    def steps(self) -> bool:
        return not self.build().no_memory

    def draw(self, batch: int = BATCH, queries: int = QUERIES, keys: int = KEYS, dtype: torch.dtype = torch.float64):
        layer = self.build()
        sizes = ((keys if self.square else queries, layer.query_dim), (keys, layer.key_dim), (keys, layer.value_dim))
        return tuple(torch.randn(batch, *size, dtype=dtype, requires_grad=True) for size in sizes)


def from_similarity(similarity, may_look=lambda query, key: True) -> Weigh:
    """Weights in proportion to the similarity of one query and one key."""

    def weigh(layer, head, query, key, visible):
        weights = torch.zeros(len(query), len(key), dtype=query.dtype)
        for q in range(len(query)):
            seen = [k for k in range(len(key)) if visible[k] and may_look(q, k)]
            total = sum((similarity(layer, query[q], key[k]) for k in seen), torch.tensor(0.0))
            for k in seen:
                weights[q, k] = similarity(layer, query[q], key[k]) / total
        return weights

    return weigh


def past(query, key):
    return key <= query


def elu_product(_, query, key):
    return torch.where(query > 0, query + 1, query.exp()) @ torch.where(key > 0, key + 1, key.exp())


def random_product(layer, query, key):
    query, key = query / len(query) ** 0.25, key / len(key) ** 0.25
    rows = [w.to(query.dtype) for w in layer.rows]
    return sum((w @ query - query @ query / 2).exp() * (w @ key - key @ key / 2).exp() for w in rows) / len(rows)


def softmax_kernel(_, query, key):
    return (query @ key / math.sqrt(len(query))).exp()


def linformer(layer, head, query, key, visible):
    seen = torch.tensor(visible)
    keys = len(key)
    mixes = (mix if mix.dim() == 2 else mix[head] for mix in (layer.key_mix, layer.value_mix))
    key_mix, value_mix = (mix[:, :keys] * seen for mix in mixes)
    return torch.softmax(query @ (key_mix @ key).T / math.sqrt(query.shape[1]), -1) @ value_mix


def nystrom(layer, head, query, key, visible):
    places = [place for place, seen in enumerate(visible) if seen]
    weights = torch.zeros(len(key), len(key), dtype=key.dtype)
    if not places:
        return weights
    landmarks = min(layer.landmarks, len(places))
    members = [[p for r, p in enumerate(places) if r * landmarks // len(places) == s] for s in range(landmarks)]
    query_means = torch.stack([query[segment].mean(0) for segment in members])
    key_means = torch.stack([key[segment].mean(0) for segment in members])

    def kernel(a, b):
        return torch.softmax(a @ b.T / math.sqrt(a.shape[1]), -1)

    matrix = kernel(query_means, key_means)
    inner = matrix.T / (torch.linalg.matrix_norm(matrix, 1) * torch.linalg.matrix_norm(matrix, torch.inf))
    unit = torch.eye(landmarks, dtype=key.dtype)
    for _ in range(layer.rounds):
        inner = inner @ (13 * unit - matrix @ inner @ (15 * unit - matrix @ inner @ (7 * unit - matrix @ inner))) / 4
    square = kernel(query[places], key_means) @ inner @ kernel(query_means, key[places])
    for row, q in enumerate(places):
        for column, k in enumerate(places):
            weights[q, k] = square[row, column]
            tap = k - q + (layer.kernel.shape[1] // 2 if layer.kernel is not None else 0)
            if layer.kernel is not None and 0 <= tap < layer.kernel.shape[1]:
                weights[q, k] += layer.kernel[head, tap]
    return weights


def uniform(*_):
    return torch.tensor(1.0, dtype=torch.float64)


def average(layer, read, query):
    if layer.gate is None:
        return read
    if not isinstance(layer.network, torch.nn.Identity):
        inner = (read @ layer.network.inner.weight.T + layer.network.inner.bias).clamp_min(0)
        read = inner @ layer.network.outer.weight.T + layer.network.outer.bias
    gate = torch.cat((query, read), -1) @ layer.gate.weight.T + layer.gate.bias
    keep, take = (1 / (1 + (-gate).exp())).split(layer.query_dim, -1)
    return keep * query + take * read


def unit(vector):
    vector = vector / (1 + (-vector).exp())
    return vector / vector.norm()


def delta(layer, _, query, key, visible):
    """How each value comes into what is read: the recursion, run for a one of each value alone."""
    steps, dim = query.shape
    weights = torch.zeros(steps, steps, dtype=query.dtype)
    for k in range(steps):
        state = torch.zeros(dim, dtype=query.dtype)
        for q in range(steps):
            if visible[q]:
                now, rate = unit(key[q, :-1]), 1 / (1 + (-key[q, -1]).exp())
                state = state + rate * now * (float(q == k) - now @ state)
            weights[q, k] = unit(query[q]) @ state
    return weights


def turned(vector, place):
    turned = vector.clone()
    for pair in range(len(vector) // 2):
        angle = place / 10000 ** (2 * pair / len(vector))
        number = torch.complex(vector[2 * pair], vector[2 * pair + 1]) * complex(math.cos(angle), math.sin(angle))
        turned[2 * pair], turned[2 * pair + 1] = number.real, number.imag
    return turned


def retention_weights(_, head, query, key, visible):
    weights, decay = torch.zeros(len(query), len(key), dtype=query.dtype), 1 - 2 ** (-5 - head)
    for q in range(len(query)):
        for k in range(q + 1):
            product = turned(query[q], q) @ turned(key[k], k) / math.sqrt(query.shape[1])
            weights[q, k] = visible[k] * decay ** (q - k) * product
    return weights


def retention_gate(layer, read, query):
    heads = [(one - one.mean(-1, keepdim=True)) for one in read.split(layer.head_dim, -1)]
    heads = [one / (one.square().mean(-1, keepdim=True) + 1e-5).sqrt() for one in heads]
    gate = query @ layer.gate_proj.weight.T
    return (torch.cat(heads, -1) * gate / (1 + (-gate).exp())) @ layer.output_proj.weight.T


def convolution(left) -> Weigh:
    def weigh(layer, head, query, key, visible):
        weights = torch.zeros(len(key), len(key), dtype=query.dtype)
        for q in range(len(key)):
            kernel = query[q] if isinstance(layer, DynamicConvolution) else layer.kernel[head]
            for k in range(len(key)):
                if visible[k] and 0 <= k - q + left < len(kernel):
                    weights[q, k] = kernel[k - q + left].exp() / kernel.exp().sum()
        return weights

    return weigh


SIZES = {"num_heads": 2, "key_dim": KEY_DIM, "value_dim": VALUE_DIM}
ROWS = [
    Row(lambda: LinearAttention(DIM, **SIZES), from_similarity(elu_product)),
    Row(lambda: LinearAttention(DIM, **SIZES, causal=True), from_similarity(elu_product, past), option="causal"),
    Row(lambda: PerformerAttention(DIM, num_features=8, **SIZES), from_similarity(random_product)),
    Row(
        lambda: PerformerAttention(DIM, num_features=8, **SIZES, causal=True),
        from_similarity(random_product, past),
        option="causal",
    ),
    Row(lambda: LinformerAttention(DIM, 3, 12, **SIZES), linformer, distribution=False),
    Row(lambda: LinformerAttention(DIM, 3, 12, **SIZES, shared=True), linformer, option="shared", distribution=False),
    Row(
        lambda: LinformerAttention(DIM, 3, 12, **SIZES, per_head=True),
        linformer,
        option="per head",
        distribution=False,
    ),
    Row(lambda: NystromAttention(DIM, 2, **SIZES), nystrom, distribution=False),
    Row(lambda: NystromAttention(DIM, 3, kernel_size=3, rounds=4, **SIZES), nystrom, option="conv", distribution=False),
    Row(
        lambda: SlidingAttention(DIM, 1, 2, **SIZES),
        from_similarity(softmax_kernel, lambda query, key: -1 <= key - query <= 2),
    ),
    Row(
        lambda: SlidingAttention(DIM, 2, 0, **SIZES),
        from_similarity(softmax_kernel, lambda query, key: -2 <= key - query <= 0),
        option="causal",
    ),
    Row(lambda: DeltaRuleAttention(DIM, **SIZES), delta, distribution=False),
    Row(lambda: RetentionAttention(8, **SIZES), retention_weights, retention_gate, distribution=False),
    Row(lambda: LightConvolution(DIM, 3, 2), convolution(1), distribution=False),
    Row(lambda: LightConvolution(DIM, 4, 2, causal=True), convolution(3), option="causal", distribution=False),
    Row(lambda: DynamicConvolution(DIM, 5, 3), convolution(2), distribution=False),
    Row(lambda: DynamicConvolution(DIM, 2, 3, causal=True), convolution(1), option="causal", distribution=False),
    Row(lambda: AverageAttention(DIM), from_similarity(uniform, past), average),
    Row(lambda: AverageAttention(DIM, 11), from_similarity(uniform, past), average, option="network"),
    Row(lambda: AverageAttention(DIM, gated=False), from_similarity(uniform, past), average, option="ungated"),
]
each_row = pytest.mark.parametrize("row", ROWS, ids=str)
each_with_memory = pytest.mark.parametrize("row", [row for row in ROWS if row.steps], ids=str)
each_causal = pytest.mark.parametrize("row", [row for row in ROWS if row.square and row.steps], ids=str)


def projected(layer: LinearTimeAttention, name: str, tensor: Tensor) -> list[Tensor]:
    """One item's vectors, by plain products, head by head."""
    projection = getattr(layer, f"{name}_proj")
    if isinstance(projection, torch.nn.Sequential):
        content, gate = (tensor @ projection[0].weight.T).chunk(2, -1)
        tensor = content / (1 + (-gate).exp())
    elif not isinstance(projection, torch.nn.Identity):
        tensor = tensor @ projection.weight.T
    return list(tensor.split(tensor.shape[-1] // layer.num_heads, -1))


def expected(row: Row, layer: LinearTimeAttention, query: Tensor, key: Tensor, value: Tensor, visible: Tensor):
    """Context and weights of the formula: item by item, head by head."""
    contexts, weights = [], []
    for item, seen in enumerate(visible.tolist()):
        heads = zip(*(projected(layer, *one) for one in (("query", query[item]), ("key", key[item]))), strict=True)
        matrices = [row.weigh(layer, head, *pair, seen) for head, pair in enumerate(heads)]
        reads = [matrix @ v for matrix, v in zip(matrices, projected(layer, "value", value[item]), strict=True)]
        joined = torch.cat(reads, -1)
        context = joined @ layer.output_proj.weight.T if row.finish is None else row.finish(layer, joined, query[item])
        contexts.append(context.masked_fill((torch.stack(matrices) == 0).all(-1).all(0).unsqueeze(-1), 0))
        weights.append(torch.stack(matrices))
    return torch.stack(contexts), torch.stack(weights)


def test_every_layer_has_its_row():
    assert built(ROWS) == exported(linear_time, LinearTimeAttention) == written(linear_time, LinearTimeAttention)


@each_row
@pytest.mark.parametrize("need_weights", [False, True], ids=["fast", "weights"])
@torch.no_grad()
def test_it_computes_its_formula(row, need_weights):
    layer, arguments = row.make(), row.draw()
    for mask in (None, VISIBLE.unsqueeze(1), torch.tensor([True, True, True, False, False]).view(1, 1, -1)):
        seen = torch.ones(BATCH, KEYS, dtype=torch.bool) if mask is None else mask.squeeze(1).expand(BATCH, -1)
        output = layer(*arguments, mask, need_weights)
        context, weights = expected(row, layer, *arguments, seen)
        assert_close(output.context, context)
        assert (output.weights is not None) == need_weights
        if need_weights:
            assert_close(weights_of(output), weights)


@each_row
def test_gradients(row):
    layer, arguments = row.make(), row.draw(batch=1)
    names = [name for name, _ in layer.named_parameters()]

    def call(query, key, value, *parameters):
        named = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(layer, named, (query, key, value, VISIBLE[1:].unsqueeze(1))).context

    assert torch.autograd.gradcheck(call, (*arguments, *layer.parameters()), fast_mode=True)


@each_row
def test_gradients_of_the_fast_path_are_those_of_the_matrix(row):
    layer, (query, key, value) = row.make(), row.draw()
    leaves = (query, key, value, *layer.parameters())
    mask = VISIBLE.unsqueeze(1)
    output = layer(query, key, value, mask, need_weights=True)
    values = torch.stack([torch.stack(projected(layer, "value", one)) for one in value.where(mask.mT, 0)])
    if row.finish is None:
        again = (weights_of(output) @ values).transpose(1, 2).flatten(2) @ layer.output_proj.weight.T
        assert_close(again, output.context)
        for actual, wanted in zip(gradients(again, *leaves), gradients(output.context, *leaves), strict=True):
            assert_close(actual, wanted)


@each_row
def test_what_is_hidden_may_hold_anything(row):
    layer, (query, key, value) = row.make(), row.draw()
    mask = VISIBLE.unsqueeze(1)
    leaves = (query, key, value, *layer.parameters())
    for need_weights in (False, True):
        output = layer(query, key, value, mask, need_weights).context
        wanted = gradients(output, *leaves)
        assert not wanted[1][~VISIBLE].any()
        assert not wanted[2][~VISIBLE].any()
        for poison in POISONS:
            with torch.no_grad():
                key[~VISIBLE], value[~VISIBLE] = poison, poison
            poisoned = layer(query, key, value, mask, need_weights).context
            assert poisoned.equal(output)
            assert all(map(torch.equal, gradients(poisoned, *leaves), wanted))


@each_row
def test_hidden_steps_of_one_sequence_are_no_queries_either(row):
    layer = row.make()
    if layer.query_dim != layer.key_dim or layer.key_dim != layer.value_dim:
        outs = (layer.key_proj.out_features, layer.value_proj.out_features)
        layer.key_proj, layer.value_proj = (torch.nn.Linear(layer.query_dim, out, False).double() for out in outs)
        layer.key_dim = layer.value_dim = layer.query_dim
    steps = torch.randn(BATCH, KEYS, layer.query_dim, dtype=torch.float64)
    steps[~VISIBLE] = torch.nan
    steps.requires_grad_()
    output = layer(steps, steps, mask=VISIBLE.unsqueeze(1)).context
    (slope,) = gradients(output, steps)
    assert output.isfinite().all()
    assert slope.isfinite().all()


@each_row
def test_an_item_that_sees_nothing_reads_zeros_and_sends_none_back(row):
    layer, arguments = row.make(), row.draw()
    mask = torch.ones(BATCH, 1, KEYS, dtype=torch.bool)
    mask[1] = False
    for need_weights in (False, True):
        output = layer(*arguments, mask, need_weights)
        assert not output.context[1].any()
        assert output.weights is None or not output.weights[1].any()
        for each in gradients(output.context, *arguments):
            assert each[0].isfinite().all()
            assert not each[1].any()
    nothing = layer(*arguments, torch.zeros(1, 1, 1, dtype=torch.bool)).context
    assert not nothing.any()
    assert not any(each.any() for each in gradients(nothing, *arguments, *layer.parameters()))


@each_row
@torch.no_grad()
def test_weights_are_a_distribution_and_do_not_change_the_context(row):
    layer, arguments = row.make(), row.draw()
    output = layer(*arguments, need_weights=True)
    assert output.context.equal(layer(*arguments).context)
    if row.distribution:
        assert (weights_of(output) >= 0).all()
        assert_close(weights_of(output).sum(-1), torch.ones(weights_of(output).shape[:3]), torch.float64)


@each_with_memory
@torch.no_grad()
def test_a_step_into_the_memory_equals_the_call(row):
    layer, (query, key, value) = row.make(), row.draw()
    mask = VISIBLE.unsqueeze(1)
    together = layer(query, key, value, mask).context
    if not row.square:
        memory = layer.remember(key, value, mask)
        output, state = layer.look(query, memory)
        assert_close(output.context, together)
        assert state.position.tolist() == [QUERIES] * BATCH
        output, state = layer.step(query[:, :1], memory, layer.begin(memory, 4))
        assert_close(output.context, together[:, :1])
        assert state.position.tolist() == [5] * BATCH
        return
    for split in range(KEYS):
        memory = layer.remember(key[:, : split + 1], value[:, : split + 1], mask[..., : split + 1])
        for place in range(split, KEYS):
            if place > split:
                now = slice(place, place + 1)
                memory = layer.extend(memory, key[:, now], value[:, now], mask[..., now])
            assert_close(layer.step(query[:, place : place + 1], memory)[0].context, together[:, place : place + 1])


@each_causal
@torch.no_grad()
def test_a_later_step_changes_nothing(row):
    layer, arguments = row.make(), row.draw()
    changed = [torch.cat((one[:, :3], torch.randn_like(one[:, 3:])), 1) for one in arguments]
    assert_close(layer(*changed).context[:, :3], layer(*arguments).context[:, :3])


@each_with_memory
@torch.no_grad()
def test_a_beam_may_reorder_the_memory(row):
    layer, (query, key, value) = row.make(), row.draw()
    memory, order = layer.remember(key, value, VISIBLE.unsqueeze(1)), torch.tensor([1, 1, 0])
    one = query[:, :1]
    assert_close(layer.step(one[order], reorder(memory, order))[0].context, layer.step(one, memory)[0].context[order])
    assert_close(
        layer.step(repeat(one, 3), repeat(memory, 3))[0].context, repeat(layer.step(one, memory)[0].context, 3)
    )


@each_row
@torch.no_grad()
def test_shuffling_the_keys_changes_nothing_where_places_play_no_part(row):
    if row.square or isinstance(row.build(), LinformerAttention):
        return
    layer, (query, key, value), order = row.make(), row.draw(), torch.tensor([3, 0, 4, 1, 2])
    output, shuffled = (
        layer(query, *pair, need_weights=True) for pair in ((key, value), (key[:, order], value[:, order]))
    )
    assert_close(shuffled.context, output.context)
    assert_close(weights_of(shuffled), weights_of(output)[..., order])


@each_row
@settings(max_examples=8)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), more=st.integers(0, 3))
@torch.no_grad()
def test_every_sentence_is_read_as_if_it_were_alone(row, lengths, more):
    layer, keys = row.make(), max(lengths) + more
    query, key, value = row.draw(len(lengths), keys=keys)
    output = layer(query, key, value, padding_mask(torch.tensor(lengths), keys)).context
    for item, length in enumerate(lengths):
        rows = length if row.square else QUERIES
        alone = layer(query[item : item + 1, :rows], key[item : item + 1, :length], value[item : item + 1, :length])
        assert_close(output[item : item + 1, :rows], alone.context)


@each_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_other_types_agree_with_float64(row, dtype):
    layer, arguments = row.build().to(dtype), tuple(one.to(dtype) for one in row.draw())
    exact = row.build().double()
    exact.load_state_dict(layer.state_dict())
    output = layer(*arguments, VISIBLE.unsqueeze(1), need_weights=True)
    wanted = exact(*(one.double() for one in arguments), VISIBLE.unsqueeze(1), need_weights=True)
    assert output.context.dtype == weights_of(output).dtype == dtype
    assert_close(output.context, wanted.context, dtype)


@each_causal
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_running_sums_are_not_kept_in_half_precision(row, dtype):
    layer, (_, key, value) = row.build().to(dtype), row.draw(dtype=dtype)
    kept = [leaf for leaf in tree_leaves(layer.extend(layer.remember(key, value), key, value)) if leaf.dtype == dtype]
    # the last keys and values are no sums
    assert not kept or isinstance(layer, LightConvolution | DynamicConvolution | SlidingAttention)


@each_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_huge_numbers_give_no_nan(row, dtype):
    layer = row.build()
    torch.nn.init.ones_(layer.output_proj.weight) if hasattr(layer.output_proj, "weight") else None
    layer, (query, key, value) = layer.to(dtype), row.draw(dtype=dtype)
    with torch.no_grad():
        query.mul_(100)
        key.mul_(100)
    for need_weights in (False, True):
        output = layer(query, key, value, VISIBLE.unsqueeze(1), need_weights)
        assert output.context.isfinite().all()
        assert all(each.isfinite().all() for each in gradients(output.context, query, key, value))


@each_row
def test_degenerate_sizes(row):
    layer = row.make()
    for sizes in ((0, 3, 5), (2, 0, 0), (2, 0, 5), (2, 3, 0), (1, 1, 1)):
        arguments = row.draw(*sizes)
        for need_weights in (False, True):
            output = layer(*arguments, None, need_weights)
            assert output.context.shape == (sizes[0], arguments[0].shape[1], layer.query_dim)
            if need_weights:
                assert weights_of(output).shape == (sizes[0], layer.num_heads, arguments[0].shape[1], sizes[2])
            if sizes[2] == 0:
                assert not output.context.any()
        if row.steps and arguments[0].shape[1]:
            memory = layer.remember(*arguments[1:])
            assert layer.step(arguments[0][:, :1], memory)[0].context.shape[0] == sizes[0]


@each_causal
@torch.no_grad()
def test_a_memory_begun_without_keys_goes_on(row):
    layer, (query, key, value) = row.make(), row.draw()
    memory = layer.extend(layer.remember(key[:, :0], value[:, :0]), key, value)
    assert_close(layer.step(query[:, -1:], memory)[0].context, layer(query, key, value).context[:, -1:])


@each_row
@torch.no_grad()
def test_long_sequences_cross_many_chunks(row):
    """Beyond a chunk of 64, the fast path still is the matrix."""
    if isinstance(row.build(), LinformerAttention | NystromAttention):
        return
    layer = row.make()
    query, key, value = row.draw(1, 3, 150)
    mask = torch.rand(1, 1, 150) > 0.3
    output = layer(query, key, value, mask, need_weights=True)
    values = torch.stack([torch.stack(projected(layer, "value", one)) for one in value.where(mask.mT, 0)])
    read = (weights_of(output) @ values).transpose(1, 2).flatten(2)
    if row.finish is None:
        assert_close(read @ layer.output_proj.weight.T, output.context)
    else:
        seen = mask.cumsum(-1).squeeze() > 0
        assert_close(row.finish(layer, read, query)[:, seen], output.context[:, seen])


class Largest(TorchDispatchMode):
    """Numbers of the largest tensor that any operator returns."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                # a view holds no more than what it views
                self.numbers = max(self.numbers, leaf.untyped_storage().nbytes() // leaf.element_size())
        return result


@each_row
def test_the_largest_tensor_grows_with_the_steps_and_not_with_their_square(row):
    layer, largest = row.make(torch.float32), []
    if isinstance(layer, LinformerAttention):
        layer = LinformerAttention(DIM, 3, 1024, **SIZES)
    for steps in (256, 1024):
        arguments = row.draw(1, steps, steps, torch.float32)
        with Largest() as seen:
            layer(*arguments, torch.rand(1, 1, steps) > 0.3).context.sum().backward()
        largest.append(seen.numbers)
    assert largest[1] <= 4.1 * largest[0]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_sums_in_chunks_are_the_triangle(size):
    query, key, value = (torch.randn(2, 7, dim, dtype=torch.float64, requires_grad=True) for dim in (3, 3, 4))
    triangle = (query @ key.mT).tril() @ value
    chunked = causal_product(query, key, value, size)
    assert_close(chunked, triangle)
    for ours, theirs in zip(gradients(chunked, query, key, value), gradients(triangle, query, key, value), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_retention_is_its_recursion_and_its_matrix(size):
    query, key, value = (torch.randn(2, 3, 7, dim, dtype=torch.float64, requires_grad=True) for dim in (2, 2, 5))
    decay = torch.tensor([0.5, 0.9, 1.0], dtype=torch.float64)
    state, reads = torch.zeros(2, 3, 2, 5, dtype=torch.float64), []
    for step in range(7):
        state = decay.view(3, 1, 1) * state + key[:, :, step].unsqueeze(-1) * value[:, :, step].unsqueeze(-2)
        reads.append((query[:, :, step].unsqueeze(-2) @ state).squeeze(-2))
    recursion, chunked = torch.stack(reads, 2), retention(query, key, value, decay, size)
    assert_close(chunked, recursion)
    assert_close((query @ key.mT * fading(decay, 7)) @ value, recursion)
    leaves = query, key, value
    for ours, theirs in zip(gradients(chunked, *leaves), gradients(recursion, *leaves), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_delta_rule_is_its_recursion(size):
    query, key, value = (torch.randn(2, 3, 7, dim, dtype=torch.float64, requires_grad=True) for dim in (4, 4, 5))
    rate = torch.rand(2, 3, 7, 1, dtype=torch.float64, requires_grad=True)
    state, reads = torch.zeros(2, 3, 4, 5, dtype=torch.float64), []
    for step in range(7):
        now = key[:, :, step]
        wrong = value[:, :, step] - (now.unsqueeze(-2) @ state).squeeze(-2)
        state = state + rate[:, :, step].unsqueeze(-1) * now.unsqueeze(-1) * wrong.unsqueeze(-2)
        reads.append((query[:, :, step].unsqueeze(-2) @ state).squeeze(-2))
    recursion, chunked = torch.stack(reads, 2), delta_rule(query, key, value, rate, size)
    assert_close(chunked, recursion)
    leaves = query, key, value, rate
    for ours, theirs in zip(gradients(chunked, *leaves), gradients(recursion, *leaves), strict=True):
        assert_close(ours, theirs)


def test_the_delta_rule_replaces_what_it_wrote_for_the_same_key():
    key = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64).view(1, 1, 3, 2)
    value = torch.tensor([[3.0], [5.0], [7.0]], dtype=torch.float64).view(1, 1, 3, 1)
    read = delta_rule(key[:, :, [0, 0, 0]], key, value, torch.ones(1, 1, 3, 1, dtype=torch.float64))
    assert read.flatten().tolist() == [3, 3, 7]


@torch.no_grad()
def test_light_convolution_is_a_convolution_of_torch():
    layer = LightConvolution(DIM, 3, 2).double()
    steps = torch.randn(BATCH, KEYS, DIM, dtype=torch.float64)
    filters = layer.kernel.softmax(-1).repeat_interleave(3, 0).unsqueeze(1)
    read = torch.nn.functional.conv1d(layer.value_proj(steps).mT, filters, padding=1, groups=DIM).mT
    assert_close(layer(steps, steps).context, layer.output_proj(read))


@torch.no_grad()
def test_sliding_is_the_windowed_softmax_of_attention():
    for left, right, steps in ((1, 0, 4), (0, 0, 5), (0, 2, 7), (3, 1, 8), (2, 2, 1), (9, 9, 5)):
        layer = SlidingAttention(DIM, left, right).double()
        for one in (layer.query_proj, layer.key_proj, layer.value_proj, layer.output_proj):
            torch.nn.init.eye_(one.weight)
        query, key, value = torch.randn(3, 2, steps, DIM, dtype=torch.float64)
        window = CausalWindow() if (left, right) == (9, 0) else SlidingWindow(left, right)
        mask = torch.rand(2, 1, steps) > 0.3
        dense = Attention(ScaledDotScore(DIM), window)(query, key, value, mask, need_weights=True)
        ours = layer(query, key, value, mask, need_weights=True)
        assert_close(ours.context, dense.context)
        assert_close(weights_of(ours)[:, 0], weights_of(dense))


def test_linformer_of_full_rank_and_nystrom_of_all_keys_are_softmax():
    query, key, value = torch.randn(3, 2, KEYS, DIM, dtype=torch.float64)
    softmax = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    for layer in (LinformerAttention(DIM, KEYS, KEYS), NystromAttention(DIM, KEYS, rounds=60)):
        layer.double()
        for one in (layer.query_proj, layer.key_proj, layer.value_proj, layer.output_proj):
            torch.nn.init.eye_(one.weight)
        if isinstance(layer, LinformerAttention):
            torch.nn.init.eye_(layer.key_mix)
            torch.nn.init.eye_(layer.value_mix)
        assert_close(layer(query, key, value).context, softmax)
    # fewer visible steps than landmarks
    alone = torch.nn.functional.scaled_dot_product_attention(query[:, :2], key[:, :2], value[:, :2])
    assert_close(layer(query, key, value, torch.arange(KEYS).view(1, 1, -1) < 2).context[:, :2], alone)


def test_the_iteration_comes_to_the_inverse():
    matrix = torch.softmax(2 * torch.randn(3, 8, 8, dtype=torch.float64), -1)
    assert_close(iterative_pinv(matrix, 40) @ matrix, torch.eye(8, dtype=torch.float64).expand(3, 8, 8))
    padded = torch.nn.functional.pad(matrix, (0, 2, 0, 2))
    assert_close(iterative_pinv(padded, 40), torch.nn.functional.pad(iterative_pinv(matrix, 40), (0, 2, 0, 2)))


def test_random_features_are_the_softmax_kernel_on_average():
    query, key = 0.7 * torch.randn(2, 4, dtype=torch.float64)
    exact = (query @ key / 2).exp()
    errors = []
    for count in (1000, 16_000):
        draws = []
        for seed in range(12):
            rows = orthogonal_rows(count, 4, torch.Generator().manual_seed(seed))
            draws.append((log_features(query[None], rows) + log_features(key[None], rows)).exp().mean() / exact - 1)
        errors.append(torch.stack(draws).square().mean().sqrt())
    # sixteen times as many features: a quarter of the error
    assert errors[1] < 0.04
    assert 2 < errors[0] / errors[1] < 8


def test_orthogonal_rows_are_orthogonal_in_blocks_and_as_long_as_gaussian_ones():
    rows = orthogonal_rows(5000, 5).double().view(1000, 5, 5)
    products = rows @ rows.mT
    assert (products - torch.diag_embed(products.diagonal(dim1=1, dim2=2))).abs().max() < 1e-4
    assert abs(rows.square().sum(-1).mean() - 5) < 0.2
    assert rows.mean((0, 1)).abs().max() < 0.1


def test_what_is_left_out_is_what_the_papers_use():
    # d ln d random features for heads of 6 features, and rounds of the iteration
    assert PerformerAttention(12, num_heads=2).rows.shape == (11, 6)
    assert NystromAttention(6, 2).rounds == 6


def test_performer_draws_anew_on_request_alone():
    layer = PerformerAttention(DIM)
    before = layer.rows.clone()
    layer.train()(torch.ones(1, 2, DIM), torch.ones(1, 2, DIM))
    assert layer.rows.equal(before)
    layer.redraw(torch.Generator().manual_seed(3))
    once = layer.rows.clone()
    assert not once.equal(before)
    layer.redraw(torch.Generator().manual_seed(3))
    assert layer.rows.equal(once)
    assert "rows" in layer.state_dict()


STEPS = torch.zeros(BATCH, KEYS, DIM)


@pytest.mark.messages
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LinearAttention(5, 2), "dim is 5; expected a multiple of num_heads, 2"),
        (lambda: LinearAttention(0), "dim is 0; expected a whole number"),
        (lambda: LinearAttention(DIM, value_dim=0), "value_dim is 0; expected a whole number"),
        (lambda: PerformerAttention(DIM, num_features=0), "num_features is 0; expected a whole number"),
        (lambda: LinformerAttention(DIM, 0, 3), "rank is 0; expected a whole number"),
        (lambda: NystromAttention(DIM, 0), "landmarks is 0; expected a whole number"),
        (lambda: NystromAttention(DIM, 3, kernel_size=4), "kernel_size is 4; expected an odd number"),
        (lambda: SlidingAttention(DIM, -1, 0), "left is -1"),
        (lambda: RetentionAttention(6, 2), r"dim is 3; expected an even number"),
        (lambda: LightConvolution(DIM, 4), "kernel_size is 4; expected an odd number, .* or causal=True"),
        (lambda: DynamicConvolution(DIM, 0), "kernel_size is 0; expected a whole number"),
        (
            lambda: DynamicConvolution(DIM, 3).remember(STEPS),
            "DynamicConvolution expected a call with all queries and keys: it is not causal",
        ),
        (
            lambda: DeltaRuleAttention(DIM).look(STEPS, DeltaRuleAttention(DIM).remember(STEPS)),
            r"there are 5 queries; DeltaRuleAttention expected one in a step, at the last key of the memory",
        ),
        (lambda: LinearAttention(DIM)(STEPS[0], STEPS), r"query has shape \(5, 6\); expected \[batch, queries"),
        (lambda: LinearAttention(DIM)(STEPS, STEPS[0]), r"key has shape \(5, 6\); expected \[batch, keys"),
        (lambda: LinearAttention(DIM)(STEPS, STEPS[..., 1:]), "key has 5 features; LinearAttention expected 6"),
        (lambda: LinearAttention(DIM)(STEPS[:1], STEPS), "query has 1 batch items but key has 2"),
        (lambda: LinearAttention(DIM)(STEPS, STEPS, STEPS[:, 1:]), r"value has shape \(2, 4, 6\)"),
        (lambda: LinearAttention(DIM)(STEPS.long(), STEPS), "query is int64; expected floating-point"),
        (
            lambda: LinearAttention(DIM, causal=True)(STEPS[:, 1:], STEPS),
            "there are 4 queries and 5 keys; this LinearAttention expected one query for each key",
        ),
        (
            lambda: LinearAttention(DIM)(STEPS, STEPS, mask=torch.ones(2, 5, 5, dtype=torch.bool)),
            r"mask has shape \(2, 5, 5\); LinearAttention expected \[batch, 1, keys\] = \[2, 1, 5\]",
        ),
        (lambda: LinearAttention(DIM)(STEPS, STEPS, mask=torch.ones(2, 1, 5)), "mask is float32; a mask is boolean"),
        (lambda: LinformerAttention(DIM, 2, 4)(STEPS, STEPS), "the sequence has 5 steps; the layer expected at most 4"),
        (
            lambda: LinearAttention(DIM).look(STEPS, LinearAttention(DIM).remember(STEPS), None, True),
            r"need_weights is True; LinearAttention has none to give in steps",
        ),
        (
            lambda: LinearAttention(DIM).step(STEPS[:1], LinearAttention(DIM).remember(STEPS)),
            "query has 1 batch items but key has 2",
        ),
        (
            lambda: NystromAttention(DIM, 2).remember(STEPS),
            "NystromAttention expected a call with all queries and keys: its landmarks are means over all steps",
        ),
        (
            lambda: SlidingAttention(DIM, 1, 2).remember(STEPS),
            "SlidingAttention expected a call with all queries and keys: right is 2, so that a query sees keys after",
        ),
        (
            lambda: LinformerAttention(DIM, 2, 9).extend(LinformerAttention(DIM, 2, 9).remember(STEPS), STEPS),
            "LinformerAttention expected all keys at once",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.compile
@each_row
def test_compiled_in_one_graph_and_exported(row):
    layer, arguments, mask = row.make(), row.draw(), VISIBLE.unsqueeze(1)
    eager = layer(*arguments, mask, need_weights=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(*arguments, mask, need_weights=True)
    detached = tuple(one.detach() for one in arguments)
    program = torch.export.export(layer.eval(), (*detached, mask, True)).module()
    for output in (compiled, program(*detached, mask, True)):
        assert_close(output.context, eager.context)
        assert_close(weights_of(output), weights_of(eager))
    leaves = (*arguments, *layer.parameters())
    for ours, theirs in zip(gradients(compiled.context, *leaves), gradients(eager.context, *leaves), strict=True):
        assert_close(ours, theirs)


@pytest.mark.compile
@each_causal
@torch.no_grad()
def test_a_compiled_step_takes_the_memory_as_it_is(row):
    layer, (query, key, value) = row.make(), row.draw()
    memory = layer.remember(key[:, :3], value[:, :3], VISIBLE[:, None, :3])

    def step(query, key, value, memory):
        memory = layer.extend(memory, key, value)
        return layer.step(query, memory)[0].context, memory

    eager, _ = step(query[:, 3:4], key[:, 3:4], value[:, 3:4], memory)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    assert_close(compiled(query[:, 3:4], key[:, 3:4], value[:, 3:4], memory)[0], eager)
