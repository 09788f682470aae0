"""Weights come out of any model, and out of a training as pictures."""

import numpy as np
import pytest
from PIL import Image

from tests.keras.rows import QUERY, SEQUENCE
from tests.keras.running import hk, keras, numpy_of


def sequential():
    model = keras.Sequential([keras.Input((None, 5)), hk.Attention(3, "bahdanau", name="look"), keras.layers.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    return model


def test_they_are_those_that_the_layer_returns_itself():
    model = sequential()
    _, wanted = model.layers[0](SEQUENCE, return_attention_scores=True)
    predicted = model.predict(SEQUENCE, verbose=0)
    np.testing.assert_array_equal(hk.attention_weights(model, SEQUENCE), numpy_of(wanted))
    # nothing is left behind
    assert "call" not in vars(model.layers[0])
    np.testing.assert_array_equal(model.predict(SEQUENCE, verbose=0), predicted)


def test_a_mask_of_the_model_reaches_the_layer():
    tokens = np.array([[3, 4, 0, 0], [5, 0, 0, 0]])
    model = keras.Sequential([keras.Input((4,)), keras.layers.Embedding(9, 5, mask_zero=True), hk.AttentionPooling(3)])
    weights = hk.attention_weights(model, tokens)
    np.testing.assert_array_equal(weights > 0, tokens > 0)


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """Two attention layers, one of them Keras' own, inside a part."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.ours, self.theirs = hk.AttentionLayer(4, name="ours"), keras.layers.Attention(name="theirs")

    def call(self, inputs):
        source, target = inputs
        context, weights = self.ours([source, target])
        return self.theirs([context, source]), weights


def test_in_a_subclassed_model_each_is_found_by_name():
    model = Subclassed()
    model([SEQUENCE, QUERY])
    weights = hk.attention_weights(model, [SEQUENCE, QUERY], layer="ours")
    np.testing.assert_allclose(weights, numpy_of(model([SEQUENCE, QUERY])[1]), atol=1e-6)
    assert hk.attention_weights(model, [SEQUENCE, QUERY], layer="theirs").shape == (3, 4, 7)
    with pytest.raises(ValueError, match=r"these attention layers: 'ours', 'theirs'; expected one, or say which"):
        hk.attention_weights(model, [SEQUENCE, QUERY])
    with pytest.raises(ValueError, match=r"layer is 'other'; expected one of .*: 'ours', 'theirs'"):
        hk.attention_weights(model, [SEQUENCE, QUERY], layer="other")


def test_every_epoch_leaves_a_picture(tmp_path):
    model = sequential()
    recorder = hk.AttentionRecorder(SEQUENCE[:2], tmp_path / "frames", truth=np.eye(2, 7))
    model.fit(SEQUENCE, SEQUENCE[:, 0, :1], epochs=2, verbose=0, callbacks=[recorder])
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["attention.gif", "epoch_000.png", "epoch_001.png", "epoch_002.png"]
    with Image.open(tmp_path / "frames" / "attention.gif") as animation:
        assert animation.n_frames == 3
    first, _, last = recorder.snapshots
    assert first.caption == "epoch 0"
    assert last.caption.startswith("epoch 2   ·   loss ")
    np.testing.assert_allclose(last.alignment.weights[:2], hk.attention_weights(model, SEQUENCE[:2]), atol=1e-12)
    np.testing.assert_array_equal(last.alignment.weights[2:], np.eye(2, 7))


def test_long_inputs_make_small_pictures(tmp_path):
    model = sequential()
    long = np.random.default_rng(1).standard_normal((3, 300, 5))
    recorder = hk.AttentionRecorder(long, tmp_path)
    model.fit(long, long[:, 0, :1], epochs=1, verbose=0, callbacks=[recorder])
    for name in ("epoch_000.png", "epoch_001.png", "attention.gif"):
        with Image.open(tmp_path / name) as picture:
            assert max(picture.size) < 1500
            # the largest weight is as dark as can be
            assert np.asarray(picture.convert("L")).min() < 60


@pytest.mark.parametrize(("name", "has"), [("columns", 7), ("rows", 2)])
def test_labels_that_do_not_fit_are_refused_before_the_first_epoch(name, has, tmp_path):
    recorder = hk.AttentionRecorder(SEQUENCE[:2], tmp_path, **{name: ["a", "b", "c"]})
    with pytest.raises(ValueError, match=f"{name} has 3 labels; expected {has}, as many as the picture has {name}"):
        sequential().fit(SEQUENCE, SEQUENCE[:, 0, :1], verbose=0, callbacks=[recorder])
