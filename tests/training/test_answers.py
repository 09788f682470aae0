"""Models with one answer: their losses by hand, and the same loop that trains translators, to the same numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from heedful.attention import AttentionPooling
from heedful.data.examples import Examples
from heedful.models import Prediction, RecurrentEncoder, SequenceClassifier
from heedful.training import TrainingOptions, absolute_loss, binary_loss, label_loss, mean_loss, train
from heedful.training.watching import AttentionFrames, Histograms


class Fixed(nn.Module):
    """Answers what it is told."""

    def __init__(self, answers):
        super().__init__()
        self.answers = nn.Parameter(torch.tensor(answers, dtype=torch.float64))

    def forward(self, inputs, lengths=None, need_weights=False):
        return Prediction(self.answers)


def one_batch(answers):
    return Examples(torch.zeros(len(answers), 3), torch.tensor(answers), batch_size=99).in_order()[0]


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=6), st.sampled_from([0.0, 0.2]))
def test_the_binary_loss_is_its_formula(pairs, smoothing):
    logits, answers = map(list, zip(*pairs, strict=True))
    loss = binary_loss(Fixed(logits), one_batch([int(answer) for answer in answers]), smoothing)
    wanted = 0.0
    for logit, answer in pairs:
        yes = 1 / (1 + math.exp(-logit))
        right = answer * (1 - smoothing) + smoothing / 2
        wanted -= right * math.log(yes) + (1 - right) * math.log(1 - yes)
    assert loss.total.item() == pytest.approx(wanted, rel=1e-9)
    assert loss.tokens.item() == len(pairs)
    assert loss.correct.item() == sum((logit > 0) == answer for logit, answer in pairs)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.25]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_label_loss_is_its_formula(smoothing, weights):
    logits, answers = [[0.5, -1.0, 2.0], [3.0, 0.25, 1.0], [-0.5, 1.5, 1.5], [0.0, 0.0, -4.0]], [2, 1, 2, 0]
    given = None if weights is None else torch.tensor(weights)
    loss = label_loss(Fixed(logits), one_batch(answers), smoothing, given)
    wanted = 0.0
    for row, answer in zip(logits, answers, strict=True):
        logs = [one - math.log(sum(math.exp(other) for other in row)) for one in row]
        right = [smoothing / 3 + (1 - smoothing) * (label == answer) for label in range(3)]
        each = -sum(part * log for part, log in zip(right, logs, strict=True))
        wanted += each * (weights[answer] if weights else 1)
    assert loss.total.item() == pytest.approx(wanted, rel=1e-9)
    # the second is wrong; the third and the fourth share the first place
    assert (loss.tokens.item(), loss.correct.item()) == (4, 3)
    idle = one_batch(answers).part(slice(0, 4), counts=False)
    assert label_loss(Fixed(logits), idle).total.item() == 0


def test_the_absolute_loss_is_its_formula_and_knows_no_right_answers():
    loss = absolute_loss(Fixed([0.5, -1.0, 2.0]), one_batch([1.0, -1.5, 2.0]))
    assert (loss.total.item(), loss.tokens.item()) == (1.0, 3)
    assert math.isnan(loss.correct.item())
    with pytest.raises(ValueError, match=r"smoothing is 0\.1; the answers are numbers, which have none: leave it at 0"):
        absolute_loss(Fixed([0.5]), one_batch([1.0]), smoothing=0.1)


@pytest.mark.parametrize("loss", [binary_loss, absolute_loss])
def test_what_only_fills_a_place_counts_for_nothing(loss):
    batch = one_batch([1.0, 0.0, 1.0])
    idle = batch.part(slice(0, 3), counts=False)
    model = Fixed([0.3, 0.2, -0.4])
    total = loss(model, idle).total
    total.backward()
    assert (total.item(), loss(model, idle).tokens.item()) == (0, 0)
    assert not model.answers.grad.any()


def test_the_mean_over_batches_is_that_of_all_examples():
    examples = Examples(torch.randn(7, 4, 2), torch.randn(7), batch_size=3)
    model = made().eval()
    whole = Examples(examples.inputs, examples.answers, batch_size=7)
    apart, together = (mean_loss(model, one.in_order(), absolute_loss)["loss"] for one in (examples, whole))
    assert apart == pytest.approx(together, rel=1e-5)
    with pytest.raises(ValueError, match="no tokens"):
        mean_loss(model, [], absolute_loss)


def made() -> SequenceClassifier:
    torch.manual_seed(5)
    head = nn.Sequential(nn.Dropout(0.3), nn.Linear(10, 1))
    return SequenceClassifier(RecurrentEncoder(None, 2, units=5), AttentionPooling(10, 3), head)


def data() -> Examples:
    """Whether the sum of a sequence is above 0."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(40, 4, 2, generator=generator)
    lengths = torch.randint(1, 5, (40,), generator=generator)
    real = torch.arange(4) < lengths.unsqueeze(1)
    return Examples(inputs, ((inputs.sum(2) * real).sum(1) > 0).long(), batch_size=9, lengths=lengths, seed=1)


def options(**changes) -> TrainingOptions:
    settings = {"max_epochs": 6, "learning_rate": 0.02, "best_by": "accuracy", "device": "cpu", "tensorboard": False}
    return TrainingOptions(**settings | changes)


def run(folder, callbacks=(), **changes):
    model, examples = made(), data()

    def validate(learnt):
        return mean_loss(learnt, examples.in_order(), binary_loss)

    result = train(model, examples, validate, options(**changes), folder, callbacks=callbacks, loss=binary_loss)
    return model, result


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_run_in_two_parts_ends_with_the_same_numbers_and_learns(tmp_path, optimizer):
    whole, result = run(tmp_path / "whole", optimizer=optimizer)
    run(tmp_path / "parts", optimizer=optimizer, max_epochs=2)
    parts, again = run(tmp_path / "parts", optimizer=optimizer)
    assert result.metrics == again.metrics
    assert result.metrics["accuracy"] > 0.8
    for ours, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        assert ours.equal(theirs)


def test_a_mean_absolute_error_is_better_when_lower():
    assert options(best_by="mae").is_better(0.1, 0.2)


def test_what_is_looked_at_is_drawn_and_joined_also_by_a_run_in_two_parts(tmp_path):
    examples = data()
    places = torch.eye(4, dtype=torch.bool)[torch.zeros(3, dtype=torch.long)]
    for epochs in (1, 2):
        frames = AttentionFrames(examples.inputs[:3], places, tmp_path / "frames")
        run(tmp_path / "run", [frames], max_epochs=epochs)
    assert [file.name for file in sorted((tmp_path / "frames").iterdir())] == ["step_0000005.png", "step_0000010.png"]
    from PIL import Image

    with Image.open(frames.animate(tmp_path / "look.gif")) as picture:
        assert picture.n_frames == 2


def test_histograms_reach_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    examples = data()
    run(tmp_path / "run", [Histograms(examples.inputs[:5], examples.lengths[:5], tmp_path / "events")], max_epochs=2)
    events = EventAccumulator(str(tmp_path / "events"), size_guidance={"histograms": 0})
    events.Reload()
    assert {"attention weights", "pooling.context_vector"} <= set(events.Tags()["histograms"])
    found = events.Histograms("attention weights")
    assert [one.step for one in found] == [5, 10]
    # a weight for each real step, none for padding
    assert found[0].histogram_value.num == int(examples.lengths[:5].sum())
    assert found[0].histogram_value.sum == pytest.approx(5, rel=1e-5)
