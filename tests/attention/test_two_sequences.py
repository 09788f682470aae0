"""Two sequences that read each other, against loops over single vectors written from the papers."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful import padding_mask
from heedful.attention import AttentionPooling, BidirectionalAttentionFlow, CoAttention, ParallelCoAttention
from tests.tolerances import assert_close

BATCH, STEPS, WORDS, DIM = 3, 5, 4, 6
POISONS = (torch.nan, torch.inf, 1e30)


def softmax(scores):
    return scores.exp() / scores.exp().sum()


def flow(p, h, u):
    w = p["weight"].flatten()
    scores = torch.stack([torch.stack([w @ torch.cat((one, two, one * two)) for two in u]) for one in h])
    b = softmax(scores.max(1).values)
    read = sum(weight * one for weight, one in zip(b, h, strict=True))
    rows = []
    for one, row in zip(h, scores, strict=True):
        asked = sum(weight * two for weight, two in zip(softmax(row), u, strict=True))
        rows.append(torch.cat((one, asked, one * asked, one * read)))
    return torch.stack(rows)


def co_attention(p, d, q):
    d = torch.cat((d, p["step_sentinel"].unsqueeze(0)))
    q = torch.cat((q, p["word_sentinel"].unsqueeze(0)))
    q = torch.stack([torch.tanh(p["word_proj.weight"] @ one + p["word_proj.bias"]) for one in q])
    about = torch.stack([softmax(torch.stack([step @ word for step in d])) @ d for word in q])
    rows = []
    for step in d[:-1]:
        weights = softmax(torch.stack([step @ word for word in q]))
        rows.append(sum(weight * torch.cat(pair) for weight, *pair in zip(weights, q, about, strict=True)))
    return torch.stack(rows)


def parallel(p, v, q):
    c = torch.stack([torch.stack([torch.tanh(word @ p["affinity"] @ region) for region in v]) for word in q])
    seen, said = v @ p["region_proj"].T, q @ p["word_proj"].T
    regions = [torch.tanh(seen[n] + sum(c[t, n] * said[t] for t in range(len(q)))) for n in range(len(v))]
    words = [torch.tanh(said[t] + sum(c[t, n] * seen[n] for n in range(len(v)))) for t in range(len(q))]
    of_regions = softmax(torch.stack([p["region_energy"] @ one for one in regions]))
    of_words = softmax(torch.stack([p["word_energy"] @ one for one in words]))
    return torch.cat((of_regions @ v, of_words @ q))


class Row(NamedTuple):
    """How to build it, its output, and its formula for the visible parts of one item."""

    build: Callable[[], nn.Module]
    output: Callable
    formula: Callable
    # the output has a row for each step
    in_place: bool = True

    def __repr__(self) -> str:
        return type(self.build()).__name__


ROWS = [
    Row(lambda: BidirectionalAttentionFlow(DIM), lambda found: found.context, flow),
    Row(lambda: CoAttention(DIM), lambda found: found.context, co_attention),
    Row(
        lambda: ParallelCoAttention(DIM, DIM, 7),
        lambda found: torch.cat((found.regions, found.words), 1),
        parallel,
        in_place=False,
    ),
]
each_row = pytest.mark.parametrize("row", ROWS, ids=repr)


def network(row: Row) -> nn.Module:
    layer = row.build().double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return layer


def draw():
    steps = torch.randn(BATCH, STEPS, DIM, dtype=torch.float64, requires_grad=True)
    return steps, torch.randn(BATCH, WORDS, DIM, dtype=torch.float64, requires_grad=True)


STEP_MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=torch.bool)
WORD_MASK = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]], dtype=torch.bool)


@each_row
def test_it_is_the_loop_with_gradients(row):
    layer, (steps, words) = network(row), draw()
    output, loss, p = row.output(layer(steps, words, STEP_MASK, WORD_MASK)), 0, dict(layer.named_parameters())
    for one, own_steps, own_words, shown, heard in zip(output, steps, words, STEP_MASK, WORD_MASK, strict=True):
        wanted = row.formula(p, own_steps[shown], own_words[heard])
        assert_close(one[shown] if row.in_place else one, wanted)
        assert not row.in_place or not one[~shown].any()
        loss = loss + wanted.sin().sum()
    leaves = (steps, words, *layer.parameters())
    ours = torch.autograd.grad(output.sin().sum(), leaves)
    for one, other in zip(ours, torch.autograd.grad(loss, leaves), strict=True):
        assert_close(one, other)
    assert torch.autograd.gradcheck(lambda *x: row.output(layer(*x, STEP_MASK, WORD_MASK)), (steps, words))


def test_hidden_words_have_no_weights():
    layer, (steps, words) = CoAttention(DIM).double(), draw()
    found = layer(steps, words, STEP_MASK, WORD_MASK, need_weights=True)
    for weights, looks in ((found.step_weights, STEP_MASK), (found.word_weights, WORD_MASK)):
        assert_close(weights.sum(2), looks.double())


@each_row
def test_what_is_hidden_may_hold_anything_and_a_side_without_anything_has_finite_slopes(row):
    layer, (steps, words) = network(row), draw()
    shown, heard = STEP_MASK.clone(), WORD_MASK.clone()
    shown[1], heard[2] = False, False
    leaves = (steps, words, *layer.parameters())
    output = row.output(layer(steps, words, shown, heard))
    slopes = torch.autograd.grad(output.sin().sum(), leaves)
    assert all(slope.isfinite().all() for slope in slopes)
    assert not slopes[0][~shown].any()
    assert not slopes[1][~heard].any()
    assert not row.in_place or not output[1].any()
    for poison in POISONS:
        with torch.no_grad():
            steps[~shown], words[~heard] = poison, poison
        again = row.output(layer(steps, words, shown, heard))
        assert again.equal(output)
        others = torch.autograd.grad(again.sin().sum(), leaves)
        assert all(one.equal(other) for one, other in zip(slopes, others, strict=True))


@each_row
@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, STEPS), st.integers(0, WORDS)), min_size=1, max_size=3))
def test_further_padding_changes_nothing_and_items_do_not_touch(row, more, lengths):
    layer, batch = network(row), len(lengths)
    step_lengths, word_lengths = torch.tensor(lengths).unbind(1)
    steps, words = (torch.randn(batch, many, DIM, dtype=torch.float64) for many in (STEPS, WORDS))
    masks = padding_mask(step_lengths, STEPS), padding_mask(word_lengths, WORDS)
    output = row.output(layer(steps, words, *masks))
    pad = torch.full((batch, more, DIM), torch.nan, dtype=torch.float64)
    wider = torch.cat((steps, pad), 1), torch.cat((words, pad), 1)
    masks = padding_mask(step_lengths, STEPS + more), padding_mask(word_lengths, WORDS + more)
    other = row.output(layer(*wider, *masks))
    assert_close(other[:, :STEPS] if row.in_place else other, output)
    for item in range(batch):
        alone = slice(item, item + 1)
        assert_close(
            row.output(layer(steps[alone], words[alone], masks[0][alone, :, :STEPS], masks[1][alone, :, :WORDS]))[0],
            output[item],
        )


@each_row
def test_weights_come_when_asked_for_and_sum_to_one(row):
    layer, (steps, words) = network(row), draw()
    plain, asked = layer(steps, words, STEP_MASK), layer(steps, words, STEP_MASK, need_weights=True)
    assert row.output(plain).equal(row.output(asked))
    names = [name for name in vars(asked) if name.endswith("weights")]
    assert len(names) == 2
    for name in names:
        assert getattr(plain, name) is None
        sums = getattr(asked, name).sum(-1)
        assert_close(sums[sums > 0], torch.ones(int((sums > 0).sum())))
    assert len(row.output(layer(steps[:0], words[:0]))) == 0


@each_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_narrower_numbers_come_close(row, dtype):
    wide, narrow = row.build().double(), row.build().to(dtype)
    narrow.load_state_dict(wide.state_dict())
    wide.load_state_dict(narrow.state_dict())
    steps, words = (0.5 * tensor.detach().to(dtype) for tensor in draw())
    found = row.output(narrow(steps, words, STEP_MASK, WORD_MASK))
    assert found.dtype == dtype
    assert_close(found, row.output(wide(steps.double(), words.double(), STEP_MASK, WORD_MASK)), dtype)


@pytest.mark.compile
@each_row
def test_it_compiles_and_exports(row):
    layer, arguments = network(row), (*draw(), STEP_MASK, WORD_MASK)
    expected = row.output(layer(*arguments))
    assert_close(row.output(torch.compile(layer, backend="aot_eager", fullgraph=True)(*arguments)), expected)
    assert_close(row.output(torch.export.export(layer, arguments).module()(*arguments)), expected)


def test_a_question_of_one_word_is_read_whole_by_every_step():
    layer, (steps, words) = network(ROWS[0]), draw()
    found = layer(steps, words[:, :1], need_weights=True)
    assert_close(found.question_weights, torch.ones(BATCH, STEPS, 1))
    assert_close(found.context[..., DIM : 2 * DIM], words[:, :1].expand(-1, STEPS, -1))


def test_sentinels_that_nothing_looks_at_leave_coattention_of_the_words_alone():
    layer, (steps, words) = network(ROWS[1]), draw()
    with torch.no_grad():
        layer.step_sentinel.fill_(0)
        layer.word_proj.weight.copy_(torch.eye(DIM))
        layer.word_proj.bias.fill_(0)
        layer.word_sentinel.fill_(-30)  # after tanh: minus 1 in every feature
        steps, words = 40 * steps.abs(), words.abs()  # so that every word of the question beats it
    found = layer(steps, words, need_weights=True)
    question = torch.tanh(words)
    over_words = (steps @ question.transpose(1, 2)).softmax(2)
    over_steps = (question @ steps.transpose(1, 2)).softmax(2)
    assert_close(found.step_weights[..., :-1], over_words)
    assert_close(found.context, over_words @ torch.cat((question, over_steps @ steps), 2))


def test_without_affinity_each_side_is_pooled_for_itself():
    layer, (steps, words) = network(ROWS[2]), draw()
    nn.init.zeros_(layer.affinity)
    for side, vector in zip((steps, words), ("regions", "words"), strict=True):
        pooling, name = AttentionPooling(DIM, 7).double(), vector.removesuffix("s")
        with torch.no_grad():
            pooling.weight.copy_(layer.get_parameter(f"{name}_proj"))
            pooling.context_vector.copy_(layer.get_parameter(f"{name}_energy"))
        assert_close(getattr(layer(steps, words), vector), pooling(side).vector)


@pytest.mark.messages
@each_row
def test_what_does_not_fit_is_refused(row):
    layer = row.build()
    with pytest.raises(ValueError, match=r"the sequence has 5 features; the layer expected 6"):
        layer(torch.zeros(2, 3, 5), torch.zeros(2, 4, 6))
    with pytest.raises(ValueError, match=r"has shape \(2, 0, 6\), no steps"):
        layer(torch.zeros(2, 3, 6), torch.zeros(2, 0, 6))
    with pytest.raises(ValueError, match=r"mask is float32; a mask is boolean"):
        layer(torch.zeros(2, 3, 6), torch.zeros(2, 4, 6), torch.ones(2, 3))
