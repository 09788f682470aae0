"""Multi-head attention: against torch's, against one head at a time, with caches, groups, norms and rotation."""

import math
import re

import pytest
import torch
from torch import nn

from heedful.attention import (
    Attention,
    DifferentialAttention,
    DistanceAttention,
    MultiHeadAttention,
    QueryKeyTransform,
    TalkingHeadsAttention,
)
from heedful.attention.differential import DifferentialNormalizer
from heedful.attention.normalizers import (
    AlphaEntmaxNormalizer,
    Entmax15Normalizer,
    MonotonicNormalizer,
    SigmoidNormalizer,
    SoftmaxNormalizer,
    SoftmaxOneNormalizer,
)
from heedful.attention.scores import (
    AdditiveScore,
    DotScore,
    GeneralScore,
    LocationSensitiveScore,
    PerHeadScore,
    ScaledDotScore,
)
from heedful.attention.state import reorder
from heedful.attention.talking_heads import TalkingHeadsNormalizer
from heedful.attention.windows import AlibiBias, AndWindow, BucketedRelativeBias, CausalWindow, SlidingWindow
from heedful.attention.windows.alibi import alibi_slopes
from heedful.functional import padding_mask
from heedful.layers import RotaryPositions
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, DIM, KEY_DIM, VALUE_DIM, HEADS = 2, 3, 5, 12, 7, 6, 4


def draw(key_dim=KEY_DIM, value_dim=VALUE_DIM, keys=KEYS):
    shapes = (BATCH, QUERIES, DIM), (BATCH, keys, key_dim), (BATCH, keys, value_dim)
    return tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)


def some_mask():
    mask = torch.rand(BATCH, QUERIES, KEYS) > 0.3
    mask[..., 1] = True
    return mask


def randomised(layer):
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.double()


def make(attention=None, transform=None, kv_heads=None, bias=True, dims=(KEY_DIM, VALUE_DIM)):
    return randomised(MultiHeadAttention(DIM, HEADS, *dims, kv_heads, attention, transform, bias))


VARIANTS = {
    "plain": make,
    "groups": lambda: make(kv_heads=2),
    "one for all": lambda: make(kv_heads=1, bias=False),
    "additive": lambda: make(Attention(AdditiveScore(3, 3, hidden_dim=5))),
    "entmax": lambda: make(Attention(GeneralScore(3, 3), normalizer=Entmax15Normalizer())),
    "location": lambda: make(Attention(LocationSensitiveScore(3, 3, hidden_dim=5)), kv_heads=2),
    "monotonic": lambda: make(Attention(ScaledDotScore(3), normalizer=MonotonicNormalizer(noise=0.0, hard=False))),
    "own additive": lambda: make(Attention(PerHeadScore([AdditiveScore(3, 3, hidden_dim=5) for _ in range(HEADS)]))),
    "own widths": lambda: make(
        Attention(PerHeadScore([LocationSensitiveScore(3, 3, 5, filters=2, width=width) for width in (1, 3, 5, 7)]))
    ),
    "rms": lambda: make(transform=QueryKeyTransform(3, "rms")),
    "l2": lambda: make(transform=QueryKeyTransform(3, "l2"), kv_heads=2),
    "rotated": lambda: make(transform=QueryKeyTransform(3, "layer", RotaryPositions(2))),
}
each_variant = pytest.mark.parametrize("build", VARIANTS.values(), ids=VARIANTS)


def attention_of_head(attention, head):
    if not isinstance(attention.score, PerHeadScore):
        return attention
    return Attention(attention.score.scores[head], attention.window, attention.normalizer)


def by_hand(layer, query, key, value, mask):
    """One head and one batch item at a time, from the layer's parameters."""
    size, times = DIM // HEADS, HEADS // layer.num_kv_heads
    contexts, weights = [], []
    for head in range(HEADS):
        rows, kv = slice(head * size, (head + 1) * size), slice(head // times * size, (head // times + 1) * size)

        def project(linear, sequence, part):
            projected = sequence @ linear.weight[part].T
            return projected if linear.bias is None else projected + linear.bias[part]

        q, k = project(layer.query_proj, query, rows), project(layer.key_proj, key, kv)
        if layer.transform is not None:
            q = layer.transform.query(q.unsqueeze(1)).squeeze(1)
            k = layer.transform.key(k.unsqueeze(1)).squeeze(1)
        one = attention_of_head(layer.attention, head)
        output = one(q, k, project(layer.value_proj, value, kv), mask, need_weights=True)
        contexts.append(output.context)
        weights.append(output.weights)
    joined = torch.cat(contexts, -1) @ layer.output_proj.weight.T
    bias = layer.output_proj.bias
    return joined if bias is None else joined + bias, torch.stack(weights, 1)


@each_variant
def test_heads_are_attentions_side_by_side(build):
    layer, (query, key, value), mask = build(), draw(), some_mask()
    context, weights = by_hand(layer, query, key, value, mask)
    output = layer(query, key, value, mask, need_weights=True)
    assert_close(output.context, context)
    assert_close(output.weights, weights)
    assert_close(layer(query, key, value, mask).context, context)
    one_for_all = mask[:1, :1]
    assert_close(layer(query, key, value, one_for_all).context, by_hand(layer, query, key, value, one_for_all)[0])


@each_variant
def test_a_call_equals_its_steps_and_a_beam_may_swap_between_them(build):
    layer, (query, key, value) = build(), draw()
    mask = padding_mask(torch.tensor([5, 3]), KEYS)
    whole = layer(query, key, value, mask, need_weights=True)
    memory, state, swap = layer.remember(key, value, mask), None, torch.tensor([1, 0])
    for place in range(QUERIES):
        output, state = layer.step(query[:, place : place + 1], memory, state, need_weights=True)
        assert_close(output.context, whole.context[:, place : place + 1])
        assert_close(output.weights, whole.weights[:, :, place : place + 1])
        query, memory, state = query[swap], reorder(memory, swap), reorder(state, swap)
        whole = layer(query, *(side[swap] for side in (key, value)), mask[swap], need_weights=True)
        key, value, mask = key[swap], value[swap], mask[swap]
    assert state.position.tolist() == [QUERIES] * BATCH


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [CausalWindow, lambda: SlidingWindow(1, 0)], ids=["causal", "sliding"])
def test_a_growing_cache_equals_one_causal_call(kv_heads, window):
    transform = QueryKeyTransform(3, "rms", RotaryPositions(2))
    layer = make(Attention(ScaledDotScore(3), window()), transform, kv_heads, dims=(DIM, DIM))
    text = torch.randn(BATCH, 6, DIM, dtype=torch.float64)
    whole = layer(text, text, need_weights=True)
    memory, state = layer.remember(text[:, :2]), None
    state = layer.begin(memory, position=1)
    for place in range(1, 6):
        if place > 1:
            memory = layer.extend(memory, text[:, place : place + 1])
        output, state = layer.step(text[:, place : place + 1], memory, state, need_weights=True)
        assert_close(output.context, whole.context[:, place : place + 1])
        assert_close(output.weights, whole.weights[:, :, place : place + 1, : place + 1])
    assert memory.value.shape == (BATCH, kv_heads, 6, 3)


@pytest.mark.parametrize("sizes", [(DIM, DIM), (KEY_DIM, VALUE_DIM)], ids=["packed", "apart"])
@pytest.mark.parametrize("bias", [True, False])
def test_torch_with_the_same_weights_says_the_same(sizes, bias):
    key_dim, value_dim = sizes
    theirs = randomised(nn.MultiheadAttention(DIM, HEADS, bias=bias, kdim=key_dim, vdim=value_dim, batch_first=True))
    ours = MultiHeadAttention.from_torch(theirs)
    query, key, value = draw(*sizes)
    mask = padding_mask(torch.tensor([5, 3]), KEYS)
    for need in (False, True):
        expected, weights = theirs(
            query, key, value, key_padding_mask=~mask.squeeze(1), need_weights=need, average_attn_weights=False
        )
        output = ours(query, key, value, mask, need_weights=need)
        assert_close(output.context, expected)
        if need:
            assert_close(output.weights, weights)


@each_variant
def test_what_is_hidden_may_be_anything(build):
    layer, (query, key, value) = build(), draw()
    mask = padding_mask(torch.tensor([5, 3]), KEYS)
    results = []
    for filling in (0.0, math.nan, math.inf):
        hidden = ~mask.squeeze(1).unsqueeze(-1)
        leaves = [side.detach().masked_fill(hidden, filling).requires_grad_() for side in (key, value)]
        layer.zero_grad()
        output = layer(query, *leaves, mask, need_weights=True)
        output.context.square().sum().backward()
        results.append([output.context, output.weights, *(leaf.grad for leaf in leaves)])
        results[-1] += [parameter.grad.clone() for parameter in layer.parameters()]
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert_close(one, two)


@each_variant
def test_a_row_that_sees_nothing_reads_zeros(build):
    layer, sides = build(), draw()
    mask = some_mask()
    mask[0, 1] = False
    output = layer(*sides, mask, need_weights=True)
    assert not output.weights[0, :, 1].any()
    bias = layer.output_proj.bias
    assert_close(output.context[0, 1], torch.zeros(DIM) if bias is None else bias)
    output.context.square().sum().backward()
    assert all(leaf.grad.isfinite().all() for leaf in (*sides, *layer.parameters()))


@each_variant
def test_gradients(build):
    layer, sides, mask = build(), draw(), some_mask()
    assert torch.autograd.gradcheck(lambda *sides: layer(*sides, mask).context, sides, fast_mode=True)


def test_degenerate_sizes_and_half_precision():
    layer = make(dims=(DIM, DIM))
    for batch, queries, keys in ((0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 3, 1)):
        query, key = torch.randn(batch, queries, DIM).double(), torch.randn(batch, keys, DIM).double()
        output = layer(query, key, need_weights=True)
        assert output.context.shape == (batch, queries, DIM)
        assert output.weights.shape == (batch, HEADS, queries, keys)
        memory = layer.remember(key)
        assert layer.look(query, memory)[0].context.equal(layer(query, key).context)
    query, key = 100 * torch.randn(2, 3, DIM), 100 * torch.randn(2, 5, DIM)
    for dtype in (torch.float16, torch.bfloat16):
        output = make(dims=(DIM, DIM)).to(dtype)(query.to(dtype), key.to(dtype), need_weights=True)
        assert output.context.isfinite().all()
        assert_close(output.weights.sum(-1), torch.ones(2, HEADS, 3), dtype)


def test_unit_length_makes_the_size_of_the_projections_meaningless():
    layer, sides = make(transform=QueryKeyTransform(3, "l2"), bias=False), draw()
    before = layer(*sides).context
    with torch.no_grad():
        layer.query_proj.weight *= 7.0
        layer.key_proj.weight *= 0.01
    assert_close(layer(*sides).context, before)
    assert isinstance(layer.attention.score, DotScore)
    for length, start in ((50, 11.26), (128, 13.99)):
        assert abs(QueryKeyTransform(3, "l2", length=length).scale.item() - start) < 0.005


@pytest.mark.parametrize("norm", ["rms", "layer", "l2", None])
def test_queries_and_keys_are_normalised_with_gains_of_their_own_then_rotated_then_compared(norm):
    """Henry 2020, or a norm of the head's features under the usual root: one query and one key at a time."""
    transform = randomised(QueryKeyTransform(4, norm, RotaryPositions(4)))
    layer = MultiHeadAttention(4, 1, transform=transform, bias=False).double()
    for projection in (layer.query_proj, layer.key_proj):
        nn.init.eye_(projection.weight)
    query, key = torch.randn(1, 2, 4).double(), torch.randn(1, 3, 4).double()

    def normed(vector, own, scale):
        if norm == "l2":
            return scale * vector / math.sqrt(sum(x * x for x in vector))
        if norm == "rms":
            return own.weight * vector / (vector.square().mean() + torch.finfo(torch.float64).eps).sqrt()
        if norm == "layer":
            return own.weight * (vector - vector.mean()) / (vector.var(correction=0) + 1e-5).sqrt() + own.bias
        return vector

    def turned(vector, place):
        pairs = [torch.complex(*vector[2 * i : 2 * i + 2]) * torch.polar(*angle(place, i)) for i in range(2)]
        return torch.view_as_real(torch.stack(pairs)).flatten()

    def angle(place, pair):
        return torch.ones((), dtype=torch.float64), torch.tensor(place / 100.0**pair, dtype=torch.float64)

    queries = [turned(normed(one, transform.query_norm, transform.scale), place) for place, one in enumerate(query[0])]
    keys = [turned(normed(one, transform.key_norm, 1), place) for place, one in enumerate(key[0])]
    scores = torch.stack(queries) @ torch.stack(keys).T / (1 if norm == "l2" else math.sqrt(4))
    assert_close(layer(query, key, need_weights=True).weights[0, 0], torch.softmax(scores, -1))


@pytest.mark.parametrize("norm", ["rms", "layer", "l2"])
def test_vectors_of_zeros_are_normalised_to_something_finite(norm):
    layer, sides = make(transform=QueryKeyTransform(3, norm), bias=False), draw()
    with torch.no_grad():
        sides[0][0], sides[1][0] = 0, 0
    output = layer(*sides)
    assert output.context.isfinite().all()
    assert all(slope.isfinite().all() for slope in torch.autograd.grad(output.context.square().sum(), sides))


def test_rotated_heads_know_distances_alone():
    layer = make(transform=QueryKeyTransform(3, positions=RotaryPositions(2)))
    query, key, value = draw()
    memory = layer.remember(key, value)
    hidden = torch.zeros(BATCH, 1, 4, dtype=torch.bool)
    before = layer.remember(key.new_zeros(BATCH, 4, KEY_DIM), key.new_zeros(BATCH, 4, VALUE_DIM), hidden)
    moved = layer.extend(before, key, value)
    here = layer.look(query, memory, layer.begin(memory, 0))[0]
    there = layer.look(query, moved, layer.begin(moved, 4))[0]
    assert_close(here.context, there.context)


@pytest.mark.parametrize("bias", [True, False])
def test_heads_are_grouped_by_their_means_and_groups_of_equals_read_as_before(bias):
    layer = make(bias=bias)
    fewer, sides = layer.grouped(2), draw()
    for name in ("key_proj", "value_proj"):
        for own, other in zip(getattr(fewer, name).parameters(), getattr(layer, name).parameters(), strict=True):
            heads = other.unflatten(0, (HEADS, 3))
            assert_close(own, torch.cat([(heads[0] + heads[1]) / 2, (heads[2] + heads[3]) / 2]))
    assert fewer.remember(*sides[1:]).value.shape == (BATCH, 2, KEYS, 3)
    assert_close(fewer(*sides).context, by_hand(fewer, *sides, None)[0])
    # heads that are alike are their own mean
    assert_close(fewer.grouped(2)(*sides).context, fewer(*sides).context)
    wide = make(bias=bias)
    wide.load_state_dict(
        {
            name: weight.unflatten(0, (2, 3)).repeat_interleave(2, 0).flatten(0, 1)
            if name.startswith(("key", "value"))
            else weight
            for name, weight in fewer.state_dict().items()
        }
    )
    assert_close(wide(*sides).context, fewer(*sides).context)
    assert_close(wide.grouped(2)(*sides).context, fewer(*sides).context)
    assert layer.num_kv_heads == HEADS
    with pytest.raises(ValueError, match=r"num_kv_heads is 3, which does not divide that of the layer, 4\. Use 2 or 4"):
        layer.grouped(3)


def test_first_values_are_those_of_torch():
    ours, theirs = MultiHeadAttention(64, 4), nn.MultiheadAttention(64, 4)
    bound = math.sqrt(6 / (4 * 64))
    for weight in (ours.query_proj.weight, ours.key_proj.weight, ours.value_proj.weight, theirs.in_proj_weight):
        assert 0.98 * bound < weight.abs().max() <= bound
    assert not ours.output_proj.bias.any()
    assert ours.query_proj.weight.shape == (64, 64)


@pytest.mark.messages
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 5}, "num_heads is 5, which does not divide query_dim, 12. Use 4 or 6."),
        ({"num_kv_heads": 3}, "num_kv_heads is 3, which does not divide num_heads, 4. Use 2 or 4."),
        ({"num_heads": 0}, "num_heads is 0"),
        (
            {"attention": Attention(ScaledDotScore(12))},
            "attention has query_dim 12, but a head has 3 features, query_dim / num_heads. Build it for 3, as "
            "Attention(ScaledDotScore(3)) is.",
        ),
        ({"transform": QueryKeyTransform(4)}, "transform has head_dim 4, but a head has 3 features"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_built(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        MultiHeadAttention(**{"query_dim": DIM, "num_heads": HEADS, **arguments})


@pytest.mark.messages
def test_what_does_not_fit_is_refused_in_a_call():
    layer, (query, key, value) = make(), draw()
    for arguments, message in (
        ((query[..., :5], key, value), "query has 5 features"),
        ((query, key[..., :5], value), "key has 5 features"),
        ((query, key), "value has 7 features"),
        ((query, key, value[:, :2]), "value has shape (2, 2, 6)"),
        ((query[:1], key, value), "query"),
        ((query.long(), key, value), "query"),
        ((query, key, value, torch.ones(BATCH, QUERIES, KEYS)), "mask"),
        ((query, key, value, torch.ones(BATCH, KEYS).bool()), "mask has shape (2, 5)"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            layer(*arguments)
    with pytest.raises(ValueError, match=r"^norm is .batch."):
        QueryKeyTransform(3, "batch")  # pyright: ignore[reportArgumentType]


@pytest.mark.messages
def test_heads_with_scores_of_their_own_are_told_what_does_not_fit():
    def of(*scores, kv_heads=None):
        return lambda: MultiHeadAttention(8, 2, num_kv_heads=kv_heads, attention=Attention(PerHeadScore(scores)))

    one, other = AdditiveScore(4, 4, 5), AdditiveScore(4, 4, 5)
    assert of(one, other)()
    assert of(one)()(torch.ones(3, 1, 8), torch.ones(3, 2, 8))
    for build, words in (
        (of(one, other, AdditiveScore(4, 4, 5)), "PerHeadScore has numbers for 3 heads, but num_heads is 2; expected"),
        (of(one, other, kv_heads=1), "PerHeadScore has a score for each of 2 heads, but num_kv_heads is 1; expected"),
        (lambda: of(one, other)().grouped(1), "PerHeadScore has a score for each of 2 heads, but num_kv_heads is 1"),
        (lambda: PerHeadScore([PerHeadScore([one, other])]), "a score has scores of heads itself; expected one"),
        (lambda: PerHeadScore(one), "scores is of the type AdditiveScore; expected a list, a score for each head"),
        (of(one, one), "there are 2 scores; expected one for each head, each built by itself"),
        (of(), "there are 0 scores; expected one for each head"),
        (of(one, DotScore(4)), "the scores differ: AdditiveScore of 4 and 4 features"),
        (of(one, AdditiveScore(4, 4, 6)), r"the scores differ: .*memory \[\(5,\)\].*memory \[\(6,\)\]"),
        (of(one, "additive"), "a score is 'additive'; expected an instance of Score"),
    ):
        with pytest.raises(ValueError, match=words):
            build()
    with pytest.raises(ValueError, match="a batch of 3 came to numbers of 2 heads"):
        Attention(PerHeadScore([one, other]))(torch.ones(3, 1, 4), torch.ones(3, 2, 4))


FOR_FOUR_HEADS = {
    "AlibiBias": lambda: Attention(ScaledDotScore(4), AlibiBias(alibi_slopes(4))),
    "BucketedRelativeBias": lambda: Attention(
        ScaledDotScore(4), AndWindow(BucketedRelativeBias(heads=4), CausalWindow())
    ),
    "SoftmaxNormalizer": lambda: Attention(ScaledDotScore(4), None, SoftmaxNormalizer(learned=True, heads=4)),
    "SoftmaxOneNormalizer": lambda: Attention(ScaledDotScore(4), None, SoftmaxOneNormalizer(learned=True, heads=4)),
    "AlphaEntmaxNormalizer": lambda: Attention(ScaledDotScore(4), None, AlphaEntmaxNormalizer(learned=True, heads=4)),
    "SigmoidNormalizer": lambda: Attention(ScaledDotScore(4), None, SigmoidNormalizer(learned=True, heads=4)),
    "TalkingHeadsNormalizer": lambda: Attention(ScaledDotScore(4), None, TalkingHeadsNormalizer(4)),
    "DifferentialNormalizer": lambda: Attention(ScaledDotScore(4), None, DifferentialNormalizer(4, 2, 0.2)),
}


@pytest.mark.messages
@pytest.mark.parametrize("name", FOR_FOUR_HEADS)
def test_numbers_for_other_heads_are_refused_before_items_can_mix(name):
    build = FOR_FOUR_HEADS[name]
    assert MultiHeadAttention(16, 4, attention=build())(torch.ones(3, 2, 16), torch.ones(3, 5, 16))
    for heads in (2, 3):
        with pytest.raises(
            ValueError, match=f"{name} has numbers for 4 heads, but num_heads is {heads}; .* for {heads}"
        ):
            MultiHeadAttention(4 * heads, heads, attention=build())
    with pytest.raises(ValueError, match=r"a batch of 3 came to numbers of 4 heads"):
        build()(torch.ones(3, 2, 4), torch.ones(3, 5, 4))


@pytest.mark.messages
def test_parts_of_heads_that_are_none():
    for build, words in (
        (lambda: MultiHeadAttention(8, 2, transform="rms"), "transform is 'rms'; expected an instance of QueryKeyTr"),
        (lambda: QueryKeyTransform(4, positions=3), "positions is of the type int; expected an instance of RotaryPos"),
        (
            lambda: MultiHeadAttention.from_torch(nn.Linear(4, 4)),
            "layer is of the type Linear; expected an instance of",
        ),
        (lambda: MultiHeadAttention(8, 2)(torch.ones(1, 2, 8), [1]), "key is a list; expected a tensor"),
        (lambda: DistanceAttention(8, 2).grouped(1), "queries and keys have one projection, .* Give key_proj a projec"),
        (lambda: TalkingHeadsAttention(8, 0), "num_heads is 0; expected a whole number"),
        (lambda: TalkingHeadsNormalizer(0), "num_heads is 0; expected a whole number"),
        (lambda: DifferentialAttention(8, 0), "num_heads is 0; expected a whole number"),
        (lambda: DifferentialAttention(8, 8), "num_heads is 8, of 2 parts each, which does not .* 8. Use 2 or 4."),
        (lambda: DifferentialAttention(7, 1), "does not divide query_dim, 7. Make query_dim a multiple of 2."),
    ):
        with pytest.raises(ValueError, match=words):
            build()
