"""Batches of texts with labels: every text once, beside its own label, in the same order for the same seed."""

import numpy as np
import pytest

from heedful.data.ids import Ids
from heedful.data.labelled import LabelledBatches

TEXTS = [[5] * length for length in (3, 1, 7, 2, 2, 11, 4)]


@pytest.fixture
def batches():
    return LabelledBatches(Ids.pack(TEXTS), np.array([0, 2, 1, 2, 0, 1, 2]), tokens_per_batch=12, seed=4)


def test_an_epoch_has_every_text_once_with_its_label(batches):
    seen = []
    for batch in batches.epoch(2):
        assert batch.inputs.shape[1] == batch.lengths.max()
        assert (batch.lengths + 1).sum() <= 12 or len(batch.lengths) == 1
        for inputs, length, answer, place in zip(batch.inputs, batch.lengths, batch.answers, batch.index, strict=True):
            assert inputs[:length].tolist() == TEXTS[place]
            assert not inputs[length:].any()
            assert answer == batches.answers[place]
            seen.append(int(place))
    assert sorted(seen) == list(range(7))


def test_the_order_is_a_pure_function_of_seed_and_epoch(batches):
    orders = [[batch.index.tolist() for batch in batches.epoch(number)] for number in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]


def test_the_largest_batch_is_the_largest(batches):
    assert batches.largest().inputs.numel() == max(batch.inputs.numel() for batch in batches.epoch(0))


def test_texts_without_answers_are_refused():
    with pytest.raises(ValueError, match="there are 7 texts but 2 answers; give one answer to each"):
        LabelledBatches(Ids.pack(TEXTS), np.array([0, 1]), tokens_per_batch=12)
