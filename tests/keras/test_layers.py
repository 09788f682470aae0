"""Every layer is its formula, with the right gradient, and what is hidden has no influence."""

import numpy as np
import pytest

from tests.keras.rows import QUERY, ROWS, SEQUENCE
from tests.keras.running import flows_of, hk, keras, numpy_of, run, weights_of

TREE = keras.tree
each = pytest.mark.parametrize("name", ROWS)


def call_of(row, mask):
    """Arguments beside the inputs."""
    call = {} if mask is None else {"mask": mask}
    return {**call, "return_attention_scores": True} if row.asks else call


def built(row):
    """The layer with weights that leave no part unused: a bias that is not 0."""
    layer = row.build()
    layer.build(TREE.map_structure(lambda array: array.shape, row.inputs))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.standard_normal(weight.shape) * 0.7 for weight in layer.weights])
    return layer


def item_of(arrays, item):
    """One batch item of an array, a list of them, or None."""
    if isinstance(arrays, list):
        return [item_of(array, item) for array in arrays]
    return None if arrays is None else arrays[item]


@each
@pytest.mark.parametrize("masked", [False, True], ids=["all seen", "some hidden"])
def test_it_is_the_formula(name, masked):
    row = ROWS[name]
    if masked and row.mask is None:
        pytest.skip("has no mask")
    layer, mask = built(row), row.mask if masked else None
    (output, weights), *_ = run(layer, row.inputs, **call_of(row, mask))
    for item in range(len(TREE.flatten(row.inputs)[0])):
        inputs, seen = item_of(row.inputs, item), item_of(mask, item)
        wanted, wanted_weights = row.formula(weights_of(layer), inputs, seen)
        np.testing.assert_allclose(weights[item], wanted_weights, atol=1e-12)
        np.testing.assert_allclose(output[item], wanted, atol=1e-12)


@each
def test_the_gradient_is_the_slope(name):
    """Along one direction through all inputs and weights at once, against a finite difference."""
    row = ROWS[name]
    layer, rng = built(row), np.random.default_rng(2)
    _, of_inputs, of_weights = run(layer, row.inputs, **call_of(row, row.mask))
    start, inputs = layer.get_weights(), TREE.flatten(row.inputs)
    ways = [rng.standard_normal(array.shape) for array in (*inputs, *start)]

    def total(step):
        moved = [array + step * way for array, way in zip((*inputs, *start), ways, strict=True)]
        layer.set_weights(moved[len(inputs) :])
        packed = TREE.pack_sequence_as(row.inputs, moved[: len(inputs)])
        outputs = [keras.ops.convert_to_numpy(out) for out in layer(packed, **call_of(row, row.mask))]
        return sum((out * flow).sum() for out, flow in zip(outputs, flows_of(outputs), strict=True))

    slope = (total(1e-5) - total(-1e-5)) / 2e-5
    gradient = sum((grad * way).sum() for grad, way in zip((*of_inputs, *of_weights.values()), ways, strict=True))
    assert gradient == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.mask is not None])
def test_what_is_hidden_may_hold_anything(name):
    row = ROWS[name]
    layer, call = built(row), call_of(row, row.mask)

    def fill(array, mask, what):
        return array if mask is None else np.where(mask[..., None], array, what)

    masks = row.mask if isinstance(row.mask, list) else [row.mask]
    arrays = TREE.flatten(row.inputs)
    masks = [*masks, masks[-1]][: len(arrays)]  # a third input is the key, hidden as its value is
    runs = []
    for what in (0.0, np.nan, np.inf):
        filled = [fill(array, mask, what) for array, mask in zip(arrays, masks, strict=True)]
        runs.append(TREE.flatten(run(layer, TREE.pack_sequence_as(row.inputs, filled), **call)))
    for other in runs[1:]:
        for found, wanted in zip(other, runs[0], strict=True):
            np.testing.assert_array_equal(found, wanted)
    for grad, mask in zip(runs[1][2:], masks, strict=False):
        assert mask is None or not grad[~mask].any()


@pytest.mark.parametrize("mode", ["predictive", "monotonic"])
def test_local_attention_counts_real_keys_wherever_padding_is(mode):
    layer = hk.LuongLocalAttention(mode, half_width=2)
    bare, weights = layer([QUERY, SEQUENCE], return_attention_scores=True)
    nothing = np.full((3, 9, 5), np.nan)
    for padded, places in (([nothing, SEQUENCE], range(9, 16)), ([SEQUENCE, nothing], range(7))):
        steps = np.concatenate(padded, 1)
        seen = ~np.isnan(steps).any(-1)
        found, looked = layer([QUERY, steps], mask=[None, seen], return_attention_scores=True)
        np.testing.assert_allclose(numpy_of(found), numpy_of(bare), atol=1e-12)
        np.testing.assert_allclose(numpy_of(looked)[..., places], numpy_of(weights), atol=1e-12)


@pytest.mark.parametrize("dtype", ["mixed_float16", "float16"])
def test_half_precision_does_not_overflow(dtype):
    large = np.full((1, 3, 512), 30.0)
    kind = {"dtype": dtype}
    for layer in (hk.Attention(3, "dot", **kind), hk.Attention(3, "scaled_dot", **kind)):
        assert np.isfinite(numpy_of(layer(large))).all()
    for layer in (hk.DotAttention("dot", **kind), hk.LuongLocalAttention("monotonic", "dot", **kind)):
        assert np.isfinite(numpy_of(layer([large, large]))).all()


def test_matrices_of_one_shape_start_apart():
    layer = hk.Attention(4, "bahdanau")
    layer.build((None, 7, 5))
    assert not np.allclose(numpy_of(layer.query_kernel.value), numpy_of(layer.key_kernel.value))
