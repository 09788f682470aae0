"""Batches side by side: in their order, at the same time, with the numbers of one after the other."""

import threading

import pytest
import torch

from heedful.tasks.decoding_threads import side_by_side


@pytest.fixture
def two_threads():
    whole = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(whole)


def test_two_batches_run_at_the_same_time_and_come_in_order(two_threads):
    both = threading.Barrier(2, timeout=20)

    def decode(batch: int) -> tuple[int, int]:
        both.wait()
        return batch, torch.get_num_threads()

    assert list(side_by_side(decode, range(6), workers=2)) == [(batch, 1) for batch in range(6)]
    assert list(side_by_side(lambda _: torch.get_num_threads(), [0], workers=2)) == [2]
    assert torch.get_num_threads() == 2


def test_a_batch_that_fails_is_told_when_those_under_way_have_ended_and_no_other_begins(two_threads):
    begun = []
    both = threading.Barrier(2, timeout=20)

    def decode(batch: int) -> int:
        begun.append(batch)
        both.wait()
        if batch == 0:
            raise ValueError("no such word")
        return batch

    with pytest.raises(ValueError, match="no such word"):
        list(side_by_side(decode, range(2), workers=2))
    assert sorted(begun) == [0, 1]


def test_autocast_of_the_caller_holds_in_the_threads(two_threads):
    one = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = list(side_by_side(lambda batch: (batch @ one).dtype, [one, one], workers=2))
    assert found == [torch.bfloat16] * 2
    assert list(side_by_side(lambda batch: (batch @ one).dtype, [one, one], workers=2)) == [torch.float32] * 2


def test_a_translator_says_the_same_with_two_threads_and_with_one(small_run, two_threads):
    sentences = [f"I love {name}." for name in ("Tom", "you", "that red car", "dogs and cats", "it")] * 3
    options = {"batch_size": 4, "nbest": 2, "need_weights": True}
    beside = small_run.translator.translate(sentences, **options)
    torch.set_num_threads(1)
    alone = small_run.translator.translate(sentences, **options)
    for several, others in zip(beside, alone, strict=True):
        assert [one.text for one in several] == [one.text for one in others]
        for one, other in zip(several, others, strict=True):
            assert one.hypothesis.score == pytest.approx(other.hypothesis.score, abs=1e-5)
            assert torch.allclose(one.hypothesis.weights, other.hypothesis.weights, atol=1e-5)


def test_draws_with_a_seed_do_not_depend_on_the_threads(small_run, two_threads):
    decoding = small_run.translator.recipe.decoding.model_copy(update={"sample": True})

    def drawn() -> list[str]:
        generator = torch.Generator().manual_seed(3)
        found = small_run.translator.translate(
            ["I love you."] * 9, decoding=decoding, batch_size=2, generator=generator
        )
        return [one[0].text for one in found]

    beside = drawn()
    torch.set_num_threads(1)
    assert drawn() == beside
