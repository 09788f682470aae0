"""Beam search against greedy, exhaustive search and a reference of Python lists."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.data.vocabulary import BOS, EOS, PAD, UNK
from heedful.decoding import Constraints, beam_search, greedy

from .toys import Grown, Recurrent, Table, children, pad, reference_beam

SENTENCES = [[4, 9, 7], [5], [6, 4, 4, 8, 10], [7, 7], []]
OPEN = float("-inf")


def said(hypothesis) -> list[int]:
    """The tokens as the reference writes them, with EOS."""
    return hypothesis.tokens + [EOS] * hypothesis.finished


def assert_same(found, expected: list[Grown], length_penalty: float) -> None:
    assert [said(one) for one in found] == [one.tokens for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-9)
        assert one.score == pytest.approx(other.score(length_penalty), abs=1e-9)
        if one.weights is not None:
            looked = torch.tensor(other.weights, dtype=torch.float64)[: len(one.tokens)]
            torch.testing.assert_close(one.weights, looked.reshape(one.weights.shape), rtol=0, atol=1e-9)


# a dictionary: building Constraints inside a strategy would run its type checks, which draw random numbers
LIMITS = st.fixed_dictionaries(
    {
        "min_length": st.integers(0, 3),
        "max_length": st.integers(4, 9),
        "max_ratio": st.sampled_from([None, 1.5]),
        "max_extra": st.integers(1, 3),
        "banned": st.sampled_from([(), (UNK,), (4, 5)]),
        "no_repeat_ngram": st.integers(0, 3),
    }
)


@given(
    seed=st.integers(0, 10_000),
    beam=st.integers(1, 6),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0, 2.5]),
    limits=LIMITS,
    data=st.data(),
)
def test_a_beam_equals_the_reference_beam_weights_and_state_included(seed, beam, length_penalty, limits, data):
    model = Recurrent(vocabulary=7, seed=seed)
    nbest, constraints = data.draw(st.integers(1, beam)), Constraints(**limits)
    found = beam_search(
        model,
        *pad(SENTENCES, extra=2),
        beam=beam,
        length_penalty=length_penalty,
        nbest=nbest,
        constraints=constraints,
        need_weights=True,
    )
    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        source = torch.tensor(sentence, dtype=torch.long)
        expected = reference_beam(model, source, beam, length_penalty, constraints)[:nbest]
        assert_same(hypotheses, expected, length_penalty)
