"""The loss against its formula, and padding without any influence."""

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from heedful.data.vocabulary import PAD
from heedful.training import label_smoothed_cross_entropy, sequence_loss, validation_loss
from tests.training.tiny import held_out, tiny_dataset, tiny_model


def by_hand(logits: Tensor, target: Tensor, smoothing: float) -> tuple[float, int, int]:
    """The three sums, one token after the other, in Python's own numbers."""
    total, tokens, correct = 0.0, 0, 0
    for scores, right in zip(logits.flatten(0, 1).tolist(), target.flatten().tolist(), strict=True):
        if right == PAD:
            continue
        log_partition = math.log(sum(math.exp(score) for score in scores))
        for token, score in enumerate(scores):
            wanted = smoothing / len(scores) + (1 - smoothing if token == right else 0)
            total -= wanted * (score - log_partition)
        tokens, correct = tokens + 1, correct + (max(range(len(scores)), key=scores.__getitem__) == right)
    return total, tokens, correct


def example(batch: int = 3, length: int = 5, vocabulary: int = 7, dtype=torch.float64) -> tuple[Tensor, Tensor]:
    target = torch.randint(0, vocabulary, (batch, length))
    target[0, 1:], target[-1, 0] = PAD, 4
    return 2 * torch.randn(batch, length, vocabulary, dtype=dtype), target


@given(
    batch=st.integers(1, 5),
    length=st.integers(1, 7),
    vocabulary=st.integers(5, 13),
    smoothing=st.sampled_from([0.0, 0.1, 0.35]),
)
def test_it_is_the_formula(batch, length, vocabulary, smoothing):
    logits, target = example(batch, length, vocabulary)
    loss = label_smoothed_cross_entropy(logits, target, smoothing)
    total, tokens, correct = by_hand(logits, target, smoothing)
    assert loss.total.item() == pytest.approx(total, rel=1e-12, abs=1e-12)
    assert (loss.tokens.item(), loss.correct.item()) == (tokens, correct)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_its_gradient_is_right(smoothing):
    logits, target = example(2, 3, 5)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: label_smoothed_cross_entropy(x, target, smoothing).total, [logits])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_has_no_influence_at_all(smoothing):
    logits, target = example()
    changed = torch.where((target == PAD).unsqueeze(-1), 1e30 * torch.randn_like(logits), logits)
    results = []
    for tensor in (logits, changed):
        tensor.requires_grad_()
        loss = label_smoothed_cross_entropy(tensor, target, smoothing)
        loss.total.backward()
        results.append((loss.total.detach(), loss.tokens, loss.correct, tensor.grad))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert (results[0][3][target == PAD] == 0).all()


def test_more_padding_changes_nothing():
    logits, target = example()
    loss = label_smoothed_cross_entropy(logits, target, 0.1)
    wider = label_smoothed_cross_entropy(
        torch.cat([logits, torch.randn(3, 4, 7, dtype=logits.dtype)], 1),
        torch.cat([target, torch.full((3, 4), PAD)], 1),
        0.1,
    )
    torch.testing.assert_close(loss, wider)


def test_nothing_but_padding_is_zero_of_zero():
    loss = label_smoothed_cross_entropy(torch.randn(2, 3, 5), torch.full((2, 3), PAD), 0.1)
    assert [number.item() for number in loss] == [0.0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    logits, target = example(7, 63, 11, dtype)
    loss = label_smoothed_cross_entropy(logits, target, 0.1)
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(by_hand(logits, target, 0.1)[0], rel=1e-5)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0, math.nan])
def test_a_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(ValueError, match=r"smoothing is .*; it must lie in \[0, 1\)"):
        label_smoothed_cross_entropy(*example(), smoothing)


def test_validation_does_not_depend_on_how_the_pairs_are_batched():
    model = tiny_model().eval()
    batches = list(tiny_dataset(pairs=13).epoch(0))
    singles = [tiny_dataset(pairs=13).epoch(0)]
    assert len(batches) > 1
    one_each = [
        type(batches[0])(**{name: getattr(batch, name)[row : row + 1] for name in vars(batch)})
        for batch in singles[0]
        for row in range(len(batch.index))
    ]
    random.Random(1).shuffle(one_each)
    together, apart = validation_loss(model, batches), validation_loss(model, one_each)
    assert together == pytest.approx(apart, rel=1e-6)
    assert together["perplexity"] == pytest.approx(math.exp(together["loss"]))


def test_validation_is_the_mean_over_tokens():
    model = tiny_model().eval()
    losses = [sequence_loss(model, batch) for batch in tiny_dataset(pairs=13, seed=5).epoch(0)]
    tokens = sum(loss.tokens.item() for loss in losses)
    metrics = held_out(model)
    assert metrics["loss"] == pytest.approx(sum(loss.total.item() for loss in losses) / tokens)
    assert metrics["accuracy"] == pytest.approx(sum(loss.correct.item() for loss in losses) / tokens)


def test_a_held_out_set_without_tokens_is_refused():
    with pytest.raises(ValueError, match="the held-out set has no tokens"):
        validation_loss(tiny_model(), [])
