"""Sampling: the distribution, its head, and the source of chance."""

import re
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heedful.data.vocabulary import EOS
from heedful.decoding import Constraints, Decoding, Penalties, Sampling, greedy, sample
from heedful.decoding.sampling import pick, truncated

from .toys import Recurrent, Table, pad

NEVER = float("-inf")
PROBABILITIES = (0.2, 0.1, 0.2, 0.1, 0.25, 0.15)  # of PAD, UNK, BOS, EOS, 4, 5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first_tokens(count: int = 4000, **options: Any) -> list[float]:
    """How often each token came first."""
    model = Table(torch.tensor(PROBABILITIES).double().log().expand(1, 6, 6))
    sampling = Sampling(generator=seeded(0), **options)
    how = Decoding(sampling=sampling, nbest=count, constraints=Constraints(max_length=1))
    (found,) = sample(model, *pad([[4]]), how)
    said = torch.tensor([one.tokens[0] if one.tokens else EOS for one in found])
    return (said.bincount(minlength=6) / count).tolist()


@pytest.mark.parametrize(
    ("options", "shares"),
    [
        ({}, [0, 0.1, 0, 0.1, 0.25, 0.15]),
        ({"temperature": 0.5}, [0, 0.01, 0, 0.01, 0.0625, 0.0225]),
        ({"top_k": 2}, [0, 0, 0, 0, 0.25, 0.15]),
        ({"top_p": 0.6}, [0, 0, 0, 0, 0.25, 0.15]),
        ({"top_p": 0.4}, [0, 0, 0, 0, 1, 0]),
        ({"temperature": 0.5, "top_p": 0.59}, [0, 0, 0, 0, 1, 0]),
        ({"min_p": 0.5}, [0, 0, 0, 0, 0.25, 0.15]),
        ({"min_p": 1.0}, [0, 0, 0, 0, 1, 0]),
        ({"top_k": 2, "top_p": 0.62}, [0, 0, 0, 0, 1, 0]),
    ],
)
def test_tokens_come_as_often_as_their_probability_says(options, shares):
    expected = [share / sum(shares) for share in shares]
    found = first_tokens(**options)
    # 4 standard deviations of a share of 4000 draws
    assert found == pytest.approx(expected, abs=0.032)
    assert [share == 0 for share in found] == [share == 0 for share in expected]


def test_one_seed_gives_one_result_and_another_seed_another():
    model, source = Recurrent(vocabulary=9, seed=1, sharpness=0.5), pad([[4, 5, 6], [7], [8, 9]])

    def draw(seed):
        how = Decoding(sampling=Sampling(generator=seeded(seed)), nbest=2)
        return [[one.tokens for one in found] for found in sample(model, *source, how)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    torch.manual_seed(5)
    without = sample(model, *source)
    torch.manual_seed(5)
    assert without == sample(model, *source)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.1, 5))
def test_one_candidate_is_greedy_search(seed, temperature):
    model, source = Recurrent(vocabulary=8, seed=seed), pad([[4, 5, 6], [7], []])
    constraints = Constraints(max_length=5)
    expected = [one.tokens for one in greedy(model, *source, Decoding(constraints=constraints))]
    for top_k, top_p in ((1, None), (None, 1e-6)):
        found = sample(
            model,
            *source,
            Decoding(sampling=Sampling(temperature=temperature, top_k=top_k, top_p=top_p), constraints=constraints),
        )
        assert [one.tokens for (one,) in found] == expected


def test_the_draws_of_a_sentence_do_not_depend_on_the_other_sentences():
    logits = torch.zeros(2, 7, 7, dtype=torch.float64)
    logits[0, :, EOS] = NEVER
    logits[1, :, EOS] = 100.0  # ends at once
    limits = Constraints(max_length=12)

    def first(second: int):
        return sample(
            Table(logits),
            *pad([[0], [second], [0]]),
            Decoding(sampling=Sampling(generator=seeded(3)), constraints=limits),
        )[::2]

    assert first(0) == first(1)


def test_log_probs_are_those_of_the_model():
    model = Table(torch.tensor(PROBABILITIES).double().log().expand(1, 6, 6))
    limits, penalties = Constraints(max_length=5), Penalties(length=1.0)
    how = Decoding(sampling=Sampling(0.3, top_k=2), nbest=20, constraints=limits, penalties=penalties)
    (found,) = sample(model, *pad([[4]]), how)
    assert found == sorted(found, key=lambda one: (not one.finished, -one.score))
    for one in found:
        said = one.tokens + [EOS] * one.finished
        assert one.log_probs == pytest.approx([torch.tensor(PROBABILITIES[token]).log().item() for token in said], 1e-6)
        assert one.score == pytest.approx(sum(one.log_probs) * 6 / (5 + len(said)), abs=1e-9)


@given(
    seed=st.integers(0, 10_000),
    top_k=st.none() | st.integers(1, 9),
    top_p=st.none() | st.floats(0.01, 1.0),
    closed=st.sets(st.integers(0, 5)),
)
def test_the_head_is_what_a_loop_finds(seed, top_k, top_p, closed):
    log_probs = torch.randn(2, 7, dtype=torch.float64, generator=seeded(seed)).log_softmax(1)
    log_probs[:, list(closed)] = NEVER
    for row, head in zip(log_probs, truncated(log_probs, top_k, top_p), strict=True):
        ranked = sorted(range(7), key=lambda token: -row[token])[:top_k]
        total, kept, before = sum(row[token].exp() for token in ranked), [], 0.0
        for token in ranked:
            if top_p is None or before < top_p * total:
                kept.append(token)
            before += row[token].exp()
        expected = [row[token].item() if token in kept else NEVER for token in range(7)]
        assert head.tolist() == expected


def test_each_token_owns_its_share_of_the_unit_interval():
    luck = torch.tensor([0.0, 0.25, 0.5, 0.75])
    assert pick(torch.tensor([0.25, 0.5, 0.25]).expand(4, 3), luck).tolist() == [0, 1, 1, 2]


@example(weights=[1.0, 0.0], luck=1.0)
@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 0.1, 1.0, 7.0]), min_size=1, max_size=6).filter(any),
    luck=st.sampled_from([0.0, 1e-9, 0.3, 0.999, 1.0]),  # 1.0 is what rounding may make of less
)
def test_a_draw_is_never_impossible(weights, luck):
    probs = torch.tensor([weights]) / sum(weights)
    assert probs[0, pick(probs, torch.tensor([luck]))].item() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; use a number above 0, or greedy search"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0; draw from at least 1 token"),
        ({"top_p": 0.0}, "top_p is 0.0; use a probability above 0"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"min_p": -0.1}, "min_p is -0.1; use a share from 0 to 1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Sampling(**options)
