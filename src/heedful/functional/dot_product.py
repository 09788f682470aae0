"""Dot-product attention through torch's fused kernels, in the type in which they are faster."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

# Keys from which the kernels' backward pass in half precision is as fast as in float32 on a CPU.
ENOUGH_KEYS = 256


def dot_product_attention(
    query: Float[Tensor, "batch heads queries features"],
    key: Float[Tensor, "batch heads keys features"],
    value: Float[Tensor, "batch heads keys value_dim"],
    mask: Bool[Tensor, "#batch #heads #queries #keys"] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "batch heads queries value_dim"]:
    """`torch.nn.functional.scaled_dot_product_attention`, sooner where half precision is slow.

    On a CPU the backward pass over short sequences takes up to 12 times as long in bfloat16 as in float32
    (benchmarks/half_attention.py); there the products are float32, and the context returns to the type of the values.

    Args:
        query: `[batch, heads, queries, features]`.
        key: `[batch, heads, keys, features]`.
        value: `[batch, heads, keys, value_dim]`.
        mask: True = may look; a row that sees nothing has a context of 0.
        scale: Factor of the scores; `1 / sqrt(features)` when left out.

    >>> dot_product_attention(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3, 5)).shape
    torch.Size([1, 1, 2, 5])
    """
    if not _is_slow_in_half(query, key, value):
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else value.dtype
    with torch.autocast("cpu", enabled=False):
        wide = scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask, scale=scale)
    return wide.to(dtype)


def _is_slow_in_half(*tensors: Tensor) -> bool:
    """Whether a gradient is to come, through few keys, in half precision, on a CPU."""
    query, key, _ = tensors
    # a graph is made for keys of any number
    if query.device.type != "cpu" or query.dtype == torch.float64 or torch.compiler.is_compiling():
        return False
    half = torch.is_autocast_enabled("cpu") or query.dtype in (torch.bfloat16, torch.float16)
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return half and learns and key.shape[-2] < ENOUGH_KEYS
