"""Luong's local attention against a loop over queries and keys, written from equations 7 to 10 of the paper."""

import math

import pytest
import torch

from heedful.attention import Attention, LuongLocalAttention
from heedful.attention.normalizers import HardmaxNormalizer
from heedful.attention.scores import DotScore
from heedful.attention.state import reorder
from heedful.attention.windows import LocalPredictiveWindow
from tests.attention.cases import draw, gradients, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.tolerances import assert_close

HALF_WIDTH = 1
VISIBLE = torch.tensor([[True] * 5, [True, True, True, True, False]])


@pytest.fixture
def attention():
    attention = LuongLocalAttention(4, 6, half_width=HALF_WIDTH, hidden_dim=11).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention


def by_hand(attention, query, key, value):
    """p = S sigmoid(v . tanh(W h)); inside [p - D, p + D] softmax, then times the Gaussian, not divided again."""
    p, all_weights = dict(attention.named_parameters()), []
    for item in range(len(query)):
        length = int(VISIBLE[item].sum())
        for asked in query[item]:
            place = length * torch.sigmoid(p["window.place_energy"] @ torch.tanh(p["window.place_proj"] @ asked))
            centre = round(place.item())
            near = [k for k in range(length) if abs(k - centre) <= HALF_WIDTH]
            scores = torch.stack([asked @ p["score.weight"] @ key[item, k] for k in near] or [place * 0])
            powers = torch.exp(scores) / torch.exp(scores).sum()
            row = torch.zeros(KEYS, dtype=torch.float64)
            for number, k in enumerate(near):
                gauss = torch.exp(-((k - place) ** 2) / (2 * (HALF_WIDTH / 2) ** 2))
                row = row + torch.eye(KEYS, dtype=torch.float64)[k] * powers[number] * gauss
            all_weights.append(row)
    weights = torch.stack(all_weights).view(len(query), -1, KEYS)
    return weights @ value, weights


def test_context_weights_and_gradients_are_those_of_the_loop(attention):
    query, key, value = draw(attention, queries=7)
    leaves = (query, key, value, *attention.parameters())
    context, weights = by_hand(attention, query, key, value)
    output = attention(query, key, value, VISIBLE.unsqueeze(1), need_weights=True)
    assert_close(output.context, context)
    assert_close(weights_of(output), weights)
    assert attention(query, key, value, VISIBLE.unsqueeze(1)).context.equal(output.context)
    for actual, expected in zip(gradients(output.context, *leaves), gradients(context, *leaves), strict=True):
        assert_close(actual, expected)


def test_the_place_learns_by_the_gaussian_alone(attention):
    query, key, value = draw(attention)
    window = attention.window

    def run(projection, energy):
        named = {"place_proj": projection, "place_energy": energy}
        arguments = (query.detach(), torch.zeros(BATCH, QUERIES, dtype=torch.long), VISIBLE.sum(1), KEYS)
        return torch.func.functional_call(window, named, arguments)[0].gain

    assert torch.autograd.gradcheck(run, tuple(window.parameters()))
    attention(query, key, value).context.sum().backward()
    assert all(parameter.grad.any() for parameter in window.parameters())


def test_renormalised_weights_are_those_of_the_loop_over_their_sum(attention):
    again = LuongLocalAttention(4, 6, half_width=HALF_WIDTH, hidden_dim=11).double()
    again.window = LocalPredictiveWindow(4, 11, HALF_WIDTH, renormalize=True).double()
    again.load_state_dict(attention.state_dict())
    query, key, value = draw(attention, queries=7)
    leaves = (query, key, value, *again.parameters())
    _, weights = by_hand(again, query, key, value)
    weights = weights / weights.sum(-1, keepdim=True)
    output = again(query, key, value, VISIBLE.unsqueeze(1), need_weights=True)
    assert_close(weights_of(output), weights)
    for actual, expected in zip(gradients(output.context, *leaves), gradients(weights @ value, *leaves), strict=True):
        assert_close(actual, expected)
    # there is no gain then, and no reason to refuse a choice
    assert Attention(DotScore(4), again.window, HardmaxNormalizer())


def test_a_window_wider_than_the_source_is_global_attention():
    wide = LuongLocalAttention(4, 6, half_width=10**9, hidden_dim=11).double()
    query, key, value = draw(wide)
    assert_close(wide(query, key, value).context, Attention(wide.score)(query, key, value).context)


def test_an_energy_of_zeros_looks_at_the_middle_and_the_edge_weighs_what_the_paper_says(attention):
    torch.nn.init.zeros_(attention.window.place_energy)
    arguments = (torch.zeros(1, 1, 4).double(), torch.tensor([[0]]), torch.tensor([4]), KEYS)
    view, _ = attention.window(*arguments)
    assert view.mask.tolist() == [[[False, True, True, True, False]]]
    assert_close(view.gain[0, 0, 1:4], torch.tensor([math.exp(-2), 1, math.exp(-2)], dtype=torch.float64))


def test_weights_sum_to_less_than_one_and_padding_changes_nothing(attention):
    query, key, value = draw(attention)
    output = attention(query, key, value, VISIBLE.unsqueeze(1), need_weights=True)
    assert (weights_of(output).sum(-1) < 1).all()
    more = torch.full((BATCH, 4, 6), torch.nan, dtype=torch.float64)
    mask = torch.cat((VISIBLE, torch.zeros(BATCH, 4, dtype=torch.bool)), 1).unsqueeze(1)
    longer = attention(query, torch.cat((key, more), 1), torch.cat((value, more.new_zeros(2, 4, 7)), 1), mask)
    assert_close(longer.context, output.context)


def test_steps_are_one_call_and_hypotheses_change_places(attention):
    query, key, value = draw(attention)
    whole = attention(query, key, value, VISIBLE.unsqueeze(1)).context
    memory, state = attention.remember(key, value, VISIBLE.unsqueeze(1)), None
    order = torch.tensor([1, 0])
    for index in range(QUERIES):
        flip = index % 2 == 1
        output, state = attention.step((query.flip(0) if flip else query)[:, index : index + 1], memory, state)
        row = whole[:, index : index + 1]
        assert_close(output.context, row.flip(0) if flip else row)
        memory, state = reorder(memory, order), reorder(state, order)


def test_a_place_is_found_in_float32(attention):
    query, _, _ = draw(attention)
    whole, half = (
        attention.window.to(dtype)(query.to(dtype), torch.zeros(BATCH, QUERIES).long(), torch.tensor([5, 4]), KEYS)[
            0
        ].gain
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert whole.dtype == half.dtype == torch.float32
    assert whole.shape == half.shape


def test_local_m_is_a_softmax_near_the_diagonal():
    attention = LuongLocalAttention(4, 4, "monotonic", "dot", half_width=1).double()
    query, key, value = draw(attention)
    scores = query @ key.transpose(1, 2)
    near = (torch.arange(KEYS) - torch.arange(QUERIES).unsqueeze(1)).abs() <= 1
    weights = torch.softmax(scores.masked_fill(~near, -torch.inf), -1)
    assert_close(attention(query, key, value).context, weights @ value)


@pytest.mark.compile
@pytest.mark.parametrize("renormalize", [False, True])
def test_compiled_in_one_graph_and_exported(attention, renormalize):
    attention.window = LocalPredictiveWindow(4, 11, HALF_WIDTH, renormalize).double()
    arguments = (*draw(attention), VISIBLE.unsqueeze(1), True)
    leaves = (*arguments[:3], *attention.parameters())
    expected = attention(*arguments)
    actual = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments)
    assert_close(actual.context, expected.context)
    for ours, theirs in zip(gradients(actual.context, *leaves), gradients(expected.context, *leaves), strict=True):
        assert_close(ours, theirs)
    with torch.no_grad():
        assert_close(torch.export.export(attention, arguments).module()(*arguments).context, expected.context)


@pytest.mark.messages
def test_what_is_refused():
    with pytest.raises(ValueError, match="mode is 'global'; expected one of 'predictive', 'monotonic'"):
        LuongLocalAttention(4, 6, "global")
    with pytest.raises(ValueError, match="score is 'location'; expected one of 'dot', 'scaled_dot', 'general', 'con"):
        LuongLocalAttention(4, 6, score="location")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"half_width is 0; expected a whole number \(int\) from 1 up"):
        LuongLocalAttention(4, 6, half_width=0)
    message = "LocalPredictiveWindow multiplies the weights, but HardmaxNormalizer chooses one key of weight 1; .* Use "
    with pytest.raises(ValueError, match=message + "SoftmaxNormalizer with LocalPredictiveWindow, or a window without"):
        Attention(DotScore(4), LocalPredictiveWindow(4), HardmaxNormalizer())
