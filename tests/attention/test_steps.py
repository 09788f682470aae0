"""Step by step, with keys appended, with hypotheses that change places: always what one call gives."""

import pytest
import torch

from heedful.attention.state import reorder, repeat
from tests.attention.cases import draw, each_case, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.tolerances import assert_close

MASK = torch.tensor([[[True, True, False, True, True]], [[False, True, True, True, False]]])
each_mask = pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])


def steps(attention, query, memory, place, need_weights=True):
    """Contexts and weights of one query after the other, and the state at the end."""
    state, outputs = attention.begin(memory, place), []
    for index in range(query.shape[1]):
        output, state = attention.step(query[:, index : index + 1], memory, state, need_weights)
        outputs.append(output)
    context = torch.cat([output.context for output in outputs], 1)
    return context, torch.cat([weights_of(output) for output in outputs], 1) if need_weights else None, state


@each_case
@each_mask
@pytest.mark.parametrize(("queries", "keys"), [(3, 5), (5, 5), (7, 5)])
def test_one_call_equals_step_after_step(case, mask, queries, keys):
    attention = case.build()
    query, key, value = draw(attention, queries=queries, keys=keys)
    place = case.first_place(queries, keys)
    memory = attention.remember(key, value, mask)
    whole = attention(query, key, value, mask, need_weights=True)

    context, weights, state = steps(attention, query, memory, place)
    assert_close(context, whole.context)
    assert_close(weights, weights_of(whole))
    assert state.position.tolist() == [place + queries] * BATCH
    assert_close(steps(attention, query, memory, place, need_weights=False)[0], whole.context)

    looked, after = attention.look(query, memory, attention.begin(memory, place), need_weights=True)
    assert_close(looked.context, whole.context)
    assert_close(looked.weights, weights_of(whole))
    assert after.position.equal(state.position)


@each_case
def test_no_state_begins(case):
    attention = case.build()
    query, key, value = draw(attention)
    memory = attention.remember(key, value)
    begun, _ = attention.step(query[:, :1], memory, attention.begin(memory))
    assert attention.step(query[:, :1], memory)[0].context.equal(begun.context)


@each_case
@pytest.mark.parametrize("masked", ["neither", "first", "second", "both"])
@pytest.mark.parametrize("cut", [0, 2, KEYS])
def test_an_extended_memory_is_the_memory_of_the_whole(case, masked, cut):
    attention = case.build()
    query, key, value = draw(attention)
    mask = torch.ones_like(MASK)
    mask[..., :cut] |= True
    if masked in ("first", "both"):
        mask[..., :cut] &= MASK[..., :cut]
    if masked in ("second", "both"):
        mask[..., cut:] &= MASK[..., cut:]
    with torch.no_grad():
        key[~mask.squeeze(1)], value[~mask.squeeze(1)] = torch.nan, torch.nan

    first = attention.remember(key[:, :cut], value[:, :cut], mask[..., :cut] if masked in ("first", "both") else None)
    more = mask[..., cut:] if masked in ("second", "both") else None
    extended = attention.extend(first, key[:, cut:], value[:, cut:], more)
    whole = attention.remember(key, value, None if masked == "neither" else mask)

    assert first.value.shape[1] == cut, "the old memory stays as it was"
    assert_close(extended.value, whole.value)
    assert (extended.mask is None) == (whole.mask is None) == (masked == "neither")
    assert whole.mask is None or whole.mask.equal(extended.mask)
    place = case.first_place(QUERIES, KEYS)
    actual, expected = (steps(attention, query, memory, place) for memory in (extended, whole))
    assert_close(actual[0], expected[0])
    assert_close(actual[1], expected[1])


@each_case
def test_self_attention_with_a_growing_memory_is_causal_attention(case):
    """Key by key, each followed by the query at its place; only the window knows whether more is seen at once."""
    attention = case.build()
    query, key, value = draw(attention, queries=KEYS)
    causal = torch.ones(1, KEYS, KEYS, dtype=torch.bool).tril()
    whole = attention(query, key, value, causal)
    memory = attention.remember(key[:, :0], value[:, :0])
    state, contexts = None, []
    for place in range(KEYS):
        now = slice(place, place + 1)
        memory = attention.extend(memory, key[:, now], value[:, now])
        output, state = attention.step(query[:, now], memory, state)
        contexts.append(output.context)
    assert_close(torch.cat(contexts, 1), whole.context)


@each_case
def test_reordered_and_stepped_is_stepped_and_reordered(case):
    attention = case.build()
    query, key, value = draw(attention, batch=3)
    mask = torch.cat((MASK, MASK[:1]))
    order = torch.tensor([2, 2, 0, 1])
    memory = attention.remember(key, value, mask)
    _, state = attention.step(query[:, :1], memory)

    output, after = attention.step(query[:, 1:2], memory, state, need_weights=True)
    moved, moved_after = attention.step(
        query[order, 1:2], reorder(memory, order), reorder(state, order), need_weights=True
    )
    stayed, stayed_after = reorder(output, order), reorder(after, order)
    assert_close(moved.context, stayed.context)
    assert_close(weights_of(moved), weights_of(stayed))
    assert moved_after.position.equal(stayed_after.position)
    for state in (moved_after, stayed_after):
        last, _ = attention.step(query[order, 2:], reorder(memory, order), state)
        assert_close(last.context, reorder(attention.step(query[:, 2:], memory, after)[0].context, order))


@each_case
def test_repeated_rows_read_the_same(case):
    attention = case.build()
    query, key, value = draw(attention)
    memory = attention.remember(key, value, MASK)
    expected, _ = attention.step(query[:, :1], memory)
    actual, _ = attention.step(repeat(query[:, :1], 3), repeat(memory, 3))
    assert_close(actual.context, repeat(expected.context, 3))
