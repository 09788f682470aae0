"""Additive attention (Bahdanau 2015, section 3.1) without the four-dimensional tensor, for anyone's code."""

import math
from typing import Literal, overload

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.kernels.additive import op, steps
from heedful.kernels.additive.steps import AdditiveMemory as AdditiveMemory


def _check(query: Tensor, key: Tensor, energy: Tensor) -> None:
    if energy.ndim != 1 or not query.size(-1) == key.size(-1) == energy.size(0):
        raise ValueError(
            f"query ends in {query.shape[-1]} units, key in {key.shape[-1]}, energy is {list(energy.shape)}; additive "
            "attention adds projected queries and keys of the same units. Project both to len(energy) units first."
        )


def remember_keys(key: Float[Tensor, "batch keys units"]) -> AdditiveMemory:
    """Projected keys ready for many decoding steps: their exponentials are taken once, and kept.

    Hand the result to `additive_scores` or `additive_attention` in the place of `key`. Gradients reach the keys from
    all steps; they are gathered and computed in one go at the end of the backward pass.

    >>> memory = remember_keys(torch.zeros(2, 7, 16))
    >>> additive_scores(torch.zeros(2, 1, 16), memory, torch.ones(16)).shape
    torch.Size([2, 1, 7])
    """
    return steps.remember_keys(key)


def remember_values(value: Float[Tensor, "batch keys value_dim"]) -> Float[Tensor, "batch keys value_dim"]:
    """The same values, whose gradient from many decoding steps is computed in one go at the end of the backward pass.

    >>> remember_values(torch.ones(2, 7, 4)).shape
    torch.Size([2, 7, 4])
    """
    return steps.remember_values(value)


def _flat(tensor: Tensor) -> Tensor:
    """All leading axes as one batch axis."""
    return tensor if tensor.ndim == 3 else tensor.reshape(math.prod(tensor.shape[:-2]), *tensor.shape[-2:])


def additive_scores(
    query: Float[Tensor, "*batch queries units"],
    key: Float[Tensor, "*batch keys units"] | AdditiveMemory,
    energy: Float[Tensor, " units"],
) -> Float[Tensor, "*batch queries keys"]:
    """scores[q, k] = energy . tanh(query[q] + key[k]); query and key are projected, bias included.

    The error is absolute: at most 1e-6 x sum|energy| in float32 for every finite input. Differentiable once.

    >>> query, key, energy = torch.zeros(2, 3, 5), torch.zeros(2, 7, 5), torch.ones(5)
    >>> additive_scores(query, key, energy).shape
    torch.Size([2, 3, 7])
    """
    if isinstance(key, AdditiveMemory):
        _check(query, key.key, energy)
        return op.additive_scores(query, key, energy)
    _check(query, key, energy)
    scores = op.additive_scores(_flat(query), _flat(key), energy)
    return scores.view(*query.shape[:-1], key.shape[-2])


@overload
def additive_attention(
    query: Tensor,
    key: Tensor | AdditiveMemory,
    value: Tensor,
    energy: Tensor,
    mask: Tensor | None = None,
    need_weights: Literal[False] = False,
) -> Tensor: ...


@overload
def additive_attention(
    query: Tensor,
    key: Tensor | AdditiveMemory,
    value: Tensor,
    energy: Tensor,
    mask: Tensor | None = None,
    *,
    need_weights: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def additive_attention(
    query: Float[Tensor, "*batch queries units"],
    key: Float[Tensor, "*batch keys units"] | AdditiveMemory,
    value: Float[Tensor, "*batch keys value_dim"],
    energy: Float[Tensor, " units"],
    mask: Bool[Tensor, "..."] | None = None,
    need_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Context of softmax(energy . tanh(query + key)) over the keys, shaped like `scaled_dot_product_attention`.

    `mask` broadcasts to [*batch, queries, keys], True = may look. A row that sees nothing reads zero. A key
    hidden from every query of its batch item may hold anything, NaN too. `need_weights`: (context, weights).

    >>> query, key, value, energy = torch.zeros(2, 3, 5), torch.zeros(2, 7, 5), torch.ones(2, 7, 4), torch.ones(5)
    >>> additive_attention(query, key, value, energy)[0, 0]
    tensor([1., 1., 1., 1.])
    """
    projected = key.key if isinstance(key, AdditiveMemory) else key
    _check(query, projected, energy)
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(
            f"mask is {mask.dtype}; a boolean mask was expected, True = may look. Use mask.bool() or mask > 0."
        )
    if query.ndim == projected.ndim == value.ndim == 3 and (mask is None or mask.ndim == 3):
        context, weights = op.additive_attention(query, key, value, energy, mask, need_weights)
        return context if weights is None else (context, weights)
    rows, keys = query.shape[:-1], projected.shape[-2]
    if mask is not None:
        mask = _flat(mask.expand(*rows, keys))
    key = key if isinstance(key, AdditiveMemory) else _flat(key)
    context, weights = op.additive_attention(_flat(query), key, _flat(value), energy, mask, need_weights)
    context = context.view(*rows, value.shape[-1])
    return context if weights is None else (context, weights.view(*rows, keys))
