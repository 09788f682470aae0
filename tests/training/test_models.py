"""The loop over the real models: exact resume for every wiring, and with scheduled sampling."""

from pathlib import Path

import pytest
import torch
from torch import nn

from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from heedful.training import Ramp, TrainingInterrupted, train
from tests.training.test_loop import SignalAt, rows
from tests.training.tiny import VOCABULARY, held_out, options, tiny_dataset


def model(wiring: str) -> nn.Module:
    torch.manual_seed(11)
    attention = "none" if wiring == "none" else "luong" if "luong" in wiring else "bahdanau"
    sizes = {"embedding_dim": 6, "units": 5, "encoder_layers": 2, "dropout": 0.3, "tie_embeddings": True}
    sizes["decoder_layers"] = 2 if wiring == "look_between" else 1
    return build_model(ModelOptions.model_validate({"attention": attention, "wiring": wiring, **sizes}), 11, VOCABULARY)


@pytest.mark.parametrize(
    ("wiring", "end"),
    [("bahdanau", 1.0), ("luong", 0.2), ("luong_input_feeding", 0.2), ("look_between", 1.0), ("none", 1.0)],
)
def test_a_real_model_goes_on_to_the_same(tmp_path: Path, wiring, end):
    how = options(max_steps=6, validate_every=4, teacher_forcing=Ramp(start=1.0, end=end))
    whole, halved = model(wiring), model(wiring)
    train(whole, tiny_dataset(), held_out, how, tmp_path / "whole", seed=5)
    with pytest.raises(TrainingInterrupted, match="Stopped at step 3"):
        train(halved, SignalAt(3), held_out, how, tmp_path / "halved", seed=5)
    halved = model(wiring)
    train(halved, tiny_dataset(), held_out, how, tmp_path / "halved", seed=5)
    assert rows(tmp_path / "whole/batches.csv") == rows(tmp_path / "halved/batches.csv")
    assert all(torch.equal(tensor, halved.state_dict()[name]) for name, tensor in whole.state_dict().items())
