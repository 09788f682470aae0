"""`compile: true`: the same curve as without, whatever the lengths, and exact resume."""

import pytest
import torch

from heedful.training import TrainingInterrupted, train
from tests.training.test_loop import SignalAt, rows
from tests.training.test_models import model
from tests.training.tiny import held_out, options, tiny_dataset

pytestmark = [
    pytest.mark.compile,
    # torch's own, when inductor is loaded
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]


def compiled(folder, batches, wiring="bahdanau", **changes):
    torch.compiler.reset()
    one = model(wiring)
    for module in one.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    how = options(max_steps=6, validate_every=4, **changes)
    train(one, batches, held_out, how, folder, seed=5)
    return one


def test_a_compiled_model_draws_the_same_curve(tmp_path):
    torch._dynamo.utils.counters.clear()
    for name, wanted in (("plain", False), ("compiled", True)):
        compiled(tmp_path / name, tiny_dataset(), "luong", compile=wanted)
        assert (torch._dynamo.utils.counters["frames"]["ok"] > 0) == wanted
    plain, other = (rows(tmp_path / name / "batches.csv") for name in ("plain", "compiled"))
    assert [float(row["loss"]) for row in other] == pytest.approx([float(row["loss"]) for row in plain], rel=1e-4)


def test_a_compiled_run_goes_on_to_the_same_weights(tmp_path):
    whole = compiled(tmp_path / "whole", tiny_dataset(), compile=True)
    with pytest.raises(TrainingInterrupted):
        compiled(tmp_path / "halved", SignalAt(3), compile=True)
    halved = compiled(tmp_path / "halved", tiny_dataset(), compile=True)
    assert rows(tmp_path / "whole/batches.csv") == rows(tmp_path / "halved/batches.csv")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halved.parameters(), strict=True))
