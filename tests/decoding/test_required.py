"""What every output must hold, against exhaustive search and a beam of Python lists."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heedful.data.vocabulary import BOS, EOS, UNK
from heedful.decoding import (
    Constraints,
    Decoding,
    Penalties,
    Sampling,
    beam_search,
    decode,
    diverse_beam_search,
    greedy,
)
from heedful.decoding.phrases import within

from .toys import Grown, Recurrent, Table, children, pad

NEVER = float("-inf")
SENTENCES = [[4, 9, 7], [5]]
PHRASES = [[(4, 5)], [(5, 5)], [(4, 5), (UNK,)], [(4,), (5,)], [(4, 5, 4)]]


def complete(tokens, phrases) -> bool:
    return all(within(phrase, tokens) for phrase in phrases)


def filled(tokens: list[int], phrases) -> int:
    """How much of the phrases has been said: all of those that are there, and of one that the end begins."""
    missing = [phrase for phrase in phrases if not within(phrase, tokens)]
    begun = [size for phrase in missing for size in range(1, len(phrase)) if tuple(tokens[-size:]) == phrase[:size]]
    return sum(len(phrase) for phrase in phrases if phrase not in missing) + max(begun, default=0)


@pytest.mark.parametrize("phrases", PHRASES)
def test_a_wide_beam_is_exhaustive_search_among_what_holds_them(phrases):
    model, longest, source = Recurrent(vocabulary=6, seed=3), 4, torch.tensor([4, 9, 7])
    encoded = model.encode(source[None], torch.tensor([3]))

    def score(tokens: tuple[int, ...]) -> float:
        state, total = model.start(encoded), 0.0
        for last, token in zip((BOS, *tokens), tokens, strict=False):
            output, state = model.step(torch.tensor([last]), state, encoded)
            total += output.logits[0].log_softmax(0)[token].item()
        return total / ((5 + len(tokens)) / 6) ** 0.6

    ends = [
        (*words, EOS)
        for size in range(longest)
        for words in itertools.product((UNK, 4, 5), repeat=size)
        if complete(words, phrases)
    ]
    cut = [
        words for words in itertools.product((UNK, 4, 5), repeat=longest) if complete(words[:-1], phrases)
    ]  # there was room for EOS
    ranked = sorted(ends, key=score, reverse=True) + sorted(cut, key=score, reverse=True)
    how = Decoding(beam=130, nbest=130, constraints=Constraints(max_length=longest, required=tuple(phrases)))
    (found,) = beam_search(model, *pad([source.tolist()]), how)
    assert [(*one.tokens, *[EOS] * one.finished) for one in found] == ranked
    assert [one.score for one in found] == pytest.approx([score(tokens) for tokens in ranked], abs=1e-9)


def reference(model, sentence: list[int], beam: int, limits: Constraints) -> list[Grown]:
    """The banks give their best in turn, the fullest first."""
    encoded = model.encode(torch.tensor([sentence]), torch.tensor([len(sentence)]))
    phrases, longest = limits.required, limits.max_lengths([len(sentence)])[0]
    total = sum(map(len, phrases))
    alive, finished = [Grown([], [], [], model.start(encoded))], []
    for step in range(longest):
        pool = []
        for parent in alive:
            offspring = [
                child
                for child in children(model, encoded, parent, limits)
                if (complete(parent.tokens, phrases) or child.tokens[-1] != EOS)
                and total - filled(child.tokens, phrases) <= max(0, longest - step - 2)
            ]
            offspring.sort(key=lambda child: -child.log_probs[-1])
            rest = [phrase for phrase in phrases if not within(phrase, parent.tokens)]
            own = {}  # the next token of each phrase
            for phrase in rest:
                begun = [k for k in range(1, len(phrase)) if tuple(parent.tokens[-k:]) == phrase[:k]]
                own[phrase[max(begun, default=0)]] = True
            pool += offspring[:beam] + [child for child in offspring[beam:] if child.tokens[-1] in own]
        pool.sort(key=lambda child: -sum(child.log_probs))
        banks = [[child for child in pool if filled(child.tokens, phrases) == bank] for bank in range(total, -1, -1)]
        turns = [bank[turn] for turn in range(len(pool)) for bank in banks if turn < len(bank)]
        chosen = turns[: beam - len(finished)]
        finished += [child for child in chosen if child.tokens[-1] == EOS]
        alive = [child for child in chosen if child.tokens[-1] != EOS]
    return sorted(finished, key=lambda one: -one.score(0.6)) + sorted(alive, key=lambda one: -one.score(0.6))


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    beam=st.integers(1, 6),
    required=st.lists(st.lists(st.integers(4, 6), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3),
    max_length=st.integers(10, 11),
    no_more=st.booleans(),
)
def test_the_beam_is_shared_out_as_lists_share_it_and_everything_is_said(seed, beam, required, max_length, no_more):
    model = Recurrent(vocabulary=8, seed=seed)
    ratio = 0.0 if no_more else None  # room for what is required alone
    limits = Constraints(max_length=max_length, max_ratio=ratio, max_extra=0, required=tuple(required))
    found = beam_search(model, *pad(SENTENCES, extra=2), Decoding(beam=beam, nbest=beam, constraints=limits))
    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        expected = reference(model, sentence, beam, limits)[:beam]
        assert [one.tokens + [EOS] * one.finished for one in hypotheses] == [one.tokens for one in expected]
        for one, other in zip(hypotheses, expected, strict=True):
            assert complete(one.tokens, required)
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-9)


def test_they_go_with_a_prefix_banned_words_and_a_beam_of_one():
    model = Recurrent(vocabulary=9, seed=2)
    limits = Constraints(max_length=12, prefix=(6, 4), required=((4, 5), (7,)), banned=(UNK, (5, 7)), no_repeat_ngram=2)
    for beam in (1, 4):
        for (best,) in decode(model, *pad(SENTENCES), Decoding(beam=beam, constraints=limits)):
            assert best.tokens[:2] == [6, 4]
            assert complete(best.tokens, limits.required)
            assert not within((5, 7), best.tokens)
            assert UNK not in best.tokens


def test_what_the_model_cannot_say_ends_unfinished():
    logits = torch.zeros(1, 7, 7)
    logits[..., 5] = NEVER
    how = Decoding(beam=3, nbest=3, constraints=Constraints(max_length=6, required=((4, 5),)))
    (found,) = beam_search(Table(logits), *pad([[4]]), how)
    assert found
    assert not any(one.finished for one in found)


def test_methods_that_cannot_plan_refuse():
    limits, model, source = Constraints(required=((4,),)), Table(torch.zeros(1, 6, 6)), pad([[4]])
    with pytest.raises(ValueError, match="sampling cannot plan for what is required; use beam search"):
        Decoding(sampling=Sampling(), constraints=limits)
    with pytest.raises(ValueError, match="a beam of several groups cannot plan"):
        Decoding(beam=4, groups=2, constraints=limits)
    for search in (greedy, diverse_beam_search):
        with pytest.raises(ValueError, match="search cannot plan for what is required; use beam_search"):
            search(model, *source, Decoding(constraints=limits, penalties=Penalties()))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"required": ((4, 5),), "banned": (5,)}, "required holds 5, which is banned"),
        ({"required": ((6, 4, 5),), "banned": ((4, 5),)}, "required holds (4, 5), which is banned"),
        ({"prefix": (6, 4, 5), "banned": ((4, 5),)}, "prefix holds (4, 5), which is banned"),
        ({"required": ((4, EOS),)}, f"required holds {EOS}, which is banned or not a word"),
        ({"required": ((),)}, "banned or required holds a phrase without tokens"),
        ({"banned": ((),)}, "banned or required holds a phrase without tokens"),
        ({"required": ((4, 5, 4, 5),), "no_repeat_ngram": 2}, "required holds (4, 5, 4, 5), which says 2 tokens twice"),
        (
            {"required": ((4, 5), (6,)), "max_length": 3},
            "what is required have 4 tokens, but max_length is 3; raise it",
        ),
        ({"required": ((4,),), "prefix": (5, 6), "max_length": 3}, "required have 4 tokens, but max_length is 3"),
    ],
)
def test_contradictions_are_refused(limits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Constraints(**limits)


def test_what_another_phrase_or_the_prefix_holds_needs_no_room():
    assert Constraints(required=((4, 5), (5,), (4, 5))).required == ((4, 5),)
    assert Constraints(required=((4, 5), (6,)), prefix=(4, 5), max_length=4).needed() == 4


def test_a_phrase_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="required holds 9, but the model's vocabulary has ids 0 to 5"):
        beam_search(Table(torch.zeros(1, 6, 6)), *pad([[4]]), Decoding(constraints=Constraints(required=((4, 9),))))
