"""Files of the real package `attention` 5.0.0 (see attention_5/make.py) load, and predict what they did."""

from pathlib import Path

import numpy as np
import pytest

from tests.keras.running import hk, keras

OLD = Path(__file__).parent / "attention_5"


def old_model(score, units=5):
    """The model of make.py, with our layer."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((9,)),
            layers.Embedding(11, 4, dtype="float32"),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True, dtype="float32"), dtype="float32"),
            hk.Attention(units, score, dtype="float32"),
            layers.Dense(1, "sigmoid", dtype="float32"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    return model


@pytest.mark.parametrize("ending", ["h5", "keras", "weights.h5"])
@pytest.mark.parametrize("score", ["luong", "bahdanau"])
def test_predictions_are_those_of_the_old_package(score, ending):
    model, known = old_model(score), np.load(OLD / "predictions.npz")
    hk.load_attention_weights(model, OLD / f"{score}.{ending}")
    np.testing.assert_allclose(model.predict(known["tokens"], verbose=0), known[score], atol=1e-5)


@pytest.mark.parametrize("ending", ["h5", "keras", "weights.h5"])
@pytest.mark.parametrize(("score", "units"), [("bahdanau", 5), ("luong", 4)])
def test_what_does_not_fit_leaves_the_model_as_it_was(score, units, ending):
    model = old_model(score, units)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"luong.* does not fit the model .*expected the old model's layers"):
        hk.load_attention_weights(model, OLD / f"luong.{ending}")
    for kept, weight in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, weight)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "notes.h5").write_text("no weights")
    with pytest.raises(ValueError, match=r"notes.h5 is no file of weights; expected what model.save"):
        hk.load_attention_weights(old_model("luong"), tmp_path / "notes.h5")
