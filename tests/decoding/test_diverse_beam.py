"""Diverse beam search against one group, and a reference of Python lists."""

from collections import Counter
from itertools import chain

import pytest
import torch

from heedful.data.vocabulary import EOS
from heedful.decoding import Constraints, Decoding, beam_search, diverse_beam_search

from .toys import Grown, Recurrent, Table, children, looks, pad

SENTENCES = [[4, 9, 7], [5], [6, 4, 4, 8, 10]]
LIMITS = Constraints(max_length=6, no_repeat_ngram=2)


def reference(model, sentence: list[int], size: int, groups: int, diversity: float) -> list[Grown]:
    """Groups that choose in turn, to the very end, each hypothesis once, best first."""
    encoded = model.encode(torch.tensor([sentence]), torch.tensor([len(sentence)]))
    alive = [[Grown([], [], [], model.start(encoded))] for _ in range(groups)]
    done: list[list[Grown]] = [[] for _ in range(groups)]
    for _ in range(LIMITS.max_length):
        said: Counter[int] = Counter()
        for group in range(groups):
            offspring = [child for parent in alive[group] for child in children(model, encoded, parent, LIMITS)]
            offspring.sort(key=lambda one, said=said: -(sum(one.log_probs) - diversity * said[one.tokens[-1]]))
            chosen = offspring[: size - len(done[group])]
            done[group] += [one for one in chosen if one.tokens[-1] == EOS]
            alive[group] = [one for one in chosen if one.tokens[-1] != EOS]
            said.update(one.tokens[-1] for one in chosen)
    every = {tuple(one.tokens): one for one in chain(*done, *alive)}
    return sorted(every.values(), key=lambda one: (one.tokens[-1] != EOS, -one.score(0.6)))


@pytest.mark.parametrize(("size", "groups", "diversity"), [(1, 4, 0.5), (2, 3, 1.5), (2, 2, 0.0), (3, 2, 100.0)])
@pytest.mark.parametrize("seed", [1, 2])
def test_groups_equal_the_reference_weights_included(seed, size, groups, diversity):
    model = Recurrent(vocabulary=8, seed=seed, sharpness=0.7)
    options = {
        "beam": size * groups,
        "nbest": size * groups,
        "groups": groups,
        "diversity": diversity,
        "constraints": LIMITS,
    }
    found = diverse_beam_search(model, *pad(SENTENCES, extra=2), Decoding(need_weights=True, **options))
    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        expected = reference(model, sentence, size, groups, diversity)
        assert [one.tokens + [EOS] * one.finished for one in hypotheses] == [one.tokens for one in expected]
        for one, other in zip(hypotheses, expected, strict=True):
            assert one.score == pytest.approx(other.score(0.6), abs=1e-9)
            looked = torch.tensor(other.weights, dtype=torch.float64)[: len(one.tokens)]
            torch.testing.assert_close(looks(one), looked.reshape(looks(one).shape), rtol=0, atol=1e-9)


def test_one_group_is_beam_search_and_a_beam_may_exceed_the_vocabulary():
    model, source = Recurrent(vocabulary=7, seed=3), pad(SENTENCES)
    for beam in (3, 20):
        expected = beam_search(model, *source, Decoding(beam=beam, nbest=1, constraints=LIMITS))
        found = diverse_beam_search(model, *source, Decoding(beam=beam, groups=1, constraints=LIMITS))
        assert [best[0].tokens for best in found] == [best[0].tokens for best in expected]


def test_an_empty_batch_gives_an_empty_list():
    assert diverse_beam_search(Table(torch.zeros(1, 5, 5)), *pad([])) == []
