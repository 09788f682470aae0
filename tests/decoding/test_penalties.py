"""What unread words of the source cost."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.decoding import Decoding, Penalties, beam_search, coverage_penalty, overcoverage_penalty

from .toys import Recurrent, Table, pad


@given(st.lists(st.floats(0, 3), min_size=1, max_size=6), st.integers(0, 6), st.floats(0, 2))
def test_it_is_the_sum_over_what_is_no_padding(received, length, strength):
    length = min(length, len(received))
    found = coverage_penalty(torch.tensor([received], dtype=torch.float64), torch.tensor([length]), strength)
    wanted = strength * sum(math.log(min(max(each, 1e-6), 1)) for each in received[:length])
    assert found.item() == pytest.approx(wanted)
    assert found <= 0


@given(st.lists(st.floats(0, 3), min_size=1, max_size=6), st.integers(0, 6), st.floats(0, 2))
def test_what_is_read_again_costs_all_above_once(received, length, strength):
    length = min(length, len(received))
    found = overcoverage_penalty(torch.tensor([received], dtype=torch.float64), torch.tensor([length]), strength)
    # the form of OpenNMT-py: the sum of what is at least 1, less the keys
    assert found.item() == pytest.approx(-strength * (sum(max(each, 1) for each in received[:length]) - length))


def test_a_source_that_was_read_costs_nothing_and_an_unread_word_something_finite():
    read = torch.tensor([[1.0, 2.5, 1.0], [1.0, 0.0, 1.0]])
    assert coverage_penalty(read, torch.tensor([3, 3]), 0.2).tolist() == pytest.approx([0, 0.2 * math.log(1e-6)])


def test_weights_are_returned_only_when_asked_for_and_a_strong_penalty_changes_the_order():
    model, source = Recurrent(vocabulary=7, seed=5), pad([[4, 9, 7, 5]])
    (plain,) = beam_search(model, *source, Decoding(beam=6, nbest=6))
    (other,) = beam_search(model, *source, Decoding(beam=6, nbest=6, penalties=Penalties(coverage=5.0)))
    assert all(one.weights is None for one in other)
    assert [one.tokens for one in plain] != [one.tokens for one in other]


def test_a_model_without_attention_and_a_negative_penalty_are_refused():
    with pytest.raises(ValueError, match=r"the coverage penalty is 0\.2, but the model has no attention whose weights"):
        beam_search(Table(torch.zeros(1, 7, 7)), *pad([[4, 5]]), Decoding(penalties=Penalties(coverage=0.2)))
    with pytest.raises(ValueError, match=r"the coverage penalty is -1\.0; use 0 \(none\) or more, 0\.2 being common"):
        Penalties(coverage=-1.0)
    with pytest.raises(ValueError, match=r"the overcoverage penalty is 2\.0, but the model has no attention"):
        beam_search(Table(torch.zeros(1, 7, 7)), *pad([[4, 5]]), Decoding(penalties=Penalties(overcoverage=2.0)))
    with pytest.raises(ValueError, match=r"the length penalty is -0\.5; use 0"):
        Penalties(length=-0.5)
