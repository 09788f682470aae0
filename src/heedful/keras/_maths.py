"""Functions shared by several layers, in `keras.ops`: the same on TensorFlow, JAX and PyTorch."""

from typing import Any

import keras
from keras import backend

Tensor = Any  # of whichever backend
ops: Any = keras.ops  # not annotated; what can be inferred of it mixes all backends
LOWEST = -1e30  # a score that no visible key has; finite, so that no gradient is NaN


def widen(tensor: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; every other type stays."""
    half = backend.standardize_dtype(tensor.dtype) in ("float16", "bfloat16")
    return ops.cast(tensor, "float32") if half else tensor


def masked_softmax(scores: Tensor, mask: Tensor | None = None, axis: int = -1) -> Tensor:
    """Softmax along `axis` over what may be seen, in float32 or wider; a row that sees nothing gets zeros.

    `mask` broadcasts to the scores, True = may look.
    """
    scores = widen(scores)
    if mask is None:
        return ops.softmax(scores, axis)
    return ops.where(mask, ops.softmax(ops.where(mask, scores, LOWEST), axis), 0.0)


def hide(steps: Tensor, visible: Tensor | None) -> Tensor:
    """Zeros where `visible` [batch, steps] is False: 0 * NaN is NaN, so what is hidden must not reach a product."""
    return steps if visible is None else ops.where(visible[..., None], steps, ops.zeros_like(steps))


def last_visible(steps: Tensor, visible: Tensor | None) -> Tensor:
    """The last step that may be seen, `[batch, features]`; zeros where there is none."""
    if visible is None:
        return steps[:, -1]
    seen = ops.cumsum(ops.cast(visible, "int32"), 1)
    return ops.sum(hide(steps, ops.logical_and(visible, seen == seen[:, -1:])), 1)


def project(steps: Tensor, kernel: Any) -> Tensor:
    """`steps @ kernel` along the last axis; as an einsum, whose gradient XLA also compiles inside a loop."""
    return ops.einsum("bsi,io->bso", steps, ops.cast(kernel, steps.dtype))


def read(weights: Tensor, value: Tensor) -> Tensor:
    """Weighted sums of the values, `[batch, queries, keys]` and `[batch, keys, features]`."""
    return ops.matmul(ops.cast(weights, value.dtype), value)
