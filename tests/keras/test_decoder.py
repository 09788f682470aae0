"""The decoder learns with `fit`, and says step by step what it would say of the whole."""

import numpy as np
import pytest

from tests.keras.rows import SEEN, SEQUENCE, additive, general, local, pair
from tests.keras.running import hk, keras, numpy_of, weights_of

START, END = 1, 2
MASK = np.where(SEEN.any(1, keepdims=True), SEEN, np.arange(7) < 2)
WIRINGS = {
    "bahdanau": ("bahdanau", False, "lstm", lambda: hk.AdditiveAttention(4)),
    "luong": ("luong", False, "gru", lambda: hk.LuongLocalAttention(half_width=2)),
    "luong, input feeding": ("luong", True, "gru", lambda: hk.DotAttention()),
}


def decoder(name, words=9, units=6):
    wiring, feeding, cell, attention = WIRINGS[name]
    return hk.AttentionDecoder(words, 3, units, attention(), wiring, feeding, cell)


def with_any_weights(name):
    layer = decoder(name)
    layer.build([(3, 6), SEQUENCE.shape])
    rng = np.random.default_rng(6)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    return layer


def sigmoid(numbers):
    return 1 / (1 + np.exp(-numbers))


def gru(w, inputs, state):
    """Cho et al. 2014 with the reset behind the product, as cuDNN and Keras have it."""
    (hidden,) = state
    given, kept = inputs @ w["kernel"] + w["bias"][0], hidden @ w["recurrent_kernel"] + w["bias"][1]
    update, reset, _ = np.split(sigmoid(given + kept), 3)
    fresh = np.tanh(np.split(given, 3)[2] + reset * np.split(kept, 3)[2])
    return [update * hidden + (1 - update) * fresh]


def lstm(w, inputs, state):
    hidden, cell = state
    gates = np.split(inputs @ w["kernel"] + hidden @ w["recurrent_kernel"] + w["bias"], 4)
    cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * np.tanh(gates[2])
    return [sigmoid(gates[3]) * np.tanh(cell), cell]


LOOKS = {"bahdanau": pair(additive), "luong": pair(general, local), "luong, input feeding": pair(general)}


def formula(name, layer, tokens, source, seen):
    """Logits and weights of one batch item, token after token, from the equations."""
    wiring, feeding, kind, _ = WIRINGS[name]
    w = weights_of(layer)
    cell, attention = [
        {path.split("/")[-1]: matrix for path, matrix in w.items() if part in path.split("/")[0]}
        for part in ("recurrent", "attention")
    ]
    state = [np.tanh(source[seen].mean(0) @ w["bridge/kernel"] + w["bridge/bias"])]
    state = state if kind == "gru" else [*state, np.zeros_like(state[0])]
    features, logits, looked = np.zeros_like(state[0]), [], []

    def look(hidden):
        context, weights = LOOKS[name](attention, [hidden[None], source], [np.ones(1, bool), seen])
        looked.append(weights[0])
        return context[0]

    for token in tokens:
        word = w["embedding/embeddings"][token]
        if wiring == "bahdanau":
            context = look(state[0])
            state = {"gru": gru, "lstm": lstm}[kind](cell, np.concatenate([word, context]), state)
            together = np.concatenate([state[0], word, context])
        else:
            inputs = np.concatenate([word, features]) if feeding else word
            state = {"gru": gru, "lstm": lstm}[kind](cell, inputs, state)
            together = np.concatenate([look(state[0]), state[0]])
        features = np.tanh(together @ w["combine/kernel"] + w.get("combine/bias", 0))
        logits.append(features @ w["readout/kernel"] + w["readout/bias"])
    return np.stack(logits), np.stack(looked)


@pytest.mark.parametrize("name", WIRINGS)
def test_it_is_its_equations(name):
    layer = with_any_weights(name)
    tokens = np.random.default_rng(7).integers(1, 9, (3, 4))
    logits, weights = layer([tokens, SEQUENCE], mask=[None, MASK], return_attention_scores=True)
    for item in range(3):
        wanted, looked = formula(name, layer, tokens[item], SEQUENCE[item], MASK[item])
        np.testing.assert_allclose(numpy_of(logits)[item], wanted, atol=1e-10)
        np.testing.assert_allclose(numpy_of(weights)[item], looked, atol=1e-10)


@pytest.mark.parametrize("name", WIRINGS)
def test_what_it_says_greedily_is_what_it_would_say_of_the_whole(name):
    layer = with_any_weights(name)
    tokens, weights = layer.greedy(SEQUENCE, START, END, max_steps=6, mask=MASK)
    for row in tokens:
        (ends,) = np.flatnonzero(row == END)[:1] if (row == END).any() else (len(row),)
        assert not row[ends + 1 :].any()
    so_far = np.concatenate([np.full((3, 1), START), tokens[:, :-1]], 1)
    logits, whole = layer([so_far, SEQUENCE], mask=[None, MASK], return_attention_scores=True)
    said = tokens > 0
    np.testing.assert_array_equal(numpy_of(logits).argmax(-1)[said], tokens[said])
    np.testing.assert_allclose(weights[said], numpy_of(whole)[said], atol=1e-12)
    assert not weights[:, :, :][~np.broadcast_to(MASK[:, None], weights.shape)].any()


def test_it_starts_as_it_is_told_and_pays_for_its_matrices():
    layer = hk.AttentionDecoder(9, 3, 6, hk.AdditiveAttention(4), kernel_initializer="ones", kernel_regularizer="l2")
    layer.build([(3, 4), SEQUENCE.shape])
    kernels = {path: matrix for path, matrix in weights_of(layer).items() if path.endswith("/kernel")}
    assert len(kernels) == 4
    assert all((matrix == 1).all() for matrix in kernels.values())
    assert len(layer.losses) == 4


def test_padding_has_no_part_in_the_loss():
    layer = decoder("luong")
    model = keras.Model(inputs := [keras.Input((None,), dtype="int32"), keras.Input((7, 5))], layer(inputs))
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    so_far, targets = np.array([[1, 4, 5]] * 3), np.array([[4, 5, 2]] * 3)
    short = model.evaluate([so_far, SEQUENCE], targets, verbose=0)
    padded = [np.pad(array, ((0, 0), (0, 2))) for array in (so_far, targets)]
    assert model.evaluate([padded[0], SEQUENCE], padded[1], verbose=0) == pytest.approx(short, rel=1e-6)


def test_it_learns_to_say_a_sequence_backwards_and_translates():
    rng = np.random.default_rng(2)
    source = rng.integers(3, 8, (64, 4))
    targets = np.concatenate([source[:, ::-1], np.full((64, 1), END)], 1)
    so_far = np.concatenate([np.full((64, 1), START), targets[:, :-1]], 1)
    tokens, said = keras.Input((4,), dtype="int32"), keras.Input((5,), dtype="int32")
    encoded = keras.layers.Embedding(9, 12)(tokens)
    encoded = keras.layers.Dense(24, "tanh")(keras.layers.Flatten()(encoded))
    encoded = keras.layers.Reshape((4, 6))(encoded)
    layer = decoder("luong, input feeding", units=24)
    model = keras.Model([tokens, said], layer([said, encoded]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=keras.backend.backend() == "jax")
    history = model.fit([source, so_far], targets, 64, 60, verbose=0).history["loss"]
    assert history[-1] < 0.1 * history[0]
    found, _ = layer.greedy(keras.Model(tokens, encoded)(source), START, END, max_steps=5)
    assert (found == targets).mean() > 0.95
