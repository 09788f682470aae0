"""Examples with one answer: batches, their order, and what the training loop asks of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.examples import ExampleBatch, Examples
from heedful.training.batches import TrainingBatch, share


def made(count: int = 7, size: int = 3, seed: int = 1) -> Examples:
    inputs = torch.arange(count * 5).view(count, 5)
    return Examples(inputs, torch.arange(count) % 2, size, lengths=torch.arange(count) % 5 + 1, seed=seed)


@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 3))
def test_every_example_comes_once_in_an_epoch_with_what_belongs_to_it(count, size, number):
    examples = made(count, size)
    batches = list(examples.epoch(number))
    places = torch.cat([batch.index for batch in batches])
    assert sorted(places.tolist()) == list(range(count))
    assert [len(batch.index) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    for batch in batches:
        assert batch.inputs.equal(examples.inputs[batch.index])
        assert batch.answers.equal(examples.answers[batch.index])
        assert batch.lengths.equal(examples.lengths[batch.index])
        assert batch.num_target_tokens == len(batch.index)
        assert batch.num_source_tokens == batch.lengths.sum()


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, number):
        return [batch.index.tolist() for batch in made(seed=seed).epoch(number)]

    assert order(1, 4) == order(1, 4)
    assert order(1, 4) != order(1, 5)
    assert order(1, 4) != order(2, 4)
    assert [batch.index.tolist() for batch in made().in_order()] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_chosen_part_keeps_what_belongs_to_it():
    part = made().chosen(torch.tensor([5, 2]))
    batch = part.in_order()[0]
    assert batch.inputs.equal(made().inputs[[5, 2]])
    assert batch.lengths.tolist() == [1, 3]


@given(st.integers(1, 4), st.integers(1, 6))
def test_processes_share_a_batch_without_loss(size, count):
    batch = made(size, size).in_order()[0]
    parts = [share(batch, rank, count) for rank in range(count)]
    assert isinstance(batch, TrainingBatch)
    assert sum(part.num_target_tokens for part in parts) == size
    assert sorted(torch.cat([part.index[part.counts] for part in parts]).tolist()) == list(range(size))
    assert all(len(part.index) for part in parts)


def test_a_full_batch_has_no_padding():
    batch = made().in_order()[0].full(4)
    assert batch.inputs.equal(made().inputs[:1].expand(4, 5))
    assert (batch.lengths.tolist(), batch.num_target_tokens) == ([5] * 4, 4)


def test_another_device_has_the_same_batch():
    batch = made().in_order()[0].to("meta")
    assert isinstance(batch, ExampleBatch)
    assert {column.device.type for column in batch} == {"meta"}


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"there are 3 inputs but 2 answers; give one answer to each\."):
        Examples(torch.zeros(3, 5), torch.zeros(2), 2)
    with pytest.raises(ValueError, match=r"batch_size is 0; expected at least 1\."):
        Examples(torch.zeros(3, 5), torch.zeros(3), 0)
    with pytest.raises(IndexError, match=r"there is no batch 3; there are 3\."):
        made().in_order()[3]
