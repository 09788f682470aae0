"""Facts of every composition: what it computes, and that nothing else has a part in it."""

import copy
import io
import itertools

import pytest
import torch
from torch.func import functional_call

from heedful._pytree import reorder
from heedful.attention import Attention
from heedful.attention.normalizers import SoftmaxNormalizer
from heedful.attention.scores import DotScore
from heedful.attention.windows import EverywhereWindow
from tests.attention.cases import (
    PAIRS,
    PRODUCT,
    draw,
    each_case,
    each_distribution,
    each_of_few,
    each_placeless_case,
    each_smooth_of_few,
    gradients,
    some_mask,
    weights_of,
)
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.attention.test_scores import SCORES
from tests.tolerances import assert_close

each_way = pytest.mark.parametrize("need_weights", [False, True], ids=["fused", "weights"])


def test_the_pairs_are_all_pairs():
    for first, second in itertools.combinations(("score", "window", "normalizer"), 2):
        assert len({(getattr(case, first), getattr(case, second)) for case in PAIRS}) == len(
            {(getattr(case, first), getattr(case, second)) for case in PRODUCT}
        )


def test_nothing_is_refused_but_a_gain_on_a_choice():
    for case in PRODUCT:
        if case.refused:
            message = (
                f"{case.window} multiplies the weights, but {type(case.normalizer.build()).__name__} chooses one key"
            )
            with pytest.raises(ValueError, match=message):
                case.compose()
        else:
            assert isinstance(case.compose(), Attention)


@pytest.mark.parametrize("score", SCORES, ids=str)
def test_every_pair_of_parts_is_that_of_the_loops(score):
    """Context, weights, empty rows, finite gradients, one call or step after step."""
    mask = some_mask().any(1, keepdim=True)
    mask[1] = False
    for case in (case for case in PAIRS if case.score is score and not case.refused):
        attention = case.build().eval()
        arguments = draw(attention)
        context, weights = case.expected(attention, *arguments, mask)
        output = attention(*arguments, mask, need_weights=True)
        assert_close(output.context, context)
        assert_close(weights_of(output), weights)
        assert all(each.isfinite().all() for each in gradients(output.context, *arguments, *attention.parameters()))
        memory = attention.remember(*arguments[1:], mask)
        state, order = attention.begin(memory, case.first_place(QUERIES, KEYS)), torch.tensor([1, 0])
        for index in range(QUERIES):
            memory, state = reorder(memory, order), reorder(state, order)
            query = arguments[0].flip(0) if index % 2 == 0 else arguments[0]
            stepped, state = attention.step(query[:, index : index + 1], memory, state)
            row = context[:, index : index + 1]
            assert_close(stepped.context, row.flip(0) if index % 2 == 0 else row)


@each_case
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_context_weights_and_gradients_are_those_of_the_loops(case, masked):
    attention = case.build()
    query, key, value = draw(attention)
    mask = some_mask() if masked else None
    leaves = (query, key, value, *attention.parameters())
    expected_context, expected_weights = case.expected(attention, query, key, value, mask)
    expected_gradients = gradients(expected_context, *leaves)

    for need_weights in (False, True):
        output = attention(query, key, value, mask, need_weights)
        assert_close(output.context, expected_context)
        for actual, expected in zip(gradients(output.context, *leaves), expected_gradients, strict=True):
            assert_close(actual, expected)
    weights = weights_of(attention(query, key, value, mask, need_weights=True))
    assert_close(weights, expected_weights)
    for actual, expected in zip(gradients(weights, *leaves), gradients(expected_weights, *leaves), strict=True):
        assert_close(actual, expected)


@each_smooth_of_few
@each_way
def test_gradients_are_those_of_finite_differences(case, need_weights):
    attention = case.build()
    mask = torch.tensor([[[True, True, False], [True, True, True]]])
    names = list(dict(attention.named_parameters()))

    def run(query, key, value, *parameters):
        arguments = (query, key, value, mask, need_weights)
        output = functional_call(attention, dict(zip(names, parameters, strict=True)), arguments)
        return (output.context, output.weights) if need_weights else output.context

    assert torch.autograd.gradcheck(run, (*draw(attention, 1, 2, 3), *attention.parameters()), fast_mode=True)


@each_case
def test_the_value_is_the_key_when_left_out(case):
    attention = case.build()
    query, key, _ = draw(attention)
    mask = some_mask()
    left_out, given = attention(query, key, mask=mask), attention(query, key, key, mask)
    assert left_out.context.equal(given.context)
    for ours, theirs in zip(gradients(left_out.context, query, key), gradients(given.context, query, key), strict=True):
        assert_close(ours, theirs)


@each_case
@pytest.mark.parametrize(
    "shape",
    [(BATCH, 1, KEYS), (1, QUERIES, KEYS), (BATCH, QUERIES, 1), (1, 1, KEYS), (BATCH, 1, 1), (1, 1, 1)],
    ids=str,
)
def test_a_mask_broadcasts(case, shape):
    attention = case.build()
    query, key, value = draw(attention)
    mask = torch.rand(shape) > 0.4
    whole = mask.expand(BATCH, QUERIES, KEYS).contiguous()
    for need_weights in (False, True):
        broadcast, full = (attention(query, key, value, each, need_weights) for each in (mask, whole))
        assert_close(broadcast.context, full.context)
        assert broadcast.weights is None or broadcast.weights.equal(full.weights)


@each_case
def test_weights_do_not_change_the_context(case):
    attention = case.build()
    query, key, value = draw(attention)
    without, beside = (attention(query, key, value, some_mask().fill_(True), need) for need in (False, True))
    assert without.weights is None
    assert_close(beside.context, without.context)
    assert_close(weights_of(beside) @ value, without.context)


@each_case
def test_weights_are_shared_out_over_what_is_seen(case):
    attention = case.build()
    mask = some_mask()
    weights = weights_of(attention(*draw(attention), mask, need_weights=True))
    total = weights.sum(-1)
    assert (weights >= 0).all()
    assert not weights[~mask].any()
    assert not case.distribution or assert_close(total, (weights > 0).any(-1).double()) is None


@each_placeless_case
def test_shuffling_the_memory_changes_nothing(case):
    attention = case.build()
    query, key, value = draw(attention)
    mask, order = some_mask(), torch.tensor([3, 0, 4, 1, 2])
    for need_weights in (False, True):
        straight = attention(query, key, value, mask, need_weights)
        shuffled = attention(query, key[:, order], value[:, order], mask[..., order], need_weights)
        assert_close(shuffled.context, straight.context)
        assert straight.weights is None or assert_close(shuffled.weights, straight.weights[..., order]) is None


@each_distribution
@each_way
def test_one_visible_key_is_read_whole(case, need_weights):
    attention = case.build()
    query, key, value = draw(attention)
    first = case.first_place(QUERIES, KEYS)
    shown = [[key for key in range(KEYS) if case.window.rule(first + place, key)] for place in range(QUERIES)]
    places = torch.tensor([[keys[item % len(keys)] for keys in shown] for item in range(BATCH)])
    mask = torch.nn.functional.one_hot(places, KEYS).bool()
    output = attention(query, key, value, mask, need_weights)
    assert_close(output.context, value[torch.arange(BATCH).unsqueeze(1), places])
    assert output.weights is None or output.weights.equal(mask.double())


@each_case
def test_batch_items_do_not_touch_each_other(case):
    attention = case.build()
    query, key, value = draw(attention)
    mask = some_mask()
    alone = attention(query[:1], key[:1], value[:1], mask[:1], need_weights=True)
    expected = gradients(alone.context, query, key, value)
    with torch.no_grad():
        for tensor in (query, key, value):
            tensor[1] = torch.nan
    for need_weights in (False, True):
        output = attention(query, key, value, mask, need_weights)
        assert_close(output.context[:1], alone.context)
        for actual, wanted in zip(gradients(output.context[:1], query, key, value), expected, strict=True):
            assert_close(actual[:1], wanted[:1])


@each_case
@pytest.mark.parametrize(("batch", "queries", "keys"), [(0, 3, 5), (2, 0, 5), (2, 3, 0), (2, 3, 1), (1, 1, 1)])
def test_degenerate_sizes(case, batch, queries, keys):
    attention = case.build()
    query, key, value = draw(attention, batch, queries, keys)
    for mask in (None, torch.ones(batch, 1, keys, dtype=torch.bool)):
        for need_weights in (False, True):
            output = attention(query, key, value, mask, need_weights)
            assert output.context.shape == (batch, queries, value.shape[2])
            # of one key, a query reads it or, where the window hides it, nothing
            shown = [keys > 0 and case.window.rule(place, 0) for place in range(queries)]
            wanted = value[:, :1] * torch.tensor(shown).view(1, -1, 1) if keys else torch.zeros_like(output.context)
            assert (keys and not case.distribution) or assert_close(output.context, wanted) is None
            assert all(each.isfinite().all() for each in gradients(output.context, query, key, value))
        assert weights_of(attention(query, key, value, mask, need_weights=True)).shape == (batch, queries, keys)


@each_case
def test_nothing_is_remembered_between_calls(case):
    attention = case.build()
    arguments = draw(attention)
    before, attributes = attention(*arguments), str(_attributes(attention))
    attention(*draw(attention), some_mask(), need_weights=True)
    attention.step(arguments[0][:, :1], attention.remember(*arguments[1:]))
    assert attention(*arguments).context.equal(before.context)
    assert str(_attributes(attention)) == attributes


def _attributes(attention: Attention) -> list[dict]:
    return [vars(module) for module in attention.modules()]


@each_case
def test_the_inputs_stay_as_they_were(case):
    attention = case.build()
    arguments = (*draw(attention), some_mask())
    copies = [tensor.clone() for tensor in arguments]
    attention(*arguments)
    attention(*arguments, need_weights=True)
    assert all(tensor.equal(before) for tensor, before in zip(arguments, copies, strict=True))


@each_of_few
def test_a_copy_computes_the_same(case):
    attention = case.build()
    arguments = (*draw(attention), some_mask())
    expected = attention(*arguments)

    file = io.BytesIO()
    torch.save(attention.state_dict(), file)
    file.seek(0)
    loaded = case.build()
    loaded.load_state_dict(torch.load(file, weights_only=True))

    file = io.BytesIO()
    torch.save(attention, file)
    file.seek(0)
    # our own object, just written: the one place where a whole module is unpickled
    unpickled = torch.load(file, weights_only=False)

    for other in (copy.deepcopy(attention), loaded, unpickled):
        assert other(*arguments).context.equal(expected.context)


@each_case
def test_dropout_acts_in_training_alone_and_the_weights_are_those_before(case):
    attention, dropping = case.compose(), case.compose(dropout=0.4)
    dropping.load_state_dict(attention.state_dict())
    query, key, value = (tensor.float() for tensor in draw(attention))
    expected = attention(query, key, value, need_weights=True)
    assert_close(dropping.eval()(query, key, value).context, expected.context)

    if case.normalizer.draws:
        # its weights differ from draw to draw: tests/attention/test_drawn.py
        return
    dropping.train()
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append(dropping(query, key, value, need_weights=True))
    torch.manual_seed(5)
    assert runs[0].context.equal(runs[1].context)
    assert dropping(query, key, value).context.equal(runs[0].context), "asking for weights must not change the draw"
    assert not torch.allclose(runs[0].context, expected.context)
    assert_close(runs[0].weights, expected.weights)


def test_dropout_leaves_the_fused_path_to_evaluation(monkeypatch):
    fused, plain = [], DotScore.attend

    def watched(self, *arguments):
        fused.append(arguments)
        return plain(self, *arguments)

    monkeypatch.setattr(DotScore, "attend", watched)
    attention = Attention(DotScore(4), dropout=0.4)
    for training, times in ((True, 0), (False, 1)):
        attention.train(training)(torch.ones(1, 2, 4), torch.ones(1, 3, 4))
        assert len(fused) == times


def test_what_dropout_leaves_is_enlarged_so_that_the_mean_stays():
    attention = Attention(DotScore(1), dropout=0.25)
    draws = 100_000
    context = attention(torch.zeros(1, draws, 1), torch.zeros(1, 1, 1), torch.ones(1, 1, 1)).context
    assert context.unique().tolist() == pytest.approx([0, 1 / 0.75])
    # ten standard deviations
    assert abs(context.mean().item() - 1) < 10 * (0.25 / 0.75 / draws) ** 0.5


def test_everywhere_and_softmax_are_the_defaults():
    attention = Attention(DotScore(4))
    assert isinstance(attention.window, EverywhereWindow)
    assert isinstance(attention.normalizer, SoftmaxNormalizer)
    assert attention.normalizer.temperature == 1
    assert (attention.query_dim, attention.key_dim, attention.dropout.p) == (4, 4, 0)


def test_an_output_is_taken_apart_into_context_and_weights():
    attention = Attention(DotScore(4))
    for need_weights in (False, True):
        output = attention(*draw(attention), need_weights=need_weights)
        context, weights = output
        assert context is output.context
        assert weights is output.weights
    (context, weights), _ = attention.step(torch.ones(2, 1, 4), attention.remember(torch.ones(2, 5, 4)))
    assert (context.shape, weights) == ((2, 1, 4), None)
