"""Beam search against greedy, exhaustive search and a reference of Python lists."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heedful.data.vocabulary import BOS, EOS, PAD, UNK
from heedful.decoding import Constraints, Decoding, Penalties, beam_search, greedy

from .toys import Diary, Grown, Recurrent, Table, looks, pad, reference_beam

SENTENCES = [[4, 9, 7], [5], [6, 4, 4, 8, 10], [7, 7], []]
NEVER = float("-inf")


def said(hypothesis) -> list[int]:
    """The tokens as the reference writes them, with EOS."""
    return hypothesis.tokens + [EOS] * hypothesis.finished


def assert_same(found, expected: list[Grown], length_penalty: float, *read: float) -> None:
    assert [said(one) for one in found] == [one.tokens for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-9)
        assert one.score == pytest.approx(other.score(length_penalty, *read), abs=1e-9)
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


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    beam=st.integers(1, 6),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0, 2.5]),
    read=st.sampled_from([(0.0, 0.0), (0.2, 0.0), (3.0, 0.0), (0.0, 0.7), (0.2, 3.0)]),
    limits=LIMITS,
    data=st.data(),
)
def test_a_beam_equals_the_reference_beam_weights_and_state_included(seed, beam, length_penalty, read, limits, data):
    model = Recurrent(vocabulary=7, seed=seed)
    nbest, constraints = data.draw(st.integers(1, beam)), Constraints(**limits)
    found = beam_search(
        model,
        *pad(SENTENCES, extra=2),
        Decoding(
            beam=beam,
            nbest=nbest,
            constraints=constraints,
            need_weights=True,
            penalties=Penalties(length=length_penalty, coverage=read[0], overcoverage=read[1]),
        ),
    )
    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        source = torch.tensor(sentence, dtype=torch.long)
        expected = reference_beam(model, source, beam, length_penalty, constraints, *read)[:nbest]
        assert_same(hypotheses, expected, length_penalty, *read)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), limits=LIMITS, ties=st.booleans())
def test_a_beam_of_one_is_greedy_search(seed, limits, ties):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 7, 7, dtype=torch.float64, generator=generator)
    model = Table(logits.round() if ties else logits)
    source, constraints = pad(SENTENCES), Constraints(**limits)
    how = Decoding(beam=1, constraints=constraints)
    assert [best for (best,) in beam_search(model, *source, how)] == greedy(model, *source, how)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_beam_is_exhaustive_search(length_penalty):
    model, longest, source = Recurrent(vocabulary=6, seed=3), 4, torch.tensor([4, 9, 7])
    encoded = model.encode(source[None], torch.tensor([3]))

    def log_prob(tokens: tuple[int, ...]) -> float:
        state, total = model.start(encoded), 0.0
        for last, token in zip((BOS, *tokens), tokens, strict=False):
            output, state = model.step(torch.tensor([last]), state, encoded)
            total += output.logits[0].log_softmax(0)[token].item()
        return total / ((5 + len(tokens)) / 6) ** length_penalty

    ends = [(*words, EOS) for size in range(longest) for words in itertools.product((UNK, 4, 5), repeat=size)]
    cut = list(itertools.product((UNK, 4, 5), repeat=longest))
    ranked = sorted(ends, key=log_prob, reverse=True) + sorted(cut, key=log_prob, reverse=True)
    beam = len(ranked)
    (found,) = beam_search(
        model,
        *pad([source.tolist()]),
        Decoding(
            beam=beam,
            nbest=beam,
            constraints=Constraints(max_length=longest),
            penalties=Penalties(length=length_penalty),
        ),
    )
    assert [tuple(said(one)) for one in found] == ranked
    assert [one.score for one in found] == pytest.approx([log_prob(tokens) for tokens in ranked], abs=1e-9)
    assert [one.finished for one in found] == [True] * len(ends) + [False] * len(cut)


def swapping_table() -> torch.Tensor:
    """After BOS, 4 leads 5; then all that follows 5 beats all that follows 4: the rows of the beam change places."""
    logits = torch.full((5, 8, 8), NEVER, dtype=torch.float64)
    logits[0, BOS, [4, 5]] = torch.tensor([0.6, 0.4]).double().log()
    logits[1, 4, [4, 5, 6, 7]] = torch.tensor([0.25, 0.25, 0.26, 0.24]).double().log()
    logits[1, 5, [6, 7]] = torch.tensor([0.7, 0.3]).double().log()
    logits[2, [6, 7]] = torch.full((8,), -5.0).double()
    logits[2, 6, 4], logits[2, 7, 5] = 1.0, 2.0
    logits[3:, :, EOS], logits[3:, :, 6] = 1.0, 0.0
    return logits


def test_weights_and_state_follow_hypotheses_that_change_places():
    (found,) = beam_search(
        Diary(swapping_table()),
        *pad([[9, 9, 9, 9, 9, 9]]),
        Decoding(beam=3, nbest=3, need_weights=True, penalties=Penalties(length=0.0)),
    )
    assert {tuple(one.tokens[:2]) for one in found} >= {(5, 6), (4, 6)}  # the second row came to lead the first
    for one in found:
        for step, row in enumerate(looks(one).tolist()):
            assert row == [BOS, *one.tokens[:step], *[-1] * (5 - step)]


@given(seed=st.integers(0, 10_000), beam=st.integers(2, 5))
def test_weights_tell_the_history_of_every_hypothesis(seed, beam):
    logits = torch.randn(6, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    constraints = Constraints(max_length=6)
    for found in beam_search(
        Diary(logits),
        *pad([[9] * 6, [8] * 5]),
        Decoding(beam=beam, nbest=beam, constraints=constraints, need_weights=True),
    ):
        for one in found:
            assert looks(one).shape[0] == len(one.tokens)
            for step, row in enumerate(looks(one).tolist()):
                assert row == [BOS, *one.tokens[:step], *[-1] * 5][: len(row)]


def test_a_sentence_does_not_depend_on_its_neighbours_or_on_padding():
    model, constraints = Recurrent(vocabulary=9, seed=5), Constraints(max_length=12)

    def search(source, lengths):
        return beam_search(
            model, source, lengths, Decoding(beam=4, nbest=3, constraints=constraints, need_weights=True)
        )

    together = search(*pad(SENTENCES, extra=3))
    for sentence, found in zip(SENTENCES, together, strict=True):
        (alone,) = search(*pad([sentence]))
        assert [one.tokens for one in found] == [one.tokens for one in alone]
        for one, other in zip(found, alone, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-9)
            torch.testing.assert_close(looks(one), looks(other), rtol=0, atol=1e-9)


def chain(*log_probs: dict[int, float]) -> Diary:
    """One distribution for each step, whatever was said."""
    logits = torch.full((len(log_probs), 7, 7), NEVER, dtype=torch.float64)
    for step, row in enumerate(log_probs):
        for token, probability in row.items():
            logits[step, :, token] = math.log(probability)
    return Diary(logits)


def test_an_open_hypothesis_that_can_still_win_is_waited_for():
    # ended at once: log 0.5 / 1 = -0.69; carried on: log 0.45 / ((5 + 4) / 6) = -0.53
    model = chain({EOS: 0.5, 4: 0.45, 5: 0.05}, {4: 1.0}, {4: 1.0}, {EOS: 1.0})
    (found,) = beam_search(
        model, *pad([[9] * 4]), Decoding(beam=3, constraints=Constraints(max_length=4), penalties=Penalties(length=1.0))
    )
    assert found[0].tokens == [4, 4, 4]
    assert found[0].score == pytest.approx(math.log(0.45) / 1.5)


def test_the_search_stops_when_no_open_hypothesis_can_win():
    table = torch.full((1, 7, 7), NEVER, dtype=torch.float64)
    table[0, :, [EOS, 4, 5]] = torch.tensor([0.9, 0.06, 0.04]).double().log()
    limits = Constraints(max_length=50)
    for nbest, steps in ((1, 1), (2, 3)):
        model = Table(table)
        (found,) = beam_search(
            model, *pad([[9]]), Decoding(beam=5, nbest=nbest, constraints=limits, penalties=Penalties(length=0.0))
        )
        assert len(found) == nbest
        assert len(model.calls) <= steps


def test_sentences_that_have_ended_leave_the_batch():
    table = torch.full((2, 7, 7), NEVER, dtype=torch.float64)
    table[0, :, EOS] = 0.0
    table[1, :, [4, 5, 6]] = torch.tensor([0.5, 0.3, 0.2]).double().log()
    model = Table(table)
    found = beam_search(
        model, *pad([[0], [1], [0], [0]]), Decoding(beam=2, nbest=2, constraints=Constraints(max_length=5))
    )
    assert model.calls == [4, 2, 2, 2, 2]
    assert [[one.finished for one in hypotheses] for hypotheses in found] == [[True], [False] * 2, [True], [True]]


def test_finished_hypotheses_come_before_unfinished_ones_of_a_better_score():
    model = chain({4: 0.9, EOS: 0.1}, {4: 1.0}, {4: 1.0})
    (found,) = beam_search(model, *pad([[9] * 3]), Decoding(beam=2, nbest=2, constraints=Constraints(max_length=3)))
    assert [(one.tokens, one.finished) for one in found] == [([], True), ([4, 4, 4], False)]
    assert found[0].score < found[1].score


def test_hypotheses_without_a_possible_continuation_end_unfinished():
    model = chain({4: 0.6, 5: 0.4}, {PAD: 1.0})
    (found,) = beam_search(model, *pad([[9] * 3]), Decoding(beam=2, nbest=2))
    assert [(one.tokens, one.finished) for one in found] == [([4], False), ([5], False)]
    assert found[0].log_probs == pytest.approx([math.log(0.6)])


def test_an_empty_batch_gives_an_empty_list():
    assert beam_search(Table(torch.zeros(1, 5, 5)), *pad([])) == []
