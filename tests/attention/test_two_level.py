"""Words weighed again by their sections, against the product of two softmaxes written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful.attention import Attention, TwoLevelAttention
from heedful.attention.scores import AdditiveScore, CoverageScore, GeneralScore
from tests.tolerances import assert_close

BATCH, QUERIES, KEYS, SECTIONS = 2, 3, 7, 4
POISONS = (torch.nan, torch.inf, 1e30)
IDS = torch.tensor([[0, 0, 1, 1, 3, 3, 3], [2, 0, 2, 0, 2, -1, -1]])


def network(inside: bool, additive: bool = False) -> TwoLevelAttention:
    scores = (AdditiveScore(4, 6, 5), AdditiveScore(4, 3, 5)) if additive else (GeneralScore(4, 6), GeneralScore(4, 3))
    layer = TwoLevelAttention(*scores, inside).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def draw():
    sizes = ((BATCH, QUERIES, 4), (BATCH, KEYS, 6), (BATCH, SECTIONS, 3))
    return [torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in sizes]


def by_loop(layer, query, words, sections, ids, visible):
    """The paper's product for one batch item: softmax over all words times softmax over sections, renormalised."""
    rows = []
    seen = [word for word in range(len(words)) if visible[word] and ids[word] >= 0]
    known = sorted({int(ids[word]) for word in seen})
    for one in query:
        row = torch.zeros(len(words), dtype=torch.float64)
        word_score = {word: (one @ layer.words.score.weight @ words[word]).exp() for word in seen}
        section_score = {section: (one @ layer.sections.score.weight @ sections[section]).exp() for section in known}
        parts = []
        for word in seen:
            mates = [other for other in seen if not layer.inside or ids[other] == ids[word]]
            within = word_score[word] / sum(word_score[other] for other in mates)
            parts.append(within * section_score[int(ids[word])] / sum(section_score.values()))
        if seen:
            weights = torch.stack(parts)
            if layer.inside:
                assert_close(weights.sum(), torch.ones(()).double())
            row = row.index_put((torch.tensor(seen),), weights / weights.sum())
        rows.append(row)
    return torch.stack(rows)


@pytest.mark.parametrize("inside", [False, True])
@given(st.lists(st.lists(st.integers(-1, SECTIONS - 1), min_size=KEYS, max_size=KEYS), min_size=BATCH, max_size=BATCH))
def test_it_is_the_product_of_two_softmaxes(inside, ids):
    layer, ids, mask = network(inside), torch.tensor(ids), torch.rand(BATCH, 1, KEYS) > 0.3
    query, words, sections = draw()
    output = layer(query, words, sections, ids, mask, need_weights=True)
    rows = [by_loop(layer, *item) for item in zip(query, words, sections, ids, mask[:, 0], strict=True)]
    assert_close(output.weights, torch.stack(rows))
    assert_close(output.context, torch.stack(rows) @ words)
    assert_close(layer(query, words, sections, ids, mask).context, output.context)
    leaves = (query, words, sections, *layer.parameters())
    loss = (torch.stack(rows) @ words).square().sum()
    if loss.requires_grad and rows[0].requires_grad and rows[1].requires_grad:
        ours = torch.autograd.grad(output.context.square().sum(), leaves)
        for one, other in zip(ours, torch.autograd.grad(loss, leaves, materialize_grads=True), strict=True):
            assert_close(one, other)


@pytest.mark.parametrize("inside", [False, True])
def test_one_section_is_attention_over_the_words(inside):
    layer, (query, words, sections) = network(inside, additive=True), draw()
    found = layer(query, words, sections, torch.zeros(BATCH, KEYS, dtype=torch.long), need_weights=True)
    plain = Attention(layer.words.score)(query, words, need_weights=True)
    assert_close(found.weights, plain.weights)
    assert_close(found.context, plain.context)


def test_sections_that_are_all_alike_leave_attention_over_the_words():
    layer, (query, words, sections) = network(inside=False), draw()
    found = layer(query, words, sections[:, :1].expand(-1, SECTIONS, -1), IDS.clamp_min(0))
    assert_close(found.context, Attention(layer.words.score)(query, words).context)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("additive", [False, True])
def test_hidden_words_and_empty_sections_may_hold_anything(inside, additive):
    layer, (query, words, sections), mask = network(inside, additive), draw(), torch.ones(BATCH, 1, KEYS) > 0
    mask[0, 0, 4:] = False  # the whole of section 3
    hidden = ~mask[:, 0] | (IDS < 0)
    empty = torch.tensor([[False, False, True, True], [False, True, False, True]])
    leaves = (query, words, sections, *layer.parameters())
    context = layer(query, words, sections, IDS, mask).context
    slopes = torch.autograd.grad(context.square().sum(), leaves)
    assert not slopes[1][hidden].any()
    assert not slopes[2][empty].any()
    for poison in POISONS:
        with torch.no_grad():
            words[hidden], sections[empty] = poison, poison
        again = layer(query, words, sections, IDS, mask).context
        assert again.equal(context)
        others = torch.autograd.grad(again.square().sum(), leaves)
        assert all(one.equal(other) for one, other in zip(slopes, others, strict=True))


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_visible_gives_zeros_and_scores_may_be_large(inside):
    layer, (query, words, sections) = network(inside), draw()
    ids = IDS.clone()
    ids[1] = -1
    context = layer(query, words, sections, ids).context
    assert not context[1].any()
    slopes = torch.autograd.grad(context.sum(), (query, words, sections))
    assert all(slope.isfinite().all() and not slope[1].any() for slope in slopes)
    half = TwoLevelAttention(GeneralScore(4, 6), GeneralScore(4, 3), inside).half()
    large = [(30 * tensor.detach()).half() for tensor in (query, words, sections)]
    output = half(*large, IDS, need_weights=True)
    assert output.context.isfinite().all()
    assert_close(output.weights.sum(2), torch.ones(BATCH, QUERIES), torch.float16)
    output = network(inside, additive=True).half()(*(one.half() for one in (query, words, sections)), IDS)
    assert output.context.dtype == torch.half
    assert torch.autograd.gradcheck(lambda *x: layer(*x, IDS).context, (query, words, sections))


def test_query_by_query_over_what_was_remembered():
    layer, (query, words, sections) = network(inside=True, additive=True), draw()
    memory, whole = layer.remember(words, sections, IDS), layer(query, words, sections, IDS)
    steps = [layer.look(query[:, step : step + 1], memory).context for step in range(QUERIES)]
    assert_close(torch.cat(steps, 1), whole.context)


@pytest.mark.compile
@pytest.mark.parametrize("inside", [False, True])
def test_it_compiles_and_exports(inside):
    layer, arguments = network(inside), (*draw(), IDS)
    expected = layer(*arguments).context
    assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(*arguments).context, expected)
    assert_close(torch.export.export(layer, arguments).module()(*arguments).context, expected)


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"CoverageScore depends on earlier queries; expected a score that does not"):
        TwoLevelAttention(CoverageScore(4, 6, 5), GeneralScore(4, 3))
    with pytest.raises(ValueError, match=r"word_score takes queries of 4 features and section_score of 5; both"):
        TwoLevelAttention(GeneralScore(4, 6), GeneralScore(5, 3))
    layer, (query, words, sections) = network(inside=False), draw()
    with pytest.raises(ValueError, match=r"section_ids go from 0 to 4; expected -1 \(padding\) to 3, one for each sec"):
        layer(query, words, sections, torch.tensor([[0, 1, 2, 3, 4, 0, 0]] * 2))
    with pytest.raises(ValueError, match=r"mask has shape \(2, 7\); expected something that broadcasts"):
        layer(query, words, sections, IDS, torch.ones(2, 7, dtype=torch.bool))
