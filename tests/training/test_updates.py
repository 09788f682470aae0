"""What an update does: optimisers, rates, accumulated batches, the average over time; each against a loop by hand."""

import math

import pytest
import torch
from torch import nn

from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from heedful.training import sequence_loss, train
from tests.training.test_loop import rows, scripted
from tests.training.tiny import VOCABULARY, held_out, options, tiny_dataset, tiny_model

PLAIN = {"gradient_clip": None, "max_steps": 7, "validate_every": 7}


def by_hand(update, accumulate: int = 1, steps: int = 7) -> list[dict[str, torch.Tensor]]:
    """The weights after each of `steps` updates, in float64; `update(weight, gradient, memory, step)` changes one."""
    model = tiny_model(dropout=0.0).double()
    memory = [{} for _ in model.parameters()]
    epochs = [tiny_dataset().epoch(number) for number in range(4)]
    groups = [
        [epoch[i] for i in range(first, min(first + accumulate, len(epoch)))]
        for epoch in epochs
        for first in range(0, len(epoch), accumulate)
    ]
    path = []
    for step, group in enumerate(groups[:steps], start=1):
        losses = [sequence_loss(model, batch) for batch in group]
        (sum(loss.total for loss in losses) / sum(int(loss.tokens) for loss in losses)).backward()
        with torch.no_grad():
            for weight, own in zip(model.parameters(), memory, strict=True):
                update(weight, weight.grad, own, step)
                weight.grad = None
        path.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    return path


def sgd(rate: float = 0.02, momentum: float = 0.0, decay: float = 0.0):
    def update(weight, gradient, memory, step):
        gradient = gradient + decay * weight
        memory["v"] = momentum * memory.get("v", 0.0) + gradient
        weight -= rate * memory["v"]

    return update


def adam(rate: float = 0.02, first: float = 0.8, second: float = 0.95, decay: float = 0.0):
    def update(weight, gradient, memory, step):
        gradient = gradient + decay * weight
        memory["m"] = first * memory.get("m", 0.0) + (1 - first) * gradient
        memory["s"] = second * memory.get("s", 0.0) + (1 - second) * gradient**2
        mean, square = memory["m"] / (1 - first**step), memory["s"] / (1 - second**step)
        weight -= rate * mean / (square.sqrt() + 1e-8)

    return update


def trained(folder, **changes) -> nn.Module:
    model = tiny_model(dropout=0.0)
    train(model, tiny_dataset(), lambda _: {"loss": 1.0}, options(**{**PLAIN, **changes}), folder)
    return model


def assert_weights(model: nn.Module, expected: dict[str, torch.Tensor]):
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("changes", "update"),
    [
        ({"optimizer": "sgd", "momentum": 0.0}, sgd()),
        ({"optimizer": "sgd", "momentum": 0.7, "weight_decay": 0.1}, sgd(momentum=0.7, decay=0.1)),
        ({"optimizer": "adam", "betas": [0.8, 0.95], "weight_decay": 0.1}, adam(decay=0.1)),
    ],
)
def test_an_optimizer_is_its_formula(tmp_path, changes, update):
    assert_weights(trained(tmp_path, **changes), by_hand(update)[-1])


@pytest.mark.parametrize("accumulate", [2, 3, 100])
def test_accumulated_batches_are_one_large_batch_and_the_last_of_an_epoch_a_smaller_one(tmp_path, accumulate):
    changes = {"optimizer": "sgd", "momentum": 0.0, "accumulate": accumulate, "max_steps": 4}
    assert_weights(trained(tmp_path, **changes), by_hand(sgd(), accumulate, steps=4)[-1])
    batches = [batch.num_target_tokens for number in range(4) for batch in tiny_dataset().epoch(number)]
    per_epoch = len(tiny_dataset().epoch(0))
    ends = [min(first + accumulate, per_epoch) for first in range(0, per_epoch, accumulate)]
    sizes, start = [], 0
    for epoch in range(4):
        for end in ends:
            sizes.append(sum(batches[start : epoch * per_epoch + end]))
            start = epoch * per_epoch + end
    assert [int(row["tokens"]) for row in rows(tmp_path / "batches.csv")] == sizes[:4]


def test_the_average_over_time_is_its_formula_and_what_is_validated_and_kept(tmp_path):
    path = by_hand(sgd())
    average = {name: tensor.double() for name, tensor in tiny_model().state_dict().items()}
    seen = []
    for step, weights in enumerate(path, start=1):
        decay = min(0.4, (1 + step) / (10 + step))
        average = {name: decay * old + (1 - decay) * weights[name] for name, old in average.items()}
        seen.append(average)

    def validate(model):
        validated.append({name: tensor.clone().double() for name, tensor in model.state_dict().items()})
        return {"loss": 1.0}

    validated, model = [], tiny_model(dropout=0.0)
    how = options(**{**PLAIN, "validate_every": 3}, optimizer="sgd", momentum=0.0, ema=0.4)
    result = train(model, tiny_dataset(), validate, how, tmp_path)
    for step, found in zip((3, 6, 7), validated, strict=True):
        torch.testing.assert_close(found, seen[step - 1], rtol=1e-4, atol=1e-5)
    assert result.best_step == 3
    assert_weights(model, seen[2])
    assert (seen[2]["out.weight"] - path[2]["out.weight"]).abs().max() > 1e-4


def test_the_decoder_has_a_rate_of_its_own(tmp_path):
    def change(**rates) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = build_model(ModelOptions(embedding_dim=6, units=5, dropout=0.0), VOCABULARY, VOCABULARY)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        how = options(optimizer="sgd", momentum=0.0, gradient_clip=None, max_steps=1, **rates)
        train(model, tiny_dataset(), lambda _: {"loss": 1.0}, how, folder)
        return {name: tensor - before[name] for name, tensor in model.state_dict().items()}

    common, apart = change(learning_rate=0.1), change(learning_rate=0.1, decoder_learning_rate=0.3)
    assert {name.partition(".")[0] for name in common} == {"encoder", "decoder", "embedding", "output"}
    for name, step in common.items():
        times = 1 if name.startswith("encoder.") else 3
        torch.testing.assert_close(apart[name], times * step, rtol=1e-3, atol=1e-7, msg=name)
        assert step.abs().max() > 0, name


def test_plateaus_cut_the_rate_after_the_warm_up(tmp_path):
    values = [5.0, 6.0, 5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 1.0, 2.0]
    how = options(
        schedule="plateau", plateau_patience=2, plateau_factor=0.25, warmup_steps=2, max_steps=20, validate_every=2
    )
    train(tiny_model(), tiny_dataset(), scripted("loss", values), how, tmp_path)
    rates = [float(row["learning_rate"]) for row in rows(tmp_path / "batches.csv")]
    # Worse at 4 and 6: cut. Better at 8; no better at 10 and 12, at 14 and 16: cut twice. Better at 18.
    factors = [0.5, *[1.0] * 5, *[0.25] * 6, *[0.25**2] * 4, *[0.25**3] * 4]
    assert rates == pytest.approx([0.02 * factor for factor in factors], rel=1e-4)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_two_runs_with_one_seed_have_the_same_weights_and_another_seed_others(tmp_path, ema):
    how = options(max_steps=9, ema=ema, accumulate=2)
    models = [tiny_model() for _ in range(3)]
    for number, (model, seed) in enumerate(zip(models, (1, 1, 2), strict=True)):
        train(model, tiny_dataset(), held_out, how, tmp_path / str(number), seed=seed)
    one, same, other = ([*model.parameters()] for model in models)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_float16_scales_its_loss_leaves_out_what_overflows_and_goes_on_from_the_same_scale(tmp_path, monkeypatch):
    # Fabric has no float16 on a CPU; torch's autocast and scaler have, and are what runs on a GPU.
    from lightning_fabric.plugins.precision.amp import MixedPrecision

    from heedful.training import processes

    monkeypatch.setattr(processes, "_check_devices", lambda options: None)
    monkeypatch.setitem(processes.PRECISIONS, "16", "bf16-mixed")
    made = []

    def scaled(precision, device, scaler=None):
        made.append(original("16-mixed", device, torch.amp.GradScaler(device, init_scale=2.0**40, growth_interval=5)))
        return made[-1]

    original = MixedPrecision
    monkeypatch.setattr("lightning_fabric.connector.MixedPrecision", scaled)
    how = {"precision": "16", "device": "auto", "gradient_clip": 1.0}
    whole, halved = tiny_model(), tiny_model()
    train(whole, tiny_dataset(), held_out, options(**how, max_steps=40), tmp_path / "whole")
    assert 1 < made[-1].scaler.get_scale() < 2.0**39
    norms = [float(row["gradient_norm"]) for row in rows(tmp_path / "whole/batches.csv")]
    assert any(map(math.isinf, norms))
    assert all(map(math.isfinite, norms[-5:]))
    train(halved, tiny_dataset(), held_out, options(**how, max_steps=16, validate_every=8), tmp_path / "halved")
    train(halved, tiny_dataset(), held_out, options(**how, max_steps=40, validate_every=8), tmp_path / "halved")
    assert rows(tmp_path / "whole/batches.csv") == rows(tmp_path / "halved/batches.csv")
