"""The layers in models: masks, lengths, files, precision, compilation, export; and who loads torch."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.keras.rows import ROWS
from tests.keras.running import BACKEND, hk, keras, numpy_of

layers = keras.layers
LAYERS = sorted({name for name in dir(hk) if isinstance(getattr(hk, name), type)} - {"AttentionRecorder"})


def many_to_one(score="luong", length=9):
    """A model as the old package's users had them."""
    inputs = keras.Input((length,), dtype="int32")
    steps = layers.LSTM(4, return_sequences=True)(layers.Embedding(11, 3, mask_zero=True)(inputs))
    return keras.Model(inputs, layers.Dense(1)(hk.Attention(5, score)(steps)))


def everything():
    """A functional model that holds every layer, beside those of Keras of the same names."""
    source, target = keras.Input((9,), dtype="int32"), keras.Input((4,), dtype="int32")
    steps, asking = [layers.Embedding(11, 6, mask_zero=True)(tokens) for tokens in (source, target)]
    pair = [asking, steps]
    sequence = hk.TemporalAttention()(steps)
    context, weights = hk.AttentionLayer(5)([steps, asking])
    outputs = [
        hk.Attention(4)(sequence),
        hk.Attention(4, "bahdanau", kernel_regularizer="l2")(steps),
        hk.FeatureAttention()(hk.AttentionPooling(3)((steps, sequence))),
        hk.SelfAttentivePooling(3, 2)(steps),
        hk.AdditiveAttention(5, dropout=0.2, seed=1)(pair),
        hk.DotAttention(kernel_initializer=keras.initializers.HeNormal(seed=3))(pair, use_causal_mask=True),
        hk.SineAttention(5, harmonics=2)(pair),
        hk.LuongLocalAttention(score="dot", half_width=2)(pair),
        hk.AttentionDecoder(11, 3, 5, hk.DotAttention())([target, steps]),
        hk.AttentionDecoder(11, 3, 5, hk.AdditiveAttention(4), "bahdanau", cell="lstm")([target, steps]),
        layers.Attention()(pair),
        layers.Attention(score_mode="concat")(pair),
        layers.AdditiveAttention()(pair),
        context,
        weights,
    ]
    return keras.Model([source, target], outputs)


RNG = np.random.default_rng(4)
TOKENS = RNG.integers(1, 11, (3, 9)) * (np.arange(9) < np.array([[9], [4], [1]]))
TARGET = RNG.integers(1, 11, (3, 4)) * (np.arange(4) < np.array([[4], [2], [1]]))


def test_the_model_of_all_layers_holds_them_all():
    held = {type(layer).__name__ for layer in everything().layers if type(layer).__module__.startswith("heedful.")}
    assert held == set(LAYERS)


@pytest.mark.parametrize("ending", ["keras", "h5", "weights.h5"])
def test_saved_and_loaded_without_custom_objects_it_predicts_the_same(tmp_path, ending):
    model = everything()
    wanted = [numpy_of(out) for out in model([TOKENS, TARGET])]
    path = tmp_path / f"model.{ending}"
    if ending == "weights.h5":
        model.save_weights(path)
        loaded = everything()
        loaded.load_weights(path)
    else:
        keras.saving.save_model(model, path)
        loaded = keras.saving.load_model(path)
    for found, out in zip(loaded([TOKENS, TARGET]), wanted, strict=True):
        np.testing.assert_array_equal(numpy_of(found), out)


@pytest.mark.parametrize("score", ["luong", "bahdanau"])
@pytest.mark.parametrize("known", [{}, {"Attention": hk.Attention}])
def test_the_old_readme_runs_after_one_import_changed(score, known, tmp_path):
    inputs = keras.Input(shape=(10, 1))
    steps = layers.LSTM(16, return_sequences=True)(inputs)
    model = keras.Model(inputs, layers.Dense(1)(hk.Attention(units=32, score=score)(steps)))
    model.compile(loss="mae", optimizer="adam")
    rows = np.random.default_rng(0).uniform(size=(20, 10, 1))
    model.fit(rows, rows[:, 0], epochs=1, verbose=0)
    model.save(tmp_path / "model.h5")
    again = keras.models.load_model(tmp_path / "model.h5", custom_objects=known)
    np.testing.assert_array_equal(again.predict(rows, verbose=0), model.predict(rows, verbose=0))
    assert again.evaluate(rows, rows[:, 0], verbose=0) == pytest.approx(model.evaluate(rows, rows[:, 0], verbose=0))


@pytest.mark.parametrize("name", ROWS)
def test_the_configuration_builds_the_same_layer(name):
    layer = ROWS[name].build()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)) == f"heedful>{type(layer).__name__}"


def test_padding_changes_nothing():
    for score in ("luong", "bahdanau"):
        model = many_to_one(score, length=None)
        short, long = TOKENS[1:2, :4], np.pad(TOKENS[1:2, :4], ((0, 0), (0, 5)))
        np.testing.assert_allclose(numpy_of(model(short)), numpy_of(model(long)), atol=1e-12)


def looping():
    """A model of the layers that loop, over queries and over steps."""
    source, target = keras.Input((9,), dtype="int32"), keras.Input((4,), dtype="int32")
    steps, asking = [layers.Embedding(11, 6, mask_zero=True)(tokens) for tokens in (source, target)]
    decoder = hk.AttentionDecoder(11, 3, 5, hk.AdditiveAttention(4), "bahdanau")
    return keras.Model([source, target], [decoder([target, steps]), hk.AdditiveAttention(5)([asking, steps])])


# JAX compiles by itself
COMPILED = pytest.param(looping, True, marks=pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's XLA"))


@pytest.mark.parametrize(("build", "jit"), [(everything, "auto" if BACKEND == "jax" else False), COMPILED])
def test_every_layer_learns_in_fit_compiled_or_not(build, jit):
    keras.utils.set_random_seed(3)
    model = build()
    model.compile("adam", ["mse"] * len(model.outputs), jit_compile=jit)
    targets = [np.zeros((3, *out.shape[1:])) for out in model.outputs]
    before = model.get_weights()
    history = model.fit([TOKENS, TARGET], targets, epochs=6, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    still = [
        weight.path
        for weight, old in zip(model.weights, before, strict=True)
        if np.array_equal(numpy_of(weight.value), old) and not weight.path.startswith("attention_layer")
    ]
    assert not still


COMPILING = """
import numpy as np
import keras
import heedful.keras as hk

asking, steps = keras.Input((4, 2)), keras.Input((7, 5))
model = keras.Model([asking, steps], hk.AdditiveAttention(6)([asking, steps]))
model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=True)
inputs = [np.random.default_rng(0).standard_normal((3, *shape)) for shape in ((4, 2), (7, 5))]
losses = model.fit(inputs, np.zeros((3, 4, 5)), epochs=4, verbose=0).history["loss"]
assert losses[-1] < losses[0], losses
"""


@pytest.mark.skipif(BACKEND != "torch" or not shutil.which("g++"), reason="PyTorch's compiler, which needs another")
def test_a_layer_learns_in_fit_compiled_by_pytorch():
    in_a_process_of_its_own(COMPILING)  # PyTorch's compiler cannot see through the shape checker


def test_half_precision_is_close_and_what_it_says():
    for row in ("luong", "bahdanau", "additive", "local-p", "pooling", "hops", "temporal"):
        full = ROWS[row].build()
        half = type(full).from_config({**full.get_config(), "dtype": "mixed_float16"})
        inputs = ROWS[row].inputs
        shape = keras.tree.map_structure(lambda array: array.shape, inputs)
        full.build(shape)
        half.build(shape)
        half.set_weights(full.get_weights())
        wanted = numpy_of(full(inputs, mask=ROWS[row].mask))
        found = half(inputs, mask=ROWS[row].mask)
        assert keras.backend.standardize_dtype(found.dtype) == "float16"
        assert all(weight.dtype == "float32" for weight in half.weights)
        np.testing.assert_allclose(numpy_of(found), wanted, atol=2e-2)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras on PyTorch writes no SavedModel")
@pytest.mark.filterwarnings("ignore:The `native_serialization` parameter is deprecated:DeprecationWarning")
@pytest.mark.parametrize("build", [lambda: many_to_one("bahdanau", length=None), everything, looping])
def test_an_exported_model_answers_as_it_did(build, tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow reads and writes a SavedModel")
    model = build()
    inputs = [TOKENS, TARGET][: len(model.inputs)]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    for found, wanted in zip(tf.nest.flatten(served.serve(inputs)), keras.tree.flatten(model(inputs)), strict=True):
        np.testing.assert_allclose(found, numpy_of(wanted), atol=1e-6)


TORCHLESS = """
import sys
import numpy as np
import keras
import heedful.keras as hk

model = keras.Sequential([keras.Input((7, 5)), hk.Attention(3, "bahdanau"), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(np.ones((4, 7, 5)), np.ones((4, 1)), verbose=0)
assert hk.attention_weights(model, np.ones((2, 7, 5))).shape == (2, 7)
decoder = hk.AttentionDecoder(9, 3, 4, hk.DotAttention())
decoder([np.ones((2, 3), "int32"), np.ones((2, 7, 5))])
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"torch", "tensorflow", "jax"}))
"""


@pytest.mark.skipif(BACKEND == "torch", reason="torch is what this backend is")
def test_users_of_other_backends_never_load_torch():
    loaded = in_a_process_of_its_own(TORCHLESS).split()
    assert BACKEND in loaded
    assert "torch" not in loaded


def in_a_process_of_its_own(script):
    """What it prints."""
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout
