"""Additive attention whose memory stays bounded, forward and backward, on every backend.

The tensor `batch x queries x keys x units` never exists. On PyTorch the fused operators of heedful do the work; on
TensorFlow and JAX the queries are processed one at a time, and the backward pass, written by hand, computes every tanh
again. No exponentials are multiplied, so nothing can overflow.
"""

from typing import Any

from keras import backend

from ._maths import Tensor, masked_softmax, ops, read, widen


def additive_scores(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    """`scores[q, k] = energy . tanh(query[q] + key[k])` of projected queries and keys, in float32 or wider.

    Args:
        query: `[batch, queries, units]`.
        key: `[batch, keys, units]`.
        energy: `[units]`.
    """
    query = widen(query)
    key, energy = [ops.cast(part, query.dtype) for part in (key, _tensor(energy))]
    if backend.backend() == "torch":
        from heedful.functional import additive_scores as fused

        return fused(query, key, energy)
    return _scores(query, key, energy)


def additive_attention(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """Context `[batch, queries, features]`, and weights `[batch, queries, keys]` (on PyTorch only if asked for).

    Args:
        query: `[batch, queries, units]`, projected.
        key: `[batch, keys, units]`, projected.
        value: `[batch, keys, features]`.
        energy: `[units]`.
        mask: broadcasts to `[batch, queries, keys]`, True = may look.
        need_weights: whether the weights are wanted.
    """
    if backend.backend() == "torch":
        from heedful.functional import additive_attention as fused

        if need_weights:
            return fused(query, key, value, _tensor(energy), mask, need_weights=True)
        return fused(query, key, value, _tensor(energy), mask), None
    weights = masked_softmax(additive_scores(query, key, energy), mask)
    return read(weights, value), weights


def _tensor(variable: Any) -> Tensor:
    """The value of a variable, which no function with a gradient of its own may take as it is."""
    return ops.reshape(variable, (-1,))


@ops.custom_gradient
def _scores(query, key, energy):
    # or TensorFlow's tape would keep every tanh of eager code for a gradient that nobody asks it for
    query, key, energy = map(ops.stop_gradient, (query, key, energy))

    def one(query):
        return ops.matmul(ops.tanh(query[:, None] + key), energy)

    def gradients(*given, upstream=None):
        grad = given[0] if upstream is None else upstream
        of_query, of_energy = _for_each(lambda query, grad: _slopes(query, key, grad), query, grad)
        of_key = _for_each(lambda key, grad: _slopes(key, query, grad)[0], key, ops.swapaxes(grad, 1, 2))
        return of_query * energy, of_key * energy, ops.sum(of_energy, (0, 1))

    return _for_each(one, query), gradients


def _slopes(row, others, grad):
    """Of one query `[batch, units]` over all keys, or of one key over all queries: slope and tanh, times `grad`."""
    tanh = ops.tanh(row[:, None] + others)
    grad = grad[..., None]
    return ops.sum((1 - ops.square(tanh)) * grad, 1), ops.sum(tanh * grad, 1)


def _for_each(function, *tensors):
    """`function` of one row after another, on axis 1 of all tensors; a single row without a loop."""
    if tensors[0].shape[1] == 1:
        return _stack(function(*(tensor[:, 0] for tensor in tensors)), lambda part: part[:, None])
    rows = tuple(ops.swapaxes(tensor, 0, 1) for tensor in tensors)
    return _stack(ops.map(lambda row: function(*row), rows), lambda part: ops.swapaxes(part, 0, 1))


def _stack(parts, arrange):
    return tuple(map(arrange, parts)) if isinstance(parts, tuple) else arrange(parts)
