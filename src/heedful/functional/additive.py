"""Additive attention (Bahdanau 2015, section 3.1) without the four-dimensional tensor, for anyone's code."""

import math
from functools import partial
from typing import Literal, get_args, overload

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals
from heedful.functional.harmonic import LEAST, harmonic_attention, harmonic_scores
from heedful.functional.masks import check_boolean
from heedful.kernels.additive import op, steps
from heedful.kernels.additive.steps import AdditiveMemory as AdditiveMemory

Method = Literal["exact", "harmonic"]


def _fits(query: Tensor, key: Tensor, energy: Tensor, value: Tensor) -> bool:
    """Whether this is the common case: on the CPU, three axes, one type. The check takes half a microsecond, a tenth of
    a small call.
    """
    if not (query.ndim == key.ndim == value.ndim == 3 and energy.ndim == 1 and query.is_floating_point()):
        return False
    (batch, _, units), known, read = query.shape, key.shape, value.shape
    if not (known[0] == batch == read[0] and known[1] == read[1] and known[2] == units == energy.shape[0]):
        return False
    same = query.dtype is key.dtype is value.dtype is energy.dtype
    return same and query.is_cpu and key.is_cpu and value.is_cpu and energy.is_cpu


def _check(query: Tensor, key: Tensor, energy: Tensor, value: Tensor) -> None:
    """Refuse what does not fit together; kernels read addresses, and would see nothing of it."""
    if _fits(query, key, energy, value):
        return
    if not query.device == key.device == energy.device == value.device:
        raise ValueError(
            f"query is on {query.device}, key on {key.device}, value on {value.device}, energy on {energy.device}; one "
            "device for all was expected. Move them with .to(device)."
        )
    for name, tensor in (("query", query), ("key", key), ("value", value), ("energy", energy)):
        if not tensor.dtype.is_floating_point:
            raise _refusals.not_floats(tensor.dtype, name)
    asked, known, read = query.shape, key.shape, value.shape
    if (
        len(known) < 2
        or asked[:-2] != known[:-2]
        or known[:-1] != read[:-1]
        or not len(asked) == len(known) == len(read)
    ):
        raise ValueError(
            f"query is {list(asked)}, key {list(known)}, value {list(read)}; [*batch, queries, units], [*batch, keys, "
            "units] and [*batch, keys, value_dim] with the same batch and keys were expected. Use .expand for what is "
            "shared by a batch."
        )
    if energy.ndim != 1 or not asked[-1] == known[-1] == energy.shape[0]:
        raise ValueError(
            f"query ends in {asked[-1]} units, key in {known[-1]}, energy is {list(energy.shape)}; additive "
            "attention adds projected queries and keys of the same units. Project both to len(energy) units first."
        )


def _check_mask(mask: Tensor, query: Tensor, keys: int) -> None:
    """Refuse a mask that is not boolean, elsewhere, or does not broadcast to [*batch, queries, keys]."""
    check_boolean(mask)
    if mask.device != query.device:
        raise ValueError(
            f"mask is on {mask.device}, query on {query.device}; one device was expected. Move it with .to(device)."
        )
    expected = (*query.shape[:-1], keys)
    if mask.ndim > len(expected) or any(
        size not in (1, whole) for size, whole in zip(reversed(mask.shape), reversed(expected), strict=False)
    ):
        raise ValueError(
            f"mask is {list(mask.shape)}; what broadcasts to [*batch, queries, keys], {list(expected)}, was expected. "
            "Use mask.unsqueeze(-2) for a mask [*batch, keys]."
        )


def _check_method(method: str, tolerance: float, *tensors: Tensor) -> None:
    """Refuse an unknown method, and a tolerance that is none or below what rounding allows."""
    if method not in get_args(Method):
        raise _refusals.unknown_choice("method", method, get_args(Method))
    kind = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
    if not LEAST[kind] <= tolerance < 1:
        raise ValueError(
            f"tolerance is {tolerance}; expected a number from {LEAST[kind]:g} to below 1 for {str(kind)[6:]}. Use "
            'method="exact" for less error.'
        )


def remember_keys(key: Float[Tensor, "batch keys units"]) -> AdditiveMemory:
    """Projected keys ready for many decoding steps: their exponentials are taken once, and kept.

    Hand the result to `additive_scores` or `additive_attention` in the place of `key`. Gradients reach the keys from
    all steps; they are gathered and computed in one go at the end of the backward pass.

    Raises:
        ValueError: the key has not three axes.

    >>> import torch
    >>> memory = remember_keys(torch.zeros(2, 7, 16))
    >>> additive_scores(torch.zeros(2, 1, 16), memory, torch.ones(16)).shape
    torch.Size([2, 1, 7])
    """
    if key.ndim != 3:
        raise ValueError(
            f"key is {list(key.shape)}; [batch, keys, units] was expected. Use key.flatten(0, -3), or unsqueeze(0)."
        )
    return steps.remember_keys(key)


def remember_values(value: Float[Tensor, "batch keys value_dim"]) -> Float[Tensor, "batch keys value_dim"]:
    """The same values, whose gradient from many decoding steps is computed in one go at the end of the backward pass.

    >>> import torch
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
    method: Method = "exact",
    tolerance: float = 1e-3,
) -> Float[Tensor, "*batch queries keys"]:
    """scores[q, k] = energy . tanh(query[q] + key[k]); query and key are projected, bias included.

    The error is absolute: at most 1e-6 x sum|energy| in float32 for every finite input. Differentiable
    twice, see `additive_attention`.

    `method="harmonic"` writes tanh as a sum of sines (docs/sine_attention.md, section 4): the scores are one product,
    off by at most `tolerance` x sum|energy|. Units whose |query + key| passes 16 are taken exactly. On a CPU it is
    slower than the exact way. It reads the ranges of query and key, so graphs (torch.compile, torch.export) and
    torch.func take the exact way.

    Raises:
        ValueError: shapes or devices do not fit together, or a tensor is not of floating point (a TypeError, too); the
            method is unknown, or the tolerance not from 1e-4 (float64: 1e-12) to below 1.

    >>> import torch
    >>> query, key, energy = torch.zeros(2, 3, 5), torch.zeros(2, 7, 5), torch.ones(5)
    >>> additive_scores(query, key, energy).shape
    torch.Size([2, 3, 7])
    """
    projected = key.key if isinstance(key, AdditiveMemory) else key
    _check(query, projected, energy, projected)
    compare = op.additive_scores
    if method != "exact":
        _check_method(method, tolerance, query, projected, energy)
        compare = partial(harmonic_scores, tolerance=tolerance)
    if isinstance(key, AdditiveMemory):
        return compare(query, key, energy)
    scores = compare(_flat(query), _flat(key), energy)
    return scores.view(*query.shape[:-1], key.shape[-2])


@overload
def additive_attention(
    query: Tensor,
    key: Tensor | AdditiveMemory,
    value: Tensor,
    energy: Tensor,
    mask: Tensor | None = None,
    need_weights: Literal[False] = False,
    method: Method = "exact",
    tolerance: float = 1e-3,
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
    method: Method = "exact",
    tolerance: float = 1e-3,
) -> tuple[Tensor, Tensor]: ...


def additive_attention(
    query: Float[Tensor, "*batch queries units"],
    key: Float[Tensor, "*batch keys units"] | AdditiveMemory,
    value: Float[Tensor, "*batch keys value_dim"],
    energy: Float[Tensor, " units"],
    mask: Bool[Tensor, "..."] | None = None,
    need_weights: bool = False,
    method: Method = "exact",
    tolerance: float = 1e-3,
) -> Tensor | tuple[Tensor, Tensor]:
    """Context of softmax(energy . tanh(query + key)) over the keys, shaped like `scaled_dot_product_attention`.

    `mask` broadcasts to [*batch, queries, keys], True = may look. A row that sees nothing reads zero. A key
    hidden from every query of its batch item may hold anything, NaN too. `need_weights`: (context, weights).
    `method` and `tolerance`: as in `additive_scores`.

    Differentiable twice: gradients that are to have gradients (`create_graph=True`) come from the same kernels, theirs
    from the plain formula, a block of queries at a time. A third derivative is refused.

    Raises:
        ValueError: shapes or devices do not fit together; batch axes are those of the query, nothing but the mask
            broadcasts. Or the mask is not boolean, or another tensor not of floating point (both a TypeError, too), or
            the method or the tolerance is refused.

    >>> import torch
    >>> query, key, value, energy = torch.zeros(2, 3, 5), torch.zeros(2, 7, 5), torch.ones(2, 7, 4), torch.ones(5)
    >>> additive_attention(query, key, value, energy)[0, 0]
    tensor([1., 1., 1., 1.])

    A gradient penalty on what the context makes of the query:

    >>> query.requires_grad_(), value.uniform_()  # doctest: +ELLIPSIS
    (...)
    >>> loss = additive_attention(query, key, value, energy).sum()
    >>> (gradient,) = torch.autograd.grad(loss, query, create_graph=True)
    >>> (loss + gradient.square().sum()).backward()
    >>> query.grad.shape
    torch.Size([2, 3, 5])
    """
    projected = key.key if isinstance(key, AdditiveMemory) else key
    _check(query, projected, energy, value)
    if mask is not None:
        _check_mask(mask, query, projected.shape[-2])
    attend = op.additive_attention
    if method != "exact":
        _check_method(method, tolerance, query, projected, energy, value)
        attend = partial(harmonic_attention, tolerance=tolerance)
    if query.ndim == 3 and (mask is None or mask.ndim == 3):
        context, weights = attend(query, key, value, energy, mask, need_weights)
        return context if weights is None else (context, weights)
    rows, keys = query.shape[:-1], projected.shape[-2]
    if mask is not None:
        mask = _flat(mask.expand(*rows, keys))
    key = key if isinstance(key, AdditiveMemory) else _flat(key)
    context, weights = attend(_flat(query), key, _flat(value), energy, mask, need_weights)
    context = context.view(*rows, value.shape[-1])
    return context if weights is None else (context, weights.view(*rows, keys))
