"""Greedy search, and what every search shares: limits, dead ends, bad logits, modes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful.data.vocabulary import BOS, EOS, PAD, UNK
from heedful.decoding import (
    Constraints,
    Decoding,
    Hypothesis,
    Penalties,
    Sampling,
    beam_search,
    diverse_beam_search,
    greedy,
    sample,
)
from heedful.decoding._evaluation import check_source
from heedful.models.protocol import StepOutput

from .toys import Recurrent, Table, looks, pad, reference_beam

SENTENCES = [[4, 9, 7], [], [6, 4, 4, 8, 10], [7, 7]]
NEVER = float("-inf")

# every search that follows the most probable hypothesis of a sentence, under one signature
SEARCHES = {
    "greedy": lambda *args, **how: greedy(*args, Decoding(**how)),
    "beam": lambda *args, **how: [best[0] for best in beam_search(*args, Decoding(beam=3, **how))],
    "diverse": lambda *args, **how: [
        best[0] for best in diverse_beam_search(*args, Decoding(beam=4, groups=2, diversity=0.0, **how))
    ],
    "sample": lambda *args, **how: [
        best[0]
        for best in sample(*args, Decoding(sampling=Sampling(generator=torch.Generator().manual_seed(0)), **how))
    ],
}
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())


@given(seed=st.integers(0, 10_000), max_length=st.integers(1, 9), no_repeat_ngram=st.integers(0, 2))
def test_greedy_equals_one_hypothesis_in_python_lists(seed, max_length, no_repeat_ngram):
    model = Recurrent(vocabulary=8, seed=seed)
    constraints = Constraints(max_length=max_length, no_repeat_ngram=no_repeat_ngram)
    found = greedy(
        model,
        *pad(SENTENCES, extra=2),
        Decoding(need_weights=True, constraints=constraints, penalties=Penalties(length=0.0)),
    )
    for sentence, one in zip(SENTENCES, found, strict=True):
        (expected,) = reference_beam(model, torch.tensor(sentence, dtype=torch.long), 1, 0.0, constraints)
        assert one.tokens + [EOS] * one.finished == expected.tokens
        assert one.log_probs == pytest.approx(expected.log_probs, abs=1e-9)
        assert one.score == pytest.approx(sum(expected.log_probs), abs=1e-9)
        assert looks(one).shape == (len(one.tokens), len(sentence))
        looked = torch.tensor(expected.weights, dtype=torch.float64)[: len(one.tokens)]
        torch.testing.assert_close(looks(one), looked.reshape(looks(one).shape), rtol=0, atol=1e-9)


def row(*probabilities: float) -> torch.Tensor:
    """A table that gives these probabilities to tokens 0, 1, ... after every token."""
    return torch.tensor(probabilities).double().log().expand(1, len(probabilities), -1)


@every_search
def test_a_model_that_never_says_eos_ends_unfinished_at_the_maximum_length(search):
    found = search(Table(row(0, 0, 0, 0, 0.5, 0.5)), *pad([[4], [5, 5]]), constraints=Constraints(max_length=7))
    assert [(len(one.tokens), len(one.log_probs), one.finished) for one in found] == [(7, 7, False)] * 2


@every_search
def test_the_maximum_follows_the_length_of_the_source(search):
    limits = Constraints(max_length=9, max_ratio=1.5, max_extra=1)
    found = search(Table(row(0, 0, 0, 0, 0.5, 0.5)), *pad([[], [4], [4] * 3, [4] * 30]), constraints=limits)
    assert [len(one.tokens) for one in found] == [1, 2, 5, 9]


@every_search
def test_pad_and_bos_are_never_said_and_others_on_request(search):
    model = Table(row(0.3, 0.2, 0.3, 0.1, 0.1))
    limits = Constraints(max_length=20)
    assert not {PAD, BOS} & {
        token for one in search(model, *pad([[4]] * 9), constraints=limits) for token in one.tokens
    }
    limits = Constraints(max_length=20, banned=(UNK,))
    assert {token for one in search(model, *pad([[4]] * 9), constraints=limits) for token in one.tokens} <= {4}


@every_search
def test_eos_is_allowed_when_nothing_else_is_left(search):
    limits = Constraints(min_length=5, banned=(UNK, EOS, 4), no_repeat_ngram=1)
    (found,) = search(Table(row(0.3, 0.2, 0.2, 0.1, 0.2)), *pad([[4]]), constraints=limits)
    assert (found.tokens, found.finished) == ([], True)
    assert found.log_probs == pytest.approx([torch.tensor(0.1).log().item()])


@every_search
def test_a_dead_end_is_unfinished_and_stops_nobody_else(search):
    logits = torch.full((2, 6, 6), NEVER, dtype=torch.float64)
    logits[0, BOS, 4] = logits[1, BOS, 5] = logits[1, 5, EOS] = 0.0  # nothing at all follows 4
    dead, well = search(Table(logits), *pad([[0], [1]]))
    assert (dead.tokens, dead.log_probs, dead.finished) == ([4], [0.0], False)
    assert (well.tokens, well.log_probs, well.finished) == ([5], [0.0, 0.0], True)


@every_search
def test_a_dead_end_at_once_gives_no_tokens(search):
    (found,) = search(Table(row(0.5, 0, 0.5, 0, 0)), *pad([[4]]))
    assert found == Hypothesis([], [], 0.0, None, finished=False)


@every_search
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_logits_are_an_error_that_names_the_sentence_and_the_step(search, value):
    logits = torch.full((2, 6, 6), NEVER, dtype=torch.float64)
    logits[:, BOS, 4] = logits[0, 4, EOS] = 0.0
    logits[1, 4, 5] = value
    with pytest.raises(ValueError, match="logits of sentence 1 at step 1 hold NaN or infinity"):
        search(Table(logits), *pad([[0], [1]]))


@every_search
def test_a_source_without_tokens_is_decoded_too(search):
    model = Recurrent(vocabulary=7, seed=1)
    (found,) = search(model, *pad([[]]), constraints=Constraints(max_length=4), need_weights=True)
    assert looks(found).shape == (len(found.tokens), 0)


class Untouchable:
    """Every call fails."""

    def encode(self, source, lengths):
        raise AssertionError

    start = step = encode


@every_search
def test_an_empty_batch_never_reaches_the_model(search):
    assert search(Untouchable(), *pad([])) == []


@every_search
def test_a_vocabulary_without_eos_and_a_banned_id_outside_it_are_refused(search):
    with pytest.raises(ValueError, match="vocabulary has 3 tokens and no EOS, whose id is 3"):
        search(Table(torch.zeros(1, 3, 3)), *pad([[0]]))
    with pytest.raises(ValueError, match="banned holds 9, but the model's vocabulary has ids 0 to 4"):
        search(Table(torch.zeros(1, 5, 5)), *pad([[0]]), constraints=Constraints(banned=(9,)))


@every_search
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_log_probs_are_at_least_single_precision(search, dtype):
    model = Table(torch.tensor([0.0, 1.0, 0.0, 0.5, 2.0, 1.5]).to(dtype).expand(1, 6, 6))
    (found,) = search(model, *pad([[4]]), constraints=Constraints(max_length=3, banned=(UNK,)))
    exact = torch.tensor([0.0, 1.0, 0.0, 0.5, 2.0, 1.5]).log_softmax(0)
    said = found.tokens + [EOS] * found.finished
    assert found.log_probs == pytest.approx([exact[token].item() for token in said], abs=1e-6)


class Module(nn.Module):
    """Drops everything but 4 while training; remembers whether gradients were on."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.frozen = nn.Dropout(1.0), nn.Dropout(1.0).eval()
        self.seen: set[bool] = set()

    def encode(self, source, lengths):
        return self.frozen(self.dropout(source.double()))

    def start(self, encoded):
        return encoded.clone()

    def step(self, tokens, state, encoded, need_weights=False):
        self.seen.add(torch.is_grad_enabled())
        logits = torch.zeros(len(tokens), 6, dtype=torch.float64)
        logits[:, 5], logits[:, EOS] = 3 * encoded[:, 0], NEVER
        return StepOutput(logits, encoded if need_weights else None), state


@every_search
def test_models_decode_without_dropout_or_gradients_and_keep_their_mode(search):
    model = Module()
    (found,) = search(model, *pad([[8]]), constraints=Constraints(max_length=4), need_weights=True)
    assert found.tokens == [5, 5, 5, 5]
    assert model.seen == {False}
    assert (model.training, model.dropout.training, model.frozen.training) == (True, True, False)
    # no inference tensor leaves: autograd may use it
    assert (looks(found) * torch.ones(1, dtype=torch.float64, requires_grad=True)).requires_grad


def test_a_model_that_fails_keeps_its_mode_too():
    model = Module()
    with pytest.raises(IndexError):
        greedy(model, torch.zeros(1, 0, dtype=torch.long), torch.tensor([0]))
    assert model.training


def test_sentences_that_have_ended_leave_the_batch():
    logits = torch.full((3, 7, 7), NEVER, dtype=torch.float64)
    logits[0, :, EOS] = logits[1, [BOS, 4, 5, 6], [4, 5, 6, EOS]] = logits[2, [BOS, 4], [4, EOS]] = 0.0
    model = Table(logits)
    found = greedy(model, *pad([[0], [1], [2], [0]]))
    assert [one.tokens for one in found] == [[], [4, 5, 6], [4], []]
    assert model.calls == [4, 2, 1, 1]


def test_lengths_that_do_not_fit_the_source_are_refused():
    with pytest.raises(ValueError, match="source holds 2 sentences and lengths 1"):
        check_source(torch.zeros(2, 3), torch.tensor([3]))
    with pytest.raises(ValueError, match="lengths go from 1 to 4, but source has 3 positions"):
        greedy(Table(torch.zeros(1, 5, 5)), torch.zeros(2, 3, dtype=torch.long), torch.tensor([4, 1]))
