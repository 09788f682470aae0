"""One call for every method, and what it makes of sizes that nobody expects."""

import re

import pytest
import torch

from heedful.decoding import (
    Constraints,
    Decoding,
    Hypothesis,
    Sampling,
    beam_search,
    decode,
    diverse_beam_search,
    greedy,
    sample,
)

from .toys import Recurrent, Table, pad

LIMITS = Constraints(max_length=6)


def seeded() -> Sampling:
    return Sampling(generator=torch.Generator().manual_seed(3))


def test_the_value_says_which_method_it_is():
    model, source = Recurrent(vocabulary=8, seed=1), pad([[4, 9, 7], [5]])
    how = Decoding(beam=1, constraints=LIMITS)
    assert decode(model, *source, how) == [[one] for one in greedy(model, *source, how)]
    how = Decoding(beam=3, nbest=2, constraints=LIMITS)
    assert decode(model, *source, how) == beam_search(model, *source, how)
    how = Decoding(beam=4, nbest=2, groups=2, constraints=LIMITS)
    assert decode(model, *source, how) == diverse_beam_search(model, *source, how)
    found, again = (
        method(model, *source, Decoding(sampling=seeded(), nbest=7, constraints=LIMITS)) for method in (decode, sample)
    )
    assert found == again
    assert [len(draws) for draws in found] == [7, 7]


@pytest.mark.parametrize("how", [{"beam": 50, "nbest": 50}, {"beam": 40, "groups": 2, "nbest": 40}])
def test_a_beam_may_be_larger_than_the_vocabulary(how):
    (found,) = decode(
        Recurrent(vocabulary=6, seed=1), *pad([[4, 9]]), Decoding(**how, constraints=Constraints(max_length=2))
    )
    # the end at once; one of three tokens and the end, or another one of three
    assert sorted(len(one.log_probs) for one in found) == [1] + [2] * 12


class Reader(Table):
    """Notes what it is asked to read, and whether weights are asked for."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1, 7, 7))
        self.read: list[tuple[int, ...]] = []
        self.asked: set[bool] = set()

    def encode(self, source, lengths):
        self.read.append(tuple(source.shape))
        return super().encode(source, lengths)

    def step(self, tokens, state, encoded, need_weights=False):
        self.asked.add(need_weights)
        return super().step(tokens, state, encoded, need_weights)


@pytest.mark.parametrize("how", [{"beam": 6, "groups": 3}, {"sampling": Sampling(), "nbest": 5}])
def test_the_source_is_read_once(how):
    model = Reader()
    decode(model, *pad([[4, 5], [6]]), Decoding(constraints=LIMITS, **how))
    assert model.read == [(2, 2)]
    assert model.asked == {False}  # nobody needs weights


@pytest.mark.parametrize("how", [{"beam": 1}, {"beam": 3}, {"beam": 4, "groups": 2}, {"sampling": seeded()}])
def test_a_source_of_ten_thousand_tokens_is_a_source(how):
    long = [4 + place % 6 for place in range(10_000)]
    model = Recurrent(vocabulary=8, seed=1)
    found = decode(model, *pad([long, [5]]), Decoding(**how, constraints=LIMITS, need_weights=True))
    assert [best[0].weights.shape[1] for best in found] == [10_000, 1]
    (alone,) = decode(model, *pad([[5]]), Decoding(**{**how, "sampling": None}, constraints=LIMITS))
    if "sampling" not in how:
        assert found[1][0].tokens == alone[0].tokens


def test_nothing_gives_nothing():
    for how in (Decoding(beam=1), Decoding(), Decoding(groups=5), Decoding(sampling=Sampling())):
        assert decode(Table(torch.zeros(1, 5, 5)), *pad([]), how) == []
    assert Hypothesis([], [], 0.0).heads == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam is 0; keep at least 1 hypothesis"),
        ({"beam": 3, "nbest": 4}, "nbest is 4; a beam of 3 can return 1 to 3"),
        ({"nbest": 0}, "nbest is 0"),
        ({"nbest": 0, "sampling": Sampling()}, "nbest is 0"),
        ({"beam": 5, "groups": 2}, "beam is 5 and groups 2; use numbers from 1 up, the beam a multiple of the groups"),
        ({"groups": 0}, "groups 0"),
        ({"diversity": -1.0}, "diversity is -1.0"),
        ({"diversity": float("nan")}, "diversity is nan"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Decoding(**options)
