"""Parts that exist only here, with a state, a bias, a gain, a memory in pieces: the paths that wait for such parts."""

import pytest
import torch

from heedful._pytree import reorder
from heedful.attention import Attention
from heedful.attention.normalizers import Normalizer, SoftmaxNormalizer
from heedful.attention.scores import DotScore, Score
from heedful.attention.windows import View, Window
from heedful.functional import masked_softmax
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.tolerances import assert_close


class RunningScore(Score):
    """`scores[q, k] = (query[0] + ... + query[q]) . key[k]`; keys are remembered in two halves."""

    stateful = True

    def remember(self, key):
        return {"left": key[..., :1], "right": key[..., 1:]}

    def forward(self, query, key, state=None):
        assert query.shape[1] == 1, "a part with a state is asked one query at a time"
        total = query if state is None else state + query
        return torch.einsum("bqd,bkd->bqk", total, torch.cat((key["left"], key["right"]), -1)), total


class CoverageNormalizer(Normalizer):
    """`weights[q] = softmax(scores[q] - weights[0] - ... - weights[q - 1])`."""

    stateful = True

    def forward(self, scores, mask, state=None):
        used = torch.zeros_like(scores) if state is None else state
        weights = masked_softmax(scores - used, mask)
        return weights, used + weights


class MovingWindow(Window):
    """Nearness to a place that the sum of the queries so far moves: a bias; half of the weight is kept: a gain."""

    stateful = True

    def forward(self, query, positions, lengths, keys, state=None):
        place = query.sum(-1, keepdim=True) + (0 if state is None else state)
        bias = -((torch.arange(keys, dtype=query.dtype) - place) ** 2)
        return View(bias=bias, gain=torch.full((1, 1, 1), 0.5, dtype=query.dtype)), place


PARTS = {
    "score": lambda: (RunningScore(4, 4), None, None),
    "window": lambda: (DotScore(4), MovingWindow(), None),
    "normalizer": lambda: (DotScore(4), None, CoverageNormalizer()),
    "all": lambda: (RunningScore(4, 4), MovingWindow(), CoverageNormalizer()),
}
each_part = pytest.mark.parametrize("part", PARTS)


def by_hand(part, query, key, value, mask):
    """The same, without heedful: queries in order, every running sum in plain sight."""
    total = torch.zeros(BATCH, 4, dtype=torch.float64)
    place = torch.zeros(BATCH, 1, dtype=torch.float64)
    used = torch.zeros(BATCH, KEYS, dtype=torch.float64)
    contexts, rows = [], []
    for index in range(QUERIES):
        now = query[:, index]
        total, place = total + now, place + now.sum(-1, keepdim=True)
        asking = total if part in ("score", "all") else now
        scores = (key * asking.unsqueeze(1)).sum(-1)
        if part in ("window", "all"):
            scores = scores - (torch.arange(KEYS) - place) ** 2
        if part in ("normalizer", "all"):
            scores = scores - used
        powers = scores.exp() * mask[:, index]
        weights = powers / powers.sum(-1, keepdim=True).clamp_min(1e-300)
        used = used + weights
        if part in ("window", "all"):
            weights = weights / 2
        contexts.append((weights.unsqueeze(-1) * value).sum(1))
        rows.append(weights)
    return torch.stack(contexts, 1), torch.stack(rows, 1)


@each_part
def test_one_call_scans_the_queries_in_order(part):
    attention = Attention(*PARTS[part]())
    assert attention.stateful
    query, key, value = draw(attention)
    mask = some_mask()
    context, weights = by_hand(part, query, key, value, mask)
    for need_weights in (False, True):
        output = attention(query, key, value, mask, need_weights)
        assert_close(output.context, context)
        for actual, expected in zip(
            gradients(output.context, query, key, value), gradients(context, query, key, value), strict=True
        ):
            assert_close(actual, expected)
    assert_close(weights_of(output), weights)


@each_part
def test_steps_and_looks_carry_the_state_on(part):
    attention = Attention(*PARTS[part]())
    query, key, value = draw(attention)
    mask = some_mask().any(1, keepdim=True)
    whole = attention(query, key, value, mask)
    memory = attention.remember(key, value, mask)

    first, state = attention.step(query[:, :1], memory)
    rest, after = attention.look(query[:, 1:], memory, state)
    assert_close(torch.cat((first.context, rest.context), 1), whole.context)
    assert after.position.tolist() == [QUERIES] * BATCH
    kept = [name for name in ("score", "window", "normalizer") if getattr(after, name) is not None]
    assert kept == (["score", "window", "normalizer"] if part == "all" else [part])


@each_part
def test_hypotheses_change_places_with_their_states(part):
    attention = Attention(*PARTS[part]())
    query, key, value = draw(attention)
    order = torch.tensor([1, 1, 0])
    memory = attention.remember(key, value, some_mask().any(1, keepdim=True))
    _, state = attention.look(query[:, :2], memory)
    stayed, _ = attention.step(query[:, 2:], memory, state)
    moved, _ = attention.step(query[order, 2:], reorder(memory, order), reorder(state, order))
    assert_close(moved.context, reorder(stayed.context, order))


@each_part
def test_no_queries_leave_the_state_as_it_was(part):
    attention = Attention(*PARTS[part]())
    query, key, value = draw(attention)
    memory = attention.remember(key, value)
    _, state = attention.step(query[:, :1], memory)
    output, after = attention.look(query[:, :0], memory, state, need_weights=True)
    assert output.context.shape == (BATCH, 0, 7)
    assert weights_of(output).shape == (BATCH, 0, KEYS)
    assert after is state


@each_part
def test_hidden_keys_have_no_part_in_the_state(part):
    attention = Attention(*PARTS[part]())
    query, key, value = draw(attention)
    mask = torch.tensor([[[True, True, False, True, True]], [[False, False, False, False, False]]])
    expected = attention(query, key, value, mask).context
    expected_gradients = gradients(expected, query, key, value)
    with torch.no_grad():
        key[0, 2], value[0, 2], key[1], value[1] = torch.nan, torch.inf, -torch.inf, torch.nan
    actual = attention(query, key, value, mask).context
    assert actual.equal(expected)
    for ours, theirs in zip(gradients(actual, query, key, value), expected_gradients, strict=True):
        assert ours.equal(theirs)


def test_a_memory_in_pieces_is_extended_piece_by_piece():
    attention = Attention(RunningScore(4, 4))
    query, key, value = draw(attention)
    memory = attention.extend(attention.remember(key[:, :2], value[:, :2]), key[:, 2:], value[:, 2:])
    assert_close(attention.look(query, memory)[0].context, attention(query, key, value).context)


class Lopsided(Window):
    """A bias, minus infinity where a key is far; a gain of the key's number."""

    def forward(self, query, positions, lengths, keys, state=None):
        place = torch.arange(keys, dtype=torch.float64)
        bias = torch.where((place - positions.unsqueeze(-1)).abs() > 1, -torch.inf, -place)
        return View(mask=positions.unsqueeze(-1) != 2, bias=bias, gain=place.expand(1, 1, -1)), state


def test_bias_mask_and_gain_of_a_window_take_their_places():
    """Scores + bias, then the mask, then softmax, then gain, and no weight made up for what the gain took."""
    attention = Attention(DotScore(4), Lopsided(), SoftmaxNormalizer(0.7))
    query, key, value = draw(attention, queries=4)
    output = attention(query, key, value, need_weights=True)
    place = torch.arange(KEYS, dtype=torch.float64)
    near = (place - torch.arange(4).unsqueeze(1)).abs() <= 1
    powers = ((query @ key.transpose(1, 2) - place) / 0.7).exp() * near
    weights = powers / powers.sum(-1, keepdim=True) * place * (torch.arange(4) != 2).unsqueeze(1)
    assert_close(weights_of(output), weights)
    assert_close(output.context, weights @ value)
    assert_close(attention(query, key, value).context, weights @ value)


def test_a_bias_of_minus_infinity_everywhere_is_an_empty_row():
    class Nowhere(Window):
        """Nothing, by bias."""

        def forward(self, query, positions, lengths, keys, state=None):
            return View(bias=torch.full((1, 1, keys), -torch.inf, dtype=query.dtype)), state

    attention = Attention(DotScore(4), Nowhere())
    arguments = draw(attention)
    for mask in (None, some_mask()):
        output = attention(*arguments, mask, need_weights=True)
        assert not output.context.any()
        assert not weights_of(output).any()
        assert not any(each.any() for each in gradients(output.context, *arguments))


def test_a_window_is_told_how_many_keys_are_visible():
    class Witness(Window):
        """Everything, and a note of the lengths."""

        told: list

        def forward(self, query, positions, lengths, keys, state=None):
            self.told = [lengths.tolist(), positions.tolist(), keys]
            return View(), state

    witness = Witness()
    attention = Attention(DotScore(4), witness)
    query, key, value = draw(attention)
    attention(query, key, value)
    assert witness.told == [[5, 5], [[0, 1, 2]] * 2, 5]
    attention(query, key, value, torch.tensor([[[True, True, False, False, False]], [[True, True, True, True, False]]]))
    assert witness.told == [[2, 4], [[0, 1, 2]] * 2, 5]
