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
    """Outputs, gradients of all floating inputs, and of all weights by name, of sum(output * flow)."""
    if not layer.built:
        layer.build(keras.tree.map_structure(lambda array: array.shape, inputs))
    arrays = keras.tree.flatten(inputs)
    floats = [place for place, array in enumerate(arrays) if array.dtype.kind == "f"]
    outputs = numpy_of(keras.tree.flatten(layer(inputs, **call)))
    flows = flows_of(outputs)

    def packed(tensors: Any) -> Any:
        everything = list(arrays)
        for place, tensor in zip(floats, tensors, strict=True):
            everything[place] = tensor
        return keras.tree.pack_sequence_as(inputs, everything)

    def loss(results: Any) -> Any:
        pairs = zip(keras.tree.flatten(results), flows, strict=True)
        return sum(keras.ops.sum(out * keras.ops.cast(flow, out.dtype)) for out, flow in pairs)

    gradients = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND]
    grads = numpy_of(list(gradients(layer, [arrays[place] for place in floats], packed, call, loss)))
    names = [weight.path.split("/", 1)[-1] for weight in layer.trainable_weights]
    return outputs, grads[: len(floats)], dict(zip(names, grads[len(floats) :], strict=True))


def _tensorflow(layer, arrays, packed, call, loss):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = loss(layer(packed(tensors), **call))
    weights = [weight.value for weight in layer.trainable_weights]
    grads = tape.gradient(total, [*tensors, *weights], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return map(tf.convert_to_tensor, grads)  # an embedding's gradient is sparse


def _jax(layer, arrays, packed, call, loss):
    import jax

    @jax.jit  # compiled once, not operation by operation
    def gradients(tensors, weights):
        state = [variable.value for variable in layer.non_trainable_variables]
        total = lambda tensors, weights: loss(layer.stateless_call(weights, state, packed(tensors), **call)[0])  # noqa: E731
        return jax.grad(total, argnums=(0, 1))(tensors, weights)

    weights = [weight.value for weight in layer.trainable_variables]
    of_inputs, of_weights = gradients([jax.numpy.asarray(array) for array in arrays], weights)
    return *of_inputs, *of_weights


def _torch(layer, arrays, packed, call, loss):
    import torch

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    weights = [weight.value for weight in layer.trainable_weights]
    return torch.autograd.grad(loss(layer(packed(tensors), **call)), [*tensors, *weights], materialize_grads=True)
