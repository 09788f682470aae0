"""Limits on the output."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.vocabulary import BOS, EOS, PAD
from heedful.decoding import Constraints, Decoding, beam_search, greedy

from .toys import Recurrent, Table, forbidden, pad

NEVER = float("-inf")
TOKENS = st.integers(2, 6).flatmap(
    lambda steps: st.lists(st.lists(st.integers(4, 6), min_size=steps, max_size=steps), min_size=1, max_size=3)
)


@given(tokens=TOKENS, size=st.integers(0, 4), min_length=st.integers(0, 6), banned=st.sets(st.integers(0, 7)))
def test_restrict_forbids_what_a_loop_over_lists_forbids(tokens, size, min_length, banned):
    constraints = Constraints(min_length=min_length, banned=tuple(banned), no_repeat_ngram=size)
    log_probs = torch.randn(len(tokens), 8).log_softmax(1)
    allowed = constraints.restrict(log_probs, torch.tensor(tokens))
    for row, before, said in zip(allowed.tolist(), log_probs.tolist(), tokens, strict=True):
        closed = forbidden(said, constraints)
        if len(closed) == 8:
            closed.remove(EOS)
        assert row == [NEVER if token in closed else value for token, value in enumerate(before)]


def test_restrict_leaves_its_argument_alone():
    log_probs = torch.zeros(2, 5)
    Constraints(min_length=3, no_repeat_ngram=1).restrict(log_probs, torch.tensor([[4], [4]]))
    assert (log_probs == 0).all()


def test_nothing_is_forbidden_by_default_but_pad_and_bos():
    allowed = Constraints().restrict(torch.zeros(1, 6), torch.zeros(1, 0, dtype=torch.long))
    assert (allowed == NEVER).nonzero()[:, 1].tolist() == [PAD, BOS]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_length": 7}, [7, 7, 7]),
        ({"max_length": 190, "max_ratio": 1.15, "max_extra": 0}, [1, 115, 190]),
        ({"max_length": 90, "max_ratio": 0.0, "max_extra": 4}, [4, 4, 4]),
    ],
)
def test_the_maximum_is_relative_to_the_source(limits, expected):
    assert Constraints(**limits).max_lengths([0, 100, 1000]) == expected


@pytest.mark.parametrize("beam", [1, 3, 20])
def test_every_output_begins_with_the_prefix_and_goes_on_as_the_model_does(beam):
    model, source = Recurrent(vocabulary=7, seed=4), pad([[4, 9, 7], [5]])
    limits = Constraints(max_length=8, max_ratio=0.0, max_extra=0, prefix=(6, 6, 4), no_repeat_ngram=1)
    for found in beam_search(model, *source, Decoding(beam=beam, nbest=beam, constraints=limits)):
        assert [one.tokens for one in found] == [[6, 6, 4]]  # the relative maximum leaves no more
    longer = Constraints(max_length=8, prefix=(6, 6, 4))
    for found in beam_search(model, *source, Decoding(beam=beam, nbest=beam, constraints=longer)):
        assert all(one.tokens[:3] == [6, 6, 4] for one in found)
        assert any(len(one.log_probs) > 3 for one in found)


def test_a_prefix_that_the_model_cannot_say_ends_unfinished_and_one_outside_the_vocabulary_is_refused():
    logits = torch.zeros(1, 6, 6)
    logits[..., 5] = NEVER
    (found,) = greedy(Table(logits), *pad([[4]]), Decoding(constraints=Constraints(prefix=(4, 5))))
    assert (found.tokens, found.finished) == ([4], False)
    with pytest.raises(ValueError, match="prefix holds 9, but the model's vocabulary has ids 0 to 5"):
        greedy(Table(logits), *pad([[4]]), Decoding(constraints=Constraints(prefix=(9,))))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_length": -1}, "min_length is -1; it counts tokens, so use 0"),
        ({"no_repeat_ngram": -2}, "no_repeat_ngram is -2"),
        ({"max_length": 0}, "max_length is 0; use at least 1, and at least min_length (0)"),
        ({"min_length": 9, "max_length": 8}, "max_length is 8; use at least 1, and at least min_length (9)"),
        ({"max_ratio": -1.0}, "max_ratio is -1.0; use a number from 0 up, or None"),
        ({"max_ratio": float("nan")}, "max_ratio is nan"),
        ({"prefix": (4, 5), "banned": (5,)}, "prefix holds 5, which is banned"),
        ({"prefix": (EOS,)}, f"prefix holds {EOS}, which is banned or not a word"),
        ({"prefix": (4, 4), "max_length": 1}, "prefix has 2 tokens, but max_length is 1"),
    ],
)
def test_numbers_out_of_range_are_refused(limits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Constraints(**limits)
