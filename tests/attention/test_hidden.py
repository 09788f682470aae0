"""What may not be seen has no part in anything: hidden keys, empty rows, padding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heedful import padding_mask
from tests.attention.cases import draw, each_case, each_of_few, gradients, some_mask, weights_of
from tests.attention.rows import BATCH, KEYS, QUERIES
from tests.tolerances import assert_close

POISONS = (torch.nan, torch.inf, -torch.inf, 1e30)


def at_once(case, attention, query, key, value, mask):
    return attention(query, key, value, mask).context


def with_weights(case, attention, query, key, value, mask):
    return attention(query, key, value, mask, need_weights=True).context


def remembered(case, attention, query, key, value, mask):
    memory = attention.remember(key, value, mask)
    return attention.look(query, memory, attention.begin(memory, case.first_place(QUERIES, KEYS)))[0].context


def extended(case, attention, query, key, value, mask):
    first = attention.remember(key[:, :2], value[:, :2], mask[..., :2])
    memory = attention.extend(first, key[:, 2:], value[:, 2:], mask[..., 2:])
    return attention.look(query, memory, attention.begin(memory, case.first_place(QUERIES, KEYS)))[0].context


@each_case
@pytest.mark.parametrize("way", [at_once, with_weights, remembered, extended], ids=lambda way: way.__name__)
def test_a_key_hidden_from_every_query_may_hold_anything(case, way):
    attention = case.build()
    query, key, value = draw(attention)
    visible = torch.tensor([[True, True, False, True, False], [False, True, True, True, True]])
    mask = visible.unsqueeze(1)
    leaves = (query, key, value, *attention.parameters())
    output = way(case, attention, query, key, value, mask)
    expected = gradients(output, *leaves)
    assert not expected[1][~visible].any()
    assert not expected[2][~visible].any()
    for poison in POISONS:
        with torch.no_grad():
            key[~visible] = poison
            value[~visible] = poison
        poisoned = way(case, attention, query, key, value, mask)
        assert poisoned.equal(output)
        for actual, wanted in zip(gradients(poisoned, *leaves), expected, strict=True):
            assert actual.equal(wanted)


@each_case
def test_a_key_that_some_queries_see_may_hold_any_number_for_the_others(case):
    attention = case.build()
    query, key, value = draw(attention)
    mask = torch.ones(BATCH, QUERIES, KEYS, dtype=torch.bool)
    mask[:, 0, 1] = False
    for need_weights in (False, True):
        expected = gradients(attention(query, key, value, mask, need_weights).context[:, 0], query, key, value)
        huge_key, huge_value = key.detach().clone(), value.detach().clone()
        huge_key[:, 1] = 1e30
        huge_value[:, 1] = -1e30
        leaves = (query, huge_key.requires_grad_(), huge_value.requires_grad_())
        first = attention(*leaves, mask, need_weights).context[:, 0]
        assert_close(first, attention(query, key, value, mask, need_weights).context[:, 0])
        for actual, wanted in zip(gradients(first, *leaves), expected, strict=True):
            assert_close(actual, wanted)


@each_case
def test_a_query_that_sees_nothing_reads_zeros_and_sends_none_back(case):
    attention = case.build()
    query, key, value = draw(attention)
    mask = some_mask()
    mask[0, 1] = False
    for need_weights in (False, True):
        output = attention(query, key, value, mask, need_weights)
        empty = output.context[0, 1]
        assert not empty.any()
        assert output.weights is None or not output.weights[0, 1].any()
        assert not any(each.any() for each in gradients(empty, query, key, value, *attention.parameters()))
        assert not gradients(output.context, query)[0][0, 1].any()


@each_case
def test_a_batch_item_that_sees_nothing_reads_zeros_and_sends_none_back(case):
    attention = case.build()
    query, key, value = draw(attention)
    mask = torch.ones(BATCH, 1, KEYS, dtype=torch.bool)
    mask[1] = False
    with torch.no_grad():
        key[1], value[1] = torch.nan, torch.inf
    for need_weights in (False, True):
        output = attention(query, key, value, mask, need_weights)
        assert not output.context[1].any()
        assert output.weights is None or not output.weights[1].any()
        for each in gradients(output.context, query, key, value):
            assert each[0].isfinite().all()
            assert not each[1].any()


@each_case
def test_nothing_visible_at_all_gives_zeros(case):
    attention = case.build()
    leaves = (*draw(attention), *attention.parameters())
    mask = torch.zeros(1, 1, 1, dtype=torch.bool)
    for need_weights in (False, True):
        output = attention(*leaves[:3], mask, need_weights)
        assert not output.context.any()
        assert not any(each.any() for each in gradients(output.context, *leaves))


@each_case
def test_more_padding_changes_nothing(case):
    attention = case.build()
    query, key, value = draw(attention)
    lengths = torch.tensor([5, 3])
    place = case.first_place(QUERIES, KEYS)

    def read(keys: int):
        padded_key = torch.full((BATCH, keys, attention.key_dim), torch.nan, dtype=torch.float64)
        padded_value = torch.full((BATCH, keys, value.shape[2]), torch.nan, dtype=torch.float64)
        padded_key[:, :KEYS], padded_value[:, :KEYS] = key, value
        mask = (torch.arange(keys) < lengths.unsqueeze(1)).unsqueeze(1)
        memory = attention.remember(padded_key, padded_value, mask)
        # a window that counts from the end counts padding, too: the place is named
        output, _ = attention.look(query, memory, attention.begin(memory, place), need_weights=True)
        return output.context, weights_of(output)

    (context, weights), (more_context, more_weights) = read(KEYS), read(KEYS + 6)
    assert_close(more_context, context)
    assert_close(more_weights[..., :KEYS], weights)
    assert not more_weights[..., KEYS:].any()


@each_of_few
@settings(max_examples=8)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4), data=st.data())
def test_every_sentence_is_read_as_if_it_were_alone(case, lengths, data):
    queries, keys = data.draw(st.integers(1, 4)), max(lengths) + data.draw(st.integers(0, 2))
    attention = case.build()
    query, key, value = draw(attention, len(lengths), queries, keys)
    memory = attention.remember(key, value, padding_mask(torch.tensor(lengths), keys))
    output, _ = attention.look(query, memory, need_weights=True)
    for item, length in enumerate(lengths):
        alone = attention.remember(key[item : item + 1, :length], value[item : item + 1, :length])
        expected, _ = attention.look(query[item : item + 1], alone, need_weights=True)
        assert_close(output.context[item : item + 1], expected.context)
        assert_close(weights_of(output)[item : item + 1, :, :length], weights_of(expected))
        assert not weights_of(output)[item, :, length:].any()
