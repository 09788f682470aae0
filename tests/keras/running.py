"""Layers run on whichever backend Keras has chosen: values and gradients as NumPy arrays."""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs Keras: HEEDFUL_KERAS names no folder, and it is not installed")
hk = importlib.import_module("heedful.keras")

# Formulas are compared in float64, which Keras narrows to float32 on JAX and PyTorch.
dtypes = importlib.import_module("keras.src.backend.common.dtypes")
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
keras.config.set_floatx("float64")
BACKEND = keras.backend.backend()
Arrays = list[np.ndarray]


def numpy_of(output: Any) -> Any:
    """Tensors of any nesting as arrays."""
    return keras.tree.map_structure(lambda tensor: np.asarray(keras.ops.convert_to_numpy(tensor)), output)


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """A layer's weights by name, those of its parts as `part/name`."""
    return {weight.path.split("/", 1)[-1]: numpy_of(weight.value) for weight in layer.weights}


def flows_of(outputs: Sequence[np.ndarray]) -> Arrays:
    """A gradient to flow into each output, none of it alike."""
    return [np.cos(np.arange(out.size, dtype=out.dtype)).reshape(out.shape) for out in outputs]


def run(layer: Any, inputs: Any, **call: Any) -> tuple[Arrays, Arrays, dict[str, np.ndarray]]:
    """Outputs, gradients of all input arrays, and of all weights by name, of sum(output * flow)."""
    layer.build(keras.tree.map_structure(lambda array: array.shape, inputs)) if not layer.built else None
    flat = keras.tree.flatten(inputs)
    outputs = numpy_of(keras.tree.flatten(layer(inputs, **call)))
    flows = flows_of(outputs)

    def loss(results: Any) -> Any:
        pairs = zip(keras.tree.flatten(results), flows, strict=True)
        return sum(keras.ops.sum(out * keras.ops.cast(flow, out.dtype)) for out, flow in pairs)

    given = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND](layer, inputs, flat, call, loss)
    of_inputs, of_weights = [numpy_of(list(grads)) for grads in given]
    names = [weight.path.split("/", 1)[-1] for weight in layer.trainable_weights]
    return outputs, of_inputs, dict(zip(names, of_weights, strict=True))


def _tensorflow(layer, inputs, flat, call, loss):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in flat]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = loss(layer(keras.tree.pack_sequence_as(inputs, tensors), **call))
    weights = layer.trainable_weights
    zero = tf.UnconnectedGradients.ZERO
    grads = tape.gradient(total, [*tensors, *(weight.value for weight in weights)], unconnected_gradients=zero)
    return grads[: len(flat)], grads[len(flat) :]


def _jax(layer, inputs, flat, call, loss):
    import jax

    def total(tensors, weights):
        state = [variable.value for variable in layer.non_trainable_variables]
        packed = keras.tree.pack_sequence_as(inputs, tensors)
        return loss(layer.stateless_call(weights, state, packed, **call)[0])

    weights = [weight.value for weight in layer.trainable_variables]
    return jax.grad(total, argnums=(0, 1))([jax.numpy.asarray(array) for array in flat], weights)


def _torch(layer, inputs, flat, call, loss):
    import torch

    tensors = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in flat]
    weights = [weight.value for weight in layer.trainable_weights]
    total = loss(layer(keras.tree.pack_sequence_as(inputs, tensors), **call))
    grads = torch.autograd.grad(total, [*tensors, *weights], materialize_grads=True)
    return grads[: len(flat)], grads[len(flat) :]
