"""The penalty for repetition: it ranks, and leaves the model's probabilities alone."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heedful.data.vocabulary import BOS, EOS, PAD, UNK
from heedful.decoding import Constraints, Decoding, Penalties, beam_search, greedy

from .toys import Recurrent, Table, pad


def both(model, encoded, tokens: tuple[int, ...], strength: float) -> tuple[list[float], list[float]]:
    """The model's own log-probabilities of the tokens, and those under the penalty."""
    state, own, ranks = model.start(encoded), [], []
    for place, (last, token) in enumerate(zip((BOS, *tokens), tokens, strict=False)):
        output, state = model.step(torch.tensor([last]), state, encoded)
        logits = output.logits[0].tolist()
        own.append(output.logits[0].log_softmax(0)[token].item())
        for again in {*tokens[:place]}:
            logits[again] = logits[again] * strength if logits[again] < 0 else logits[again] / strength
        ranks.append(torch.tensor(logits, dtype=torch.float64).log_softmax(0)[token].item())
    return own, ranks


def test_a_wide_beam_ranks_everything_by_the_penalised_score():
    model, longest, strength = Recurrent(vocabulary=6, seed=5), 3, 1.7
    encoded = model.encode(torch.tensor([[4, 9, 7]]), torch.tensor([3]))
    ends = [(*words, EOS) for size in range(longest) for words in itertools.product((UNK, 4, 5), repeat=size)]
    cut = list(itertools.product((UNK, 4, 5), repeat=longest))
    scores = {tokens: both(model, encoded, tokens, strength) for tokens in ends + cut}

    def score(tokens):
        return sum(scores[tokens][1]) / ((5 + len(tokens)) / 6) ** 0.6

    ranked = sorted(ends, key=score, reverse=True) + sorted(cut, key=score, reverse=True)
    limits, penalties = Constraints(max_length=longest), Penalties(repetition=strength)
    how = Decoding(beam=len(ranked), nbest=len(ranked), constraints=limits, penalties=penalties)
    (found,) = beam_search(model, *pad([[4, 9, 7]]), how)
    assert [(*one.tokens, *[EOS] * one.finished) for one in found] == ranked
    for one, tokens in zip(found, ranked, strict=True):
        assert one.log_probs == pytest.approx(scores[tokens][0], abs=1e-9)
        assert one.score == pytest.approx(score(tokens), abs=1e-9)


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), strength=st.floats(1.1, 5))
def test_greedy_takes_the_best_under_the_penalty(seed, strength):
    model = Recurrent(vocabulary=8, seed=seed)
    how = Decoding(constraints=Constraints(max_length=7), penalties=Penalties(repetition=strength))
    for sentence, one in zip([[4, 9], [5]], greedy(model, *pad([[4, 9], [5]]), how), strict=True):
        encoded = model.encode(torch.tensor([sentence]), torch.tensor([len(sentence)]))
        said = (*one.tokens, *[EOS] * one.finished)
        for place in range(len(said)):
            options = [token for token in range(8) if token not in (PAD, BOS)]
            best = max(options, key=lambda token, at=place: both(model, encoded, (*said[:at], token), strength)[1][-1])
            assert said[place] == best


def test_it_breaks_a_loop_and_1_changes_nothing():
    logits = torch.zeros(1, 7, 7)
    logits[0, :, 4], logits[0, :, 5] = 3.0, 2.5
    model, source, limits = Table(logits), pad([[4]]), Constraints(max_length=4)
    plain, same, other = (
        greedy(model, *source, Decoding(constraints=limits, penalties=Penalties(repetition=strength)))
        for strength in (1.0, 1.0 + 1e-9, 2.0)
    )
    assert plain == greedy(model, *source, Decoding(constraints=limits))
    assert plain[0].tokens == same[0].tokens == [4, 4, 4, 4]
    assert other[0].tokens == [4, 5, 4, 4]  # 3 / 2 is above 2.5 / 2, and both above the rest
    with pytest.raises(ValueError, match=r"the repetition penalty is 0\.5; use 1 \(none\) or more, 1\.2 being common"):
        Penalties(repetition=0.5)
