"""Biases by distance: the numbers of the papers, several heads against loops, and functions of two places."""

import math

import pytest
import torch
from torch import nn

from heedful.attention import Attention, MultiHeadAttention
from heedful.attention.heads import join_heads, split_heads
from heedful.attention.scores import DotScore, ScaledDotScore
from heedful.attention.windows import (
    AlibiBias,
    AndWindow,
    BucketedRelativeBias,
    CausalWindow,
    RelativeBias,
    ScoreBias,
    alibi_bias,
    alibi_slopes,
    bucketed_bias,
    relative_bias,
    relative_context,
)
from heedful.attention.windows.bucketed_relative import relative_buckets
from tests.attention.cases import draw, gradients
from tests.attention.rows import KEYS, QUERIES
from tests.tolerances import assert_close

# two batch items at different places
POSITIONS = torch.tensor([[0, 1, 2], [4, 2, 0]])


def test_slopes_are_those_of_the_paper():
    assert alibi_slopes(8).tolist() == [2.0**-power for power in range(1, 9)]
    assert_close(alibi_slopes(16), torch.tensor([2 ** (-power / 2) for power in range(1, 17)]))
    more = [0.7071, 0.3536, 0.1768, 0.0884]
    assert_close(alibi_slopes(12), torch.tensor([*alibi_slopes(8).tolist(), *more]), torch.float16)
    assert alibi_slopes(1).tolist() == [2.0**-8]
    assert all(len(set(alibi_slopes(heads).tolist())) == heads for heads in range(1, 33))


def test_alibi_of_several_heads_is_a_loop_over_them():
    slopes = alibi_slopes(3).double()
    bias = alibi_bias(POSITIONS, KEYS, slopes)
    for item in range(2):
        for head in range(3):
            for query in range(3):
                expected = [-slopes[head] * abs(key - int(POSITIONS[item, query])) for key in range(KEYS)]
                assert_close(bias[item, head, query], torch.stack(expected))
    assert alibi_bias(POSITIONS[0], KEYS, slopes).equal(bias[0])


def test_alibi_is_constant_along_diagonals_and_has_no_parameters():
    attention = Attention(DotScore(4), AndWindow(CausalWindow(), AlibiBias(0.5)))
    assert not list(attention.parameters())
    weights = attention(torch.zeros(1, 5, 4), torch.zeros(1, 5, 4), need_weights=True).weights
    assert weights is not None
    steps = torch.exp(-0.5 * torch.arange(5.0).flip(0))
    assert_close(weights[0, 4], steps / steps.sum())
    assert_close(weights[0, 2, :3], steps[2:] / steps[2:].sum())


def test_buckets_are_those_of_the_published_code():
    both = {-200: 15, -64: 14, -20: 10, -8: 8, -7: 7, -1: 1, 0: 0, 1: 17, 7: 23, 8: 24, 20: 26, 64: 30, 200: 31}
    assert relative_buckets(torch.tensor([*both])).tolist() == [*both.values()]
    causal = {-1000: 31, -128: 31, -64: 26, -20: 17, -16: 16, -15: 15, -1: 1, 0: 0, 1: 0, 50: 0}
    assert relative_buckets(torch.tensor([*causal]), bidirectional=False).tolist() == [*causal.values()]


@pytest.mark.parametrize(("buckets", "bidirectional"), [(32, True), (32, False), (4, True), (6, True), (2, False)])
def test_further_away_is_never_a_lower_bucket_and_none_is_out_of_the_table(buckets, bidirectional):
    distance = torch.arange(-300, 301)
    bucket = relative_buckets(distance, buckets, 128, bidirectional)
    assert bucket.min() >= 0
    assert bucket.unique().tolist() == [each for each in range(buckets) if each != buckets // 2 or not bidirectional]
    before, behind = bucket[:301].flip(0), bucket[301:]
    assert (before.diff() >= 0).all()
    assert (behind.diff() >= 0).all()
    assert bidirectional or not behind.any()


def test_bucketed_bias_of_several_heads_is_a_loop_over_them():
    table = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    bias = bucketed_bias(POSITIONS, KEYS, table, max_distance=20)
    for item in range(2):
        for query in range(3):
            for key in range(KEYS):
                bucket = relative_buckets(torch.tensor(key - int(POSITIONS[item, query])), 8, 20)
                assert_close(bias[item, :, query, key], table[bucket])
    (gradient,) = torch.autograd.grad(bias.sum(), table)
    assert gradient.sum() == bias.numel()


def test_a_bias_of_zeros_changes_nothing():
    plain, scaled = Attention(DotScore(4)), Attention(ScaledDotScore(4))
    arguments = tuple(each.float() for each in draw(plain))
    assert_close(Attention(DotScore(4), BucketedRelativeBias())(*arguments).context, plain(*arguments).context)
    assert_close(Attention(DotScore(4), AlibiBias(0.0))(*arguments).context, plain(*arguments).context)
    relative = RelativeBias(4, 2)
    nn.init.zeros_(relative.table)
    assert_close(Attention(ScaledDotScore(4), relative)(*arguments).context, scaled(*arguments).context)


def test_relative_vectors_of_keys_and_values_are_those_of_the_loop():
    """Shaw 2018, section 3, with two heads that share both tables."""
    query, key, value = (torch.randn(2, 2, size, 4, dtype=torch.float64) for size in (QUERIES, KEYS, KEYS))
    keys, values = (torch.randn(5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    positions = POSITIONS.unsqueeze(1)
    scores = (query @ key.transpose(-1, -2) + relative_bias(query, positions, KEYS, keys)) / 2
    weights = scores.softmax(-1)
    context = weights @ value + relative_context(weights, positions, values)
    for item, head, place in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(QUERIES)).tolist():
        far = [max(-2, min(k - int(POSITIONS[item, place]), 2)) + 2 for k in range(KEYS)]
        compared = [query[item, head, place] @ (key[item, head, k] + keys[far[k]]) / 2 for k in range(KEYS)]
        shares = torch.stack(compared).softmax(0)
        read = sum(shares[k] * (value[item, head, k] + values[far[k]]) for k in range(KEYS))
        assert_close(weights[item, head, place], shares)
        assert_close(context[item, head, place], read)
    assert all(each.any() for each in torch.autograd.grad(context.square().sum(), (keys, values)))


def test_a_relative_bias_is_scaled_as_the_score_beside_it():
    query, key = torch.randn(1, 3, 4, dtype=torch.float64), torch.randn(1, 3, 4, dtype=torch.float64)
    score, window = ScaledDotScore(4), RelativeBias(4, 9).double()
    weights = Attention(score, window)(query, key, need_weights=True).weights
    moved = key.unsqueeze(1) + torch.stack([window.table[9 - place : 12 - place] for place in range(3)])
    assert_close(weights, ((query.unsqueeze(2) * moved).sum(-1) / math.sqrt(4)).softmax(-1))


def shaw(attention, query, key, value):
    """Shaw 2018, section 3, one query and one key at a time."""
    p, reach = dict(attention.named_parameters()), 2
    first = max(key.shape[1] - query.shape[1], 0)
    contexts = []
    for item in range(len(query)):
        for place in range(query.shape[1]):
            far = [max(-reach, min(k - first - place, reach)) + reach for k in range(key.shape[1])]
            scores = [query[item, place] @ (key[item, k] + p["window.table"][far[k]]) / 2 for k in range(key.shape[1])]
            shares = torch.stack(scores).softmax(0)
            contexts.append(
                sum(w * (v + p["window.value_table"][f]) for w, v, f in zip(shares, value[item], far, strict=True))
            )
    return torch.stack(contexts).view(len(query), query.shape[1], -1)


def test_vectors_for_the_values_are_read_with_them_at_once_and_step_by_step():
    attention = Attention(ScaledDotScore(4), RelativeBias(4, 2, value_dim=7)).double()
    query, key, value = draw(attention)
    leaves = (query, key, value, *attention.parameters())
    context, wanted = attention(query, key, value).context, shaw(attention, query, key, value)
    assert_close(context, wanted)
    assert attention(query, key, value, need_weights=True).context.equal(context)
    for ours, theirs in zip(gradients(context, *leaves), gradients(wanted, *leaves), strict=True):
        assert_close(ours, theirs)
    memory = attention.remember(key, value)
    state = attention.begin(memory, KEYS - QUERIES)
    for place in range(QUERIES):
        output, state = attention.step(query[:, place : place + 1], memory, state)
        assert_close(output.context, context[:, place : place + 1])
    mask = torch.tensor([[[True] * KEYS], [[False] * KEYS]])
    assert not attention(query, key, value, mask).context[1].any()
    half = attention.half()(query.half(), key.half(), value.half()).context
    assert half.dtype == torch.half
    assert_close(half, context, torch.half)


def test_vectors_for_the_values_in_every_head_and_beside_another_window():
    """Two heads that share both tables, and tables of zeros."""
    window = RelativeBias(4, 2, value_dim=4)
    joined = Attention(ScaledDotScore(4), AndWindow(CausalWindow(), window))
    heads = MultiHeadAttention(8, 2, attention=joined).double()
    query = torch.randn(2, KEYS, 8, dtype=torch.float64)
    output = heads(query, query, need_weights=True)
    positions = torch.arange(KEYS).expand(2, 1, KEYS)
    values = split_heads(heads.value_proj(query), 2)
    read = output.weights @ values + relative_context(output.weights, positions, window.value_table)
    assert_close(output.context, heads.output_proj(join_heads(read)))
    nn.init.zeros_(window.value_table)
    bare = Attention(ScaledDotScore(4), RelativeBias(4, 2)).double()
    bare.window.table = window.table
    each = torch.randn(2, KEYS, 4, dtype=torch.float64)
    assert_close(Attention(ScaledDotScore(4), window)(each, each).context, bare(each, each).context)


@pytest.mark.compile
def test_vectors_for_the_values_are_compiled_in_one_graph():
    attention = Attention(ScaledDotScore(4), RelativeBias(4, 2, value_dim=7)).double()
    arguments = draw(attention)
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments).context
    assert_close(compiled, attention(*arguments).context)
    exported = torch.export.export(attention, tuple(each.detach() for each in arguments)).module()
    assert_close(exported(*arguments).context, attention(*arguments).context)


def test_heads_side_by_side_in_the_batch_have_numbers_of_their_own():
    bucketed = BucketedRelativeBias(8, 20, heads=3).double()
    nn.init.normal_(bucketed.table)
    slopes = alibi_slopes(3)
    biases = {
        AlibiBias(slopes): alibi_bias(POSITIONS, KEYS, slopes.double()),
        bucketed: bucketed_bias(POSITIONS, KEYS, bucketed.table, 20),
    }
    folded = POSITIONS.repeat_interleave(3, 0)
    for window, expected in biases.items():
        view, _ = window(torch.zeros(6, 3, 4, dtype=torch.float64), folded, torch.full((6,), KEYS), KEYS)
        assert_close(view.bias, expected.flatten(0, 1))


def test_alibi_written_as_a_function_is_alibi():
    ours = Attention(DotScore(4), AlibiBias(0.5)).double()
    theirs = Attention(DotScore(4), ScoreBias(lambda query, key: -0.5 * (query - key).abs())).double()
    arguments = draw(ours)
    assert ours(*arguments).context.equal(theirs(*arguments).context)
    nothing = Attention(DotScore(4), ScoreBias(lambda query, key: torch.zeros(()))).double()
    assert_close(nothing(*arguments).context, Attention(DotScore(4))(*arguments).context)


def test_a_table_is_a_function_of_two_places_and_a_module_learns():
    class Table(nn.Module):
        """A number for each pair of places."""

        def __init__(self):
            super().__init__()
            self.numbers = nn.Parameter(torch.randn(QUERIES, KEYS, dtype=torch.float64))

        def forward(self, query, key):
            return self.numbers[query + QUERIES - KEYS, key]

    attention = Attention(DotScore(4), ScoreBias(Table()))
    query, key, value = draw(attention)
    (table,) = attention.parameters()
    context = (query @ key.transpose(1, 2) + table).softmax(-1) @ value
    output = attention(query, key, value).context
    assert_close(output, context)
    leaves = (query, key, value, table)
    for actual, expected in zip(gradients(output, *leaves), gradients(context, *leaves), strict=True):
        assert_close(actual, expected)


def test_a_table_for_each_batch_item_has_a_first_axis():
    numbers = torch.randn(2, QUERIES, KEYS, dtype=torch.float64)
    items = torch.arange(2).view(2, 1, 1)
    attention = Attention(DotScore(4), ScoreBias(lambda query, key: numbers[items, query + QUERIES - KEYS, key]))
    query, key, value = draw(attention)
    context = (query @ key.mT + numbers).softmax(-1) @ value
    assert_close(attention(query, key, value).context, context)


@pytest.mark.messages
def test_what_is_no_bias_is_refused():
    arguments = torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)
    with pytest.raises(TypeError, match=r"the bias is boolean, .* numbers to add .* give it as `mask=`, True = may"):
        Attention(DotScore(4), ScoreBias(lambda query, key: query >= key))(*arguments)
    with pytest.raises(TypeError, match="the bias is int64; expected floating-point"):
        Attention(DotScore(4), ScoreBias(lambda query, key: query - key))(*arguments)
    with pytest.raises(TypeError, match=r"function is a Tensor; .* write `lambda query, key: table\[query, key\]`"):
        ScoreBias(torch.zeros(3, 3))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"slopes are \[0.5, -1.0\]; expected numbers from 0 \(no penalty\) up, one"):
        AlibiBias([0.5, -1])
    message = "a batch of 3 came to numbers of 2 heads; expected a multiple of 2, the heads of each item side by side"
    for window in (AlibiBias([0.5, 0.25]), BucketedRelativeBias(heads=2)):
        with pytest.raises(ValueError, match=message):
            Attention(DotScore(4), window)(torch.zeros(3, 1, 4), torch.zeros(3, 1, 4))
    with pytest.raises(ValueError, match=r"heads is 0; expected a whole number \(int\) from 1 up"):
        alibi_slopes(0)
    with pytest.raises(ValueError, match="value has 4 features; RelativeBias expected 7"):
        Attention(ScaledDotScore(4), RelativeBias(4, 2, value_dim=7))(*arguments)
    with pytest.raises(ValueError, match=r"value_dim is 0; expected a whole number \(int\) from 1 up"):
        RelativeBias(4, 2, value_dim=0)
    with pytest.raises(ValueError, match=r"num_buckets is 7; expected an even number, half for keys on each side: 8\?"):
        BucketedRelativeBias(7)
