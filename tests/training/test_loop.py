"""The loop: exact resume, limits, the best checkpoint and the mean of the last, what it refuses."""

import csv
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from heedful._errors import DataError, HeedfulError, ModelFolderError, OutputError, RecipeError
from heedful.training import Ramp, TrainingInterrupted, average_weights, sequence_loss, train
from tests.training.tiny import WatchedFeed, held_out, options, tiny_dataset, tiny_model

ROOT = Path(__file__).resolve().parents[2]
CLOCKS = {"seconds", "tokens_per_second"}
FULL = {"average_last": 3, "label_smoothing": 0.1, "weight_decay": 0.01, "schedule": "cosine", "warmup_steps": 4}


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file without what depends on the clock."""
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in CLOCKS} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path, model: nn.Module, other_model: nn.Module):
    for name in ("batches.csv", "epochs.csv", "validations.csv"):
        assert rows(one / name) == rows(other / name), name
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other_model.state_dict()[name]), name
    checkpoints = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (one, other)]
    for content in checkpoints:
        del content["train_state"]["seconds"]
    for part in ("train_state", "made_with"):
        assert checkpoints[0][part] == checkpoints[1][part]
    for part in ("model", "optimizer"):
        torch.testing.assert_close(checkpoints[0][part], checkpoints[1][part], rtol=0, atol=0)
    weights = [sorted(path.name for path in (folder / "weights").iterdir()) for folder in (one, other)]
    assert weights[0] == weights[1]


class SignalAt(WatchedFeed):
    """Batches that send this process a signal while the batch of a step is fetched."""

    def __init__(self, step: int, number: int = signal.SIGINT):
        super().__init__(tiny_dataset())
        self.number, self.left = number, step

    def before_batch(self) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


# --- exact resume ---


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory) -> dict:
    """Runs that were never stopped, by `validate_every`."""
    runs = {}
    for every in (None, 3):
        folder, model = tmp_path_factory.mktemp("whole"), tiny_model()
        result = train(model, tiny_dataset(), held_out, options(**FULL, validate_every=every), folder, seed=5)
        runs[every] = folder, model, result
    return runs


# 8 batches an epoch: within it, before and at its end, and where validations are due.
@pytest.mark.parametrize(("step", "every"), [(1, None), (7, None), (8, None), (13, None), (16, 3), (18, 3), (19, 3)])
def test_an_interrupted_run_goes_on_to_the_same_weights_and_rows(tmp_path, whole_runs, step, every):
    how = options(**FULL, validate_every=every)
    whole_folder, whole, result = whole_runs[every]
    with pytest.raises(TrainingInterrupted, match=f"Stopped at step {step}; the same command goes on"):
        train(tiny_model(), SignalAt(step), held_out, how, tmp_path, seed=5)
    halved = tiny_model()
    again = train(halved, tiny_dataset(), held_out, how, tmp_path, seed=5)
    assert (again.step, again.metrics, again.best_step) == (result.step, result.metrics, result.best_step)
    assert_same_run(whole_folder, tmp_path, whole, halved)


def test_a_run_interrupted_at_every_step_goes_on_to_the_same(tmp_path):
    how = options(**FULL, max_steps=9, validate_every=2)
    whole, halved = tiny_model(), tiny_model()
    train(whole, tiny_dataset(), held_out, how, tmp_path / "whole")
    for run in range(9):
        with pytest.raises(TrainingInterrupted):
            # a run that goes on looks at its next batch before it begins
            train(tiny_model(), SignalAt(1 if run == 0 else 2), held_out, how, tmp_path / "halved")
    train(halved, SignalAt(2), held_out, how, tmp_path / "halved")
    assert_same_run(tmp_path / "whole", tmp_path / "halved", whole, halved)


def test_sigterm_is_heeded_too(tmp_path):
    with pytest.raises(TrainingInterrupted, match="Stopped at step 3"):
        train(tiny_model(), SignalAt(3, signal.SIGTERM), held_out, options(), tmp_path)


def test_a_signal_during_validation_stops_at_once_and_validates_again_on_resume(tmp_path):
    how, calls = options(**FULL), []

    def interrupted(model: nn.Module) -> dict[str, float]:
        calls.append("begun")
        signal.raise_signal(signal.SIGINT)
        calls.append("ended")
        return held_out(model)

    whole, halved = tiny_model(), tiny_model()
    train(whole, tiny_dataset(), held_out, how, tmp_path / "whole")
    with pytest.raises(TrainingInterrupted, match="Stopped at step 8"):
        train(halved, tiny_dataset(), interrupted, how, tmp_path / "halved")
    assert calls == ["begun"]
    assert halved.training
    train(halved, tiny_dataset(), held_out, how, tmp_path / "halved")
    assert_same_run(tmp_path / "whole", tmp_path / "halved", whole, halved)


def test_a_signal_while_the_mean_is_tried_loses_nothing(tmp_path):
    how, calls = options(**FULL, max_steps=16), []

    def interrupted_third(model: nn.Module) -> dict[str, float]:
        calls.append(model)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return held_out(model)

    whole, halved = tiny_model(), tiny_model()
    train(whole, tiny_dataset(), held_out, how, tmp_path / "whole")
    with pytest.raises(TrainingInterrupted, match="Stopped at step 16"):
        train(halved, tiny_dataset(), interrupted_third, how, tmp_path / "halved")
    train(halved, tiny_dataset(), held_out, how, tmp_path / "halved")
    assert_same_run(tmp_path / "whole", tmp_path / "halved", whole, halved)


KILLED = """
import os, sys
from pathlib import Path
from heedful.training import train
from tests.training.tiny import held_out, options, tiny_dataset, tiny_model

class Killed:
    def largest(self):
        return tiny_dataset().largest()
    def epoch(self, number):
        self.batches = tiny_dataset().epoch(number)
        return self
    def __len__(self):
        return len(self.batches)
    def __getitem__(self, place):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return self.batches[place]

left = int(sys.argv[2])
how = options(average_last=3, label_smoothing=0.1, weight_decay=0.01, schedule="cosine", warmup_steps=4)
train(tiny_model(), Killed(), held_out, how, Path(sys.argv[1]), seed=5)
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint_to_the_same(tmp_path, whole_runs):
    for last_batch in (5, 12):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(last_batch)]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert child.returncode == -signal.SIGKILL, child.stderr
    assert [row["step"] for row in rows(tmp_path / "validations.csv")] == ["8"]
    killed = tiny_model()
    train(killed, tiny_dataset(), held_out, options(**FULL), tmp_path, seed=5)
    assert_same_run(whole_runs[None][0], tmp_path, whole_runs[None][1], killed)


def test_the_same_call_after_the_end_gives_the_same_result_and_adds_no_rows(tmp_path):
    model = tiny_model()
    first = train(model, tiny_dataset(), held_out, options(**FULL), tmp_path)
    before = {path: rows(path) for path in tmp_path.glob("*.csv")}
    again = tiny_model()
    second = train(again, tiny_dataset(), held_out, options(**FULL), tmp_path)
    assert (second.metrics, second.best_step, second.averaged) == (first.metrics, first.best_step, first.averaged)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert before == {path: rows(path) for path in tmp_path.glob("*.csv")}


def test_a_higher_limit_goes_on_as_if_it_had_been_there_from_the_start(tmp_path):
    how = {"validate_every": 4, "average_last": 2}
    whole, longer = tiny_model(), tiny_model()
    train(whole, tiny_dataset(), held_out, options(max_steps=12, **how), tmp_path / "whole")
    train(longer, tiny_dataset(), held_out, options(max_steps=8, **how), tmp_path / "longer")
    train(longer, tiny_dataset(), held_out, options(max_steps=12, **how), tmp_path / "longer")
    assert all(torch.equal(tensor, longer.state_dict()[name]) for name, tensor in whole.state_dict().items())
    assert rows(tmp_path / "whole/batches.csv") == rows(tmp_path / "longer/batches.csv")


def test_another_seed_draws_another_dropout(tmp_path):
    for seed in (1, 2):
        train(tiny_model(), tiny_dataset(), held_out, options(max_steps=3), tmp_path / str(seed), seed=seed)
    assert rows(tmp_path / "1/batches.csv") != rows(tmp_path / "2/batches.csv")


def test_what_validation_draws_does_not_touch_training(tmp_path):
    def drawing(model: nn.Module) -> dict[str, float]:
        torch.rand(17)
        return held_out(model)

    one, other = tiny_model(), tiny_model()
    train(one, tiny_dataset(), held_out, options(), tmp_path / "one")
    train(other, tiny_dataset(), drawing, options(validate_every=3), tmp_path / "other")
    assert rows(tmp_path / "one/batches.csv") == rows(tmp_path / "other/batches.csv")


# --- what a step does ---


def test_a_run_is_adamw_on_the_mean_loss_over_real_tokens(tmp_path):
    how = options(max_steps=11, betas=[0.8, 0.95], weight_decay=0.1, gradient_clip=0.05, label_smoothing=0.2)
    how = how.model_copy(update={"schedule": "inverse_sqrt", "warmup_steps": 3, "validate_every": 11})
    model, other = tiny_model(dropout=0.0), tiny_model(dropout=0.0)
    train(model, tiny_dataset(), held_out, how, tmp_path)
    optimizer = torch.optim.AdamW(other.parameters(), lr=0.02, betas=(0.8, 0.95), weight_decay=0.1, foreach=False)
    batches = [*tiny_dataset().epoch(0), *tiny_dataset().epoch(1)][:11]
    recorded = rows(tmp_path / "batches.csv")
    for step, (batch, row) in enumerate(zip(batches, recorded, strict=True), start=1):
        optimizer.param_groups[0]["lr"] = 0.02 * min(step / 3, math.sqrt(3 / step))
        loss = sequence_loss(other, batch, smoothing=0.2)
        optimizer.zero_grad()
        (loss.total / loss.tokens).backward()
        norm = torch.cat([parameter.grad.flatten() for parameter in other.parameters()]).norm()
        assert norm > 0.05
        for parameter in other.parameters():
            parameter.grad *= 0.05 / norm
        optimizer.step()
        assert float(row["loss"]) == pytest.approx((loss.total / loss.tokens).item(), rel=1e-4)
        assert float(row["accuracy"]) == pytest.approx((loss.correct / loss.tokens).item(), rel=1e-4)
        assert float(row["learning_rate"]) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-5)
        assert float(row["gradient_norm"]) == pytest.approx(norm.item(), rel=1e-3)
        assert (int(row["step"]), int(row["tokens"])) == (step, batch.num_target_tokens)
        assert int(row["source_tokens"]) == batch.source_lengths.sum()
    torch.testing.assert_close(dict(model.state_dict()), dict(other.state_dict()), rtol=1e-3, atol=1e-4)


def test_without_clipping_the_gradient_is_left_as_it_is(tmp_path):
    one, other = tiny_model(), tiny_model()
    train(one, tiny_dataset(), held_out, options(max_steps=5, gradient_clip=None), tmp_path / "one")
    train(other, tiny_dataset(), held_out, options(max_steps=5, gradient_clip=1e9), tmp_path / "other")
    assert rows(tmp_path / "one/batches.csv") == rows(tmp_path / "other/batches.csv")


def test_the_row_of_an_epoch_is_the_mean_over_its_tokens(tmp_path):
    train(tiny_model(), tiny_dataset(), held_out, options(max_steps=None, max_epochs=2), tmp_path)
    batches, epochs = rows(tmp_path / "batches.csv"), rows(tmp_path / "epochs.csv")
    assert [row["epoch"] for row in epochs] == ["1", "2"]
    for row in epochs:
        own = [batch for batch in batches if batch["epoch"] == row["epoch"]]
        tokens = sum(int(batch["tokens"]) for batch in own)
        assert int(row["tokens"]) == tokens
        for name in ("loss", "accuracy"):
            mean = sum(float(batch[name]) * int(batch["tokens"]) for batch in own) / tokens
            assert float(row[name]) == pytest.approx(mean, rel=1e-4)


def test_teacher_forcing_follows_its_ramp(tmp_path):
    model = tiny_model()
    ramp = Ramp(start=1.0, end=0.5)
    how = options(max_steps=5, teacher_forcing=ramp, validate_every=100)
    train(model, tiny_dataset(), lambda model: {"loss": 1.0}, how, tmp_path)
    tried_beforehand = [0.5]
    assert model.forcing == pytest.approx([*tried_beforehand, 1.0, 0.9, 0.8, 0.7, 0.6])


def test_bf16_leaves_float32_weights_and_learns(tmp_path):
    model = tiny_model(dropout=0.0)
    before = held_out(model.eval())["loss"]
    result = train(model, tiny_dataset(), held_out, options(max_steps=40, precision="bf16"), tmp_path)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert result.metrics["loss"] < before


# --- limits, the best, the mean ---


def test_it_ends_with_the_last_epoch(tmp_path):
    result = train(tiny_model(), tiny_dataset(), held_out, options(max_steps=None, max_epochs=2), tmp_path)
    assert (result.stopped, result.epoch, result.step) == ("max_epochs", 2, 2 * len(tiny_dataset().epoch(0)))


def test_it_ends_with_the_last_second_and_counts_those_before_a_resume(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    how = options(max_steps=None, max_seconds=10.0, validate_every=1000, schedule="linear")

    def slow(model, batch, **given):
        now[0] += 1.5
        return sequence_loss(model, batch, **given)

    with pytest.raises(TrainingInterrupted):
        train(tiny_model(), SignalAt(3), held_out, how, tmp_path, loss=slow)
    now[0] = 5000.0
    result = train(tiny_model(), tiny_dataset(), held_out, how, tmp_path, loss=slow)
    assert (result.stopped, result.step, result.seconds) == ("max_seconds", 7, pytest.approx(10.5))
    rates = [float(row["learning_rate"]) for row in rows(tmp_path / "batches.csv")]
    assert rates == pytest.approx([0.02 * (1 - 0.15 * step) for step in range(7)], rel=1e-4)


def scripted(name: str, values: list[float]):
    """A validation whose metric takes given values, one after the other, then stays."""
    left = list(values)
    return lambda model: {name: left.pop(0) if len(left) > 1 else left[0]}


class Snapshots(dict[int, dict[str, torch.Tensor]]):
    """The weights at each validation, by step."""

    def on_validation(self, step, model, metrics):
        self[step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "values"), [("loss", [5.0, 3.0, 4.0, 3.0, 2.0]), ("bleu", [1.0, 20.0, 19.0, 20.0, 21.0])]
)
def test_it_ends_when_patience_does_and_keeps_the_best(tmp_path, name, values):
    model = tiny_model()
    how = options(max_steps=None, validate_every=2, best_by=name, patience=2)
    kept = Snapshots()
    result = train(model, tiny_dataset(), scripted(name, values), how, tmp_path, callbacks=[kept])
    assert (result.stopped, result.step, result.best_step, result.averaged) == ("patience", 8, 4, False)
    assert result.metrics == {name: values[1]}
    assert all(torch.equal(tensor, kept[4][name]) for name, tensor in model.state_dict().items())
    assert [row["best"] for row in rows(tmp_path / "validations.csv")] == ["1", "1", "0", "0"]
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["step-4.pt"]
    assert not model.training


def test_a_first_metric_that_is_no_number_is_beaten_by_any(tmp_path):
    values = [math.nan, 7.0, math.nan]
    result = train(tiny_model(), tiny_dataset(), scripted("loss", values), options(max_steps=24), tmp_path)
    assert (result.best_step, result.metrics) == (16, {"loss": 7.0})


@pytest.mark.parametrize(("of_mean", "averaged"), [(1.0, True), (9.0, False)])
def test_the_mean_of_the_last_is_kept_only_if_it_is_better(tmp_path, of_mean, averaged):
    model = tiny_model()
    how = options(max_steps=8, validate_every=2, average_last=3)
    validate = scripted("loss", [5.0, 4.0, 3.0, 6.0, of_mean])
    kept = Snapshots()
    result = train(model, tiny_dataset(), validate, how, tmp_path, callbacks=[kept])
    expected = average_weights(kept[step] for step in (4, 6, 8)) if averaged else kept[6]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    assert (result.averaged, result.best_step, result.metrics) == (averaged, 6, {"loss": 1.0 if averaged else 3.0})
    last = rows(tmp_path / "validations.csv")[-1]
    assert (last["weights"], last["best"]) == ("average", str(int(averaged)))


def test_checkpoints_come_every_so_many_minutes(tmp_path, monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slow(model, batch, **given):
        now[0] += 40.0
        path = tmp_path / "checkpoint.pt"
        written.append(torch.load(path, weights_only=True)["train_state"]["step"] if path.exists() else 0)
        return sequence_loss(model, batch, **given)

    how = options(max_steps=7, checkpoint_minutes=1.0, validate_every=5)
    train(tiny_model(), tiny_dataset(), held_out, how, tmp_path, loss=slow)
    assert written[1:] == [0, 0, 2, 2, 4, 5, 5]  # the first is tried beforehand


def test_a_callback_sees_the_model_as_validation_does(tmp_path):
    seen = []

    class Watcher:
        def on_validation(self, step, model, metrics):
            seen.append((step, model.training, torch.is_grad_enabled(), set(metrics)))

    train(
        tiny_model(), tiny_dataset(), held_out, options(max_steps=4, validate_every=2), tmp_path, callbacks=[Watcher()]
    )
    assert seen == [(step, False, False, {"loss", "perplexity", "accuracy"}) for step in (2, 4)]


# --- what it refuses ---


def test_another_option_or_seed_than_the_run_began_with_is_refused(tmp_path):
    train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path, seed=1)
    with pytest.raises(RecipeError, match=r"learning_rate is 0\.5, but the run in .* was begun with 0\.02"):
        train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2, learning_rate=0.5), tmp_path, seed=1)
    with pytest.raises(RecipeError, match=r"seed is 2, but the run in .* was begun with 1"):
        train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path, seed=2)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path)
    model = tiny_model()
    model.out = nn.Linear(5, 17)
    with pytest.raises(ModelFolderError, match=r"checkpoint\.pt holds another model"):
        train(model, tiny_dataset(), held_out, options(max_steps=2), tmp_path)


def test_a_checkpoint_that_was_cut_off_is_refused(tmp_path):
    train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelFolderError, match=r"checkpoint\.pt is cut off"):
        train(tiny_model(), tiny_dataset(), held_out, options(max_steps=2), tmp_path)


def test_a_loss_that_is_no_number_ends_the_run_and_spoils_no_checkpoint(tmp_path):
    def breaking(model, batch, **given):
        loss = sequence_loss(model, batch, **given)
        calls = len(getattr(model, "module", model).forcing)  # the first is tried beforehand
        return loss._replace(total=loss.total * (math.nan if calls == 1 + 11 else 1))

    with pytest.raises(
        HeedfulError, match=r"at step 11 the loss was nan .* gradient_clip; .*checkpoint\.pt is from before$"
    ):
        train(tiny_model(), tiny_dataset(), lambda model: {"loss": 1.0}, options(), tmp_path, loss=breaking)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert content["train_state"]["step"] == 8
    assert all(tensor.isfinite().all() for tensor in content["model"].values())


def test_a_metric_that_validation_does_not_give_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="best_by is 'bleu', but validation gives only loss, perplexity, accuracy"):
        train(tiny_model(), tiny_dataset(), held_out, options(best_by="bleu"), tmp_path)


def test_data_without_a_batch_are_refused(tmp_path):
    with pytest.raises(DataError, match="no batch at all"):
        train(tiny_model(), tiny_dataset(pairs=0), held_out, options(), tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/run: .*file is a file, not a folder"):
        train(tiny_model(), tiny_dataset(), held_out, options(), tmp_path / "file" / "run")
