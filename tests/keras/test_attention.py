"""The drop-in many-to-one layer against its formula, written out for one sequence at a time."""

import numpy as np
import pytest

from tests.keras.running import run, weights_of

from heedful.keras import Attention  # isort: skip

RNG = np.random.default_rng(0)
SCORES = "luong", "bahdanau", "dot", "scaled_dot"
MASK = np.array([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]], bool)
STEPS = RNG.standard_normal((3, 7, 5))


def by_hand(layer, steps, mask):
    """Vector and weights of one sequence."""
    weights = np.zeros(len(steps))
    places = np.flatnonzero(mask)
    named = weights_of(layer)
    if not len(places):
        return np.zeros(layer.units), weights
    last, seen = steps[places[-1]], steps[places]
    scores = {
        "luong": lambda step: last @ (step @ named["score_kernel"]),
        "bahdanau": lambda step: named["energy"] @ np.tanh(last @ named["query_kernel"] + step @ named["key_kernel"]),
        "dot": lambda step: last @ step,
        "scaled_dot": lambda step: last @ step / np.sqrt(len(step)),
    }[layer.score]
    exponentials = np.exp([scores(step) for step in seen])
    weights[places] = exponentials / exponentials.sum()
    return np.tanh(np.concatenate([weights @ steps, last]) @ named["output_kernel"]), weights


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("mask", [None, MASK], ids=["every step", "hidden steps"])
def test_it_is_the_formula(score, mask):
    layer = Attention(units=4, score=score)
    (vector, weights), *_ = run(layer, STEPS, mask=mask, return_attention_scores=True)
    seen = np.ones_like(MASK) if mask is None else mask
    for row in range(3):
        wanted, wanted_weights = by_hand(layer, STEPS[row], seen[row])
        np.testing.assert_allclose(vector[row], wanted, atol=1e-12)
        np.testing.assert_allclose(weights[row], wanted_weights, atol=1e-12)


def test_without_layers_of_padding_nothing_changes():
    layer = Attention(units=4, score="bahdanau")
    (vector, weights), *_ = run(layer, STEPS[:, :3], return_attention_scores=True)
    padded = np.concatenate([STEPS[:, :3], np.full((3, 4, 5), np.nan)], 1)
    mask = np.arange(7)[None].repeat(3, 0) < 3
    outputs, grads, _ = run(layer, padded, mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(outputs[0], vector, atol=1e-12)
    np.testing.assert_allclose(outputs[1], np.pad(weights, ((0, 0), (0, 4))), atol=1e-12)
    assert not grads[0][:, 3:].any()
