"""The projections of heads: those of a layer of torch, and heads merged into fewer."""

import torch
from torch import nn

from heedful import _refusals
from heedful.layers import Linear


def check_no_own_key(layer: nn.MultiheadAttention) -> None:
    """Refuse a layer of torch that adds a key of its own.

    Raises:
        ValueError: it does, or it is none (a TypeError, too).
    """
    _refusals.check_part("layer", layer, nn.MultiheadAttention, "torch.nn.MultiheadAttention(64, 4)")
    if layer.bias_k is not None or layer.add_zero_attn:
        raise ValueError(
            "the layer has add_bias_kv or add_zero_attn, a key of its own; expected a layer without. "
            "SoftmaxOneNormalizer is softmax with a further key of score 0 and value 0."
        )


@torch.no_grad()
def copy_weights(layer: nn.MultiheadAttention, query: Linear, key: Linear, value: Linear, output: Linear) -> None:
    """Give the four projections of heads a copy of the weights of torch's layer, packed into one matrix or not."""
    apart = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    weights = apart if layer.in_proj_weight is None else layer.in_proj_weight.chunk(3)
    for projection, weight in zip((query, key, value), weights, strict=True):
        projection.weight = nn.Parameter(weight.clone())
    output.weight = nn.Parameter(layer.out_proj.weight.clone())
    if layer.in_proj_bias is not None:
        for projection, bias in zip((query, key, value), layer.in_proj_bias.chunk(3), strict=True):
            projection.bias = nn.Parameter(bias.clone())
        output.bias = nn.Parameter(layer.out_proj.bias.clone())


@torch.no_grad()
def merge_heads(projection: Linear, heads: int, head_dim: int) -> None:
    """Let a projection to heads have fewer of them, each the mean of neighbours (Ainslie et al. 2023, section 2.1).

    >>> projection = Linear(3, 8)
    >>> merge_heads(projection, heads=2, head_dim=2)
    >>> projection.weight.shape
    torch.Size([4, 3])
    """
    projection.out_features = heads * head_dim
    for name, parameter in list(projection.named_parameters()):
        parts = parameter.unflatten(0, (heads, -1, head_dim))
        setattr(projection, name, nn.Parameter(parts.mean(1).flatten(0, 1)))
