"""Losses on weights: sums written out one weight at a time, the values that papers and packages give, hidden places."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.attention import StructuredSelfAttention
from heedful.attention.regularizers import (
    attention_entropy,
    attention_sharpness,
    coverage_loss,
    doubly_stochastic_loss,
    fertility_loss,
    guided_alignment_loss,
    guided_attention_loss,
    head_diversity_loss,
    hop_penalty,
    monotonicity_penalty,
)
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, HEADS = 3, 4, 5, 2
POISONS = (torch.nan, torch.inf, 1e30)


def ln(number):
    return math.log(number) if number > 0 else 0.0


def doubly(w, **_):
    return sum((1 - sum(row[k] for row in w)) ** 2 for k in range(len(w[0])))


def balanced(w, **_):
    return sum((len(w) / len(w[0]) - sum(row[k] for row in w)) ** 2 for k in range(len(w[0])))


def coverage(w, **_):
    return sum(min(row[k], sum(earlier[k] for earlier in w[:q])) for q, row in enumerate(w) for k in range(len(row)))


def hops(w, **_):
    pairs = [(i, j) for i in range(len(w)) for j in range(len(w))]
    return sum((sum(a * b for a, b in zip(w[i], w[j], strict=True)) - (i == j)) ** 2 for i, j in pairs)


def linked(w, gold):
    rows = [(row, [link / sum(links) for link in links]) for row, links in zip(w, gold, strict=True) if sum(links)]
    return rows, max(len(rows), 1)


def cross_entropy(w, gold):
    rows, count = linked(w, gold)
    return -sum(g * ln(a) for row, links in rows for a, g in zip(row, links, strict=True)) / count


def squared(w, gold):
    rows, count = linked(w, gold)
    return sum((a - g) ** 2 / 2 for row, links in rows for a, g in zip(row, links, strict=True)) / count


def product(w, gold):
    rows, count = linked(w, gold)
    return -sum(ln(sum(a * g for a, g in zip(row, links, strict=True))) for row, links in rows) / count


def entropy(w, **_):
    return sum(-a * ln(a) for row in w for a in row) / len(w)


def normalized(w, **_):
    return entropy(w) / ln(len(w[0])) if len(w[0]) > 1 else 0.0


def sharpness(w, **_):
    return sum(a * a for row in w for a in row) / len(w)


def fertility(w, phi):
    return sum((phi[k] - sum(row[k] for row in w)) ** 2 for k in range(len(w[0])))


def monotone(margin):
    def formula(w, **_):
        places = [sum(k * a for k, a in enumerate(row)) / sum(row) for row in w]
        return sum(max(0.0, places[q - 1] - places[q] + margin) for q in range(1, len(places)))

    return formula


def draw():
    return torch.rand(BATCH, QUERIES, KEYS, dtype=torch.float64).softmax(2).requires_grad_()


GOLD = torch.zeros(BATCH, QUERIES, KEYS, dtype=torch.float64)
GOLD[:, 0, 1] = GOLD[:, 1, 0] = GOLD[:, 1, 1] = GOLD[:, 3, 2] = 1.0
PHI = torch.linspace(0.2, 2, BATCH * KEYS, dtype=torch.float64).view(BATCH, KEYS)


def on_gold(loss):
    return lambda w, queries, keys: guided_alignment_loss(w, GOLD, queries, keys, loss)


# loss, the same for the visible weights of one item
ROWS = {
    "doubly": (doubly_stochastic_loss, doubly),
    "balanced": (lambda w, queries, keys: doubly_stochastic_loss(w, queries, keys, balanced=True), balanced),
    "coverage": (coverage_loss, coverage),
    "cross_entropy": (on_gold("cross_entropy"), cross_entropy),
    "squared": (on_gold("squared"), squared),
    "product": (on_gold("product"), product),
    "entropy": (attention_entropy, entropy),
    "normalized": (lambda w, queries, keys: attention_entropy(w, queries, keys, normalized=True), normalized),
    "sharpness": (attention_sharpness, sharpness),
    "fertility": (lambda w, queries, keys: fertility_loss(w, PHI, queries, keys), fertility),
    "monotone": (monotonicity_penalty, monotone(0.0)),
    "margin": (lambda w, queries, keys: monotonicity_penalty(w, queries, keys, margin=0.5), monotone(0.5)),
    "guided": (guided_attention_loss, None),
    "hops": (lambda w, queries, keys: hop_penalty(w, keys), hops),
    "heads": (lambda w, queries, keys: head_diversity_loss(torch.stack((w, w.flip(2)), 1), queries, keys), None),
}
each_row = pytest.mark.parametrize("name", ROWS)


@each_row
@given(st.lists(st.tuples(st.integers(0, QUERIES), st.integers(0, KEYS)), min_size=BATCH, max_size=BATCH))
def test_it_is_the_sum_written_out_over_what_is_real(name, lengths):
    loss, formula = ROWS[name]
    if formula is None:
        return
    weights = draw()
    if name == "hops":
        lengths = [(QUERIES, keys) for _, keys in lengths]
    queries, keys = (
        torch.arange(most) < torch.tensor([length[axis] for length in lengths]).unsqueeze(1)
        for axis, most in ((0, QUERIES), (1, KEYS))
    )
    found, wanted = loss(weights, queries, keys), []
    for item, (rows, columns) in enumerate(lengths):
        if not rows or not columns:
            continue
        own = weights[item, :rows, :columns].tolist()
        gold, phi = GOLD[item, :rows, :columns].tolist(), PHI[item, :columns].tolist()
        more = {"gold": gold} if name in ("cross_entropy", "squared", "product") else {"phi": phi}
        if "gold" in more and not any(map(any, gold)):
            continue
        wanted.append(formula(own, **more))
    assert found.item() == pytest.approx(sum(wanted) / max(len(wanted), 1), abs=1e-12)


@each_row
def test_gradcheck_and_what_is_hidden_may_hold_anything(name):
    loss, _ = ROWS[name]
    weights = draw()
    queries, keys = torch.ones(BATCH, QUERIES, dtype=torch.bool), torch.ones(BATCH, KEYS, dtype=torch.bool)
    keys[0, 2] = keys[1, 3:] = False
    if name != "hops":
        queries[0, 1] = queries[1, 2:] = False
    keys[2] = False  # an item without anything
    assert torch.autograd.gradcheck(lambda weights: loss(weights, queries, keys), weights)
    expected = loss(weights, queries, keys)
    (slope,) = torch.autograd.grad(expected, weights)
    visible = queries.unsqueeze(2) & keys.unsqueeze(1)
    if name == "heads":
        visible = visible | (queries.unsqueeze(2) & keys.flip(1).unsqueeze(1))
    assert not slope[~visible].any()
    for poison in POISONS:
        poisoned = weights.detach().masked_fill(~visible, poison).requires_grad_()
        found = loss(poisoned, queries, keys)
        assert found.equal(expected)
        assert torch.autograd.grad(found, poisoned)[0].equal(slope)


@each_row
def test_nothing_real_costs_nothing_and_no_mask_is_all_of_it(name):
    loss, _ = ROWS[name]
    weights = draw()
    nothing = torch.zeros(BATCH, KEYS, dtype=torch.bool)
    found = loss(weights, None, nothing)
    assert found == 0
    assert not torch.autograd.grad(found, weights)[0].any()
    all_of_it = (torch.ones(BATCH, QUERIES, dtype=torch.bool), torch.ones(BATCH, KEYS, dtype=torch.bool))
    assert_close(loss(weights, None, None), loss(weights, *all_of_it))


@each_row
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_rows_of_zeros_and_ones_and_narrow_numbers_have_finite_slopes(name, dtype):
    loss, _ = ROWS[name]
    weights = torch.eye(KEYS, dtype=dtype)[:QUERIES].repeat(BATCH, 1, 1)
    weights[0] = 0
    found = loss(weights.requires_grad_(), None, None)
    assert found.isfinite()
    assert torch.autograd.grad(found, weights)[0].isfinite().all()


def test_the_example_of_speechbrain():
    weights = torch.tensor(
        [
            [[0.8, 0.2, 0.0], [0.4, 0.6, 0.0], [0.2, 0.8, 0.0], [0.0, 0.0, 0.0]],
            [[0.6, 0.2, 0.2], [0.1, 0.7, 0.2], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5]],
        ]
    )
    queries, keys = torch.tensor([[True] * 3 + [False], [True] * 4]), torch.tensor([[True, True, False], [True] * 3])
    assert guided_attention_loss(weights, queries, keys, padded=True).item() == pytest.approx(0.1142, abs=5e-5)
    assert guided_attention_loss(weights, queries, keys).item() == pytest.approx(0.1522, abs=5e-5)


def test_guided_attention_is_its_formula_cell_by_cell():
    weights = draw()
    cells = [
        weights[0, t, n] * (1 - math.exp(-((n / 3 - t / 2) ** 2) / (2 * 0.4**2))) for t in range(2) for n in range(3)
    ]
    queries, keys = torch.arange(QUERIES) < 2, torch.arange(KEYS) < 3
    found = guided_attention_loss(weights[:1], queries.unsqueeze(0), keys.unsqueeze(0), width=0.4)
    assert_close(found, sum(cells) / 6)


def test_heads_are_compared_pair_by_pair():
    weights = torch.rand(2, 3, QUERIES, KEYS, dtype=torch.float64).softmax(-1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = sum((weights[:, h] * weights[:, i]).sum(-1).mean() for h, i in pairs) / 3
    assert_close(head_diversity_loss(weights), wanted)
    assert head_diversity_loss(weights[:, :1]) == 0
    assert_close(head_diversity_loss(weights[:, :1].expand(-1, 2, -1, -1)), attention_sharpness(weights[:, 0]))


@given(st.integers(1, 6), st.integers(1, 9))
def test_hops_that_look_everywhere_alike_cost_what_is_known(hop_count, keys):
    uniform = torch.full((2, hop_count, keys), 1 / keys, dtype=torch.float64)
    wanted = hop_count * (1 / keys - 1) ** 2 + hop_count * (hop_count - 1) / keys**2
    assert float(hop_penalty(uniform)) == pytest.approx(wanted)


def test_what_costs_nothing():
    unit = torch.eye(KEYS, dtype=torch.float64).unsqueeze(0)
    assert hop_penalty(unit[:, :3]) == 0
    assert doubly_stochastic_loss(unit) == 0
    assert coverage_loss(unit[:, :1]) == 0
    assert coverage_loss(unit[:, [0, 0]]) == 1
    assert guided_alignment_loss(unit, unit) == 0
    assert guided_alignment_loss(unit, unit, loss="squared") == 0
    assert guided_alignment_loss(unit, unit, loss="product") == 0
    assert fertility_loss(unit, torch.ones(1, KEYS).double()) == 0
    assert monotonicity_penalty(unit) == 0
    assert guided_attention_loss(unit) < 1e-12
    assert attention_entropy(unit) == 0
    assert attention_sharpness(unit) == 1


@given(st.integers(2, 9))
def test_weights_that_are_all_alike_have_the_entropy_of_their_number(keys):
    uniform = torch.full((1, 2, keys), 1 / keys, dtype=torch.float64)
    assert float(attention_entropy(uniform)) == pytest.approx(math.log(keys))
    assert float(attention_entropy(uniform, normalized=True)) == pytest.approx(1)


def test_going_back_is_counted_over_what_is_hidden_between():
    unit = torch.eye(KEYS).unsqueeze(0)
    mask = torch.tensor([[True, False, True]])
    assert monotonicity_penalty(unit[:, [4, 0, 1]], mask) == 3
    assert monotonicity_penalty(torch.stack((unit[0, 4], torch.zeros(KEYS), unit[0, 1])).unsqueeze(0)) == 3


def test_predicted_fertility_learns_too():
    weights, fertility_of = draw(), PHI.clone().requires_grad_()
    assert torch.autograd.gradcheck(fertility_loss, (weights, fertility_of))


def test_hops_of_structured_attention_part_when_it_is_trained_so():
    layer, steps = StructuredSelfAttention(4, 6, hops=3), torch.randn(2, 7, 4)
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    before = hop_penalty(layer(steps, need_weights=True).weights).item()
    for _ in range(30):
        optimizer.zero_grad()
        hop_penalty(layer(steps, need_weights=True).weights).backward()
        optimizer.step()
    assert hop_penalty(layer(steps, need_weights=True).weights).item() < before / 3


@pytest.mark.compile
@each_row
def test_it_compiles(name):
    weights, loss = draw().float(), ROWS[name][0]
    masks = torch.rand(BATCH, QUERIES) > 0.3, torch.rand(BATCH, KEYS) > 0.3
    assert_close(torch.compile(loss, backend="aot_eager", fullgraph=True)(weights, *masks), loss(weights, *masks))


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    weights = draw()
    with pytest.raises(ValueError, match=r"width is 0; expected a number above 0"):
        guided_attention_loss(weights, width=0)
    with pytest.raises(ValueError, match=r"loss is 'mse'; expected one of 'cross_entropy', 'squared', 'product'"):
        guided_alignment_loss(weights, weights, loss="mse")
    with pytest.raises(ValueError, match=r"query_mask is float32; a mask is boolean"):
        coverage_loss(weights, torch.ones(BATCH, QUERIES))
    with pytest.raises(ValueError, match=r"key_mask has shape \(3, 4\); expected .* = \[3, 5\]"):
        coverage_loss(weights, None, torch.ones(BATCH, QUERIES, dtype=torch.bool))
    for shape in ((QUERIES, KEYS), (BATCH, 2, QUERIES, KEYS)):
        with pytest.raises(ValueError, match=r"weights have shape .*; expected \[batch, queries, keys\]\. For one sen"):
            coverage_loss(torch.zeros(shape))
