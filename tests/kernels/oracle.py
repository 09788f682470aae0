"""Additive attention as a person writes it, in float64; imports nothing from heedful."""

import torch
from torch import Tensor


def scores(query: Tensor, key: Tensor, energy: Tensor) -> Tensor:
    """energy . tanh(query + key) of every pair, the four-dimensional tensor and all."""
    query, key, energy = query.double(), key.double(), energy.double()
    return (torch.tanh(query[:, :, None, :] + key[:, None, :, :]) * energy).sum(-1)


def attention(
    query: Tensor, key: Tensor, value: Tensor, energy: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Context and weights; a key that no query of its batch item sees counts as 0, an empty row stays zero."""
    value = value.double()
    if mask is None:
        mask = torch.ones(query.shape[0], query.shape[1], key.shape[1], dtype=torch.bool)
    mask = mask.expand(query.shape[0], query.shape[1], key.shape[1])
    seen = mask.any(1)[..., None]
    key, value = torch.where(seen, key, 0.0), torch.where(seen, value, 0.0)
    found = scores(query, key, energy)
    top = found.detach().amax(-1, keepdim=True) if found.shape[2] else 0.0
    powers = torch.where(mask, torch.exp(found - top), 0.0)
    mass = powers.sum(-1, keepdim=True)
    weights = powers / torch.where(mass > 0, mass, 1.0)
    return weights @ value, weights


def gradients(outputs: Tensor | tuple[Tensor, ...], inputs: tuple[Tensor, ...], flows) -> tuple[Tensor, ...]:
    """torch.autograd.grad with the flows in the outputs' type."""
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    return torch.autograd.grad(outputs, inputs, [flow.to(out.dtype) for flow, out in zip(flows, outputs, strict=True)])


def leaves(*tensors: Tensor, dtype: torch.dtype | None = None) -> tuple[Tensor, ...]:
    """Copies that want gradients."""
    return tuple(tensor.detach().to(dtype or tensor.dtype).clone().requires_grad_() for tensor in tensors)


def largest(tensor: Tensor) -> float:
    """The largest magnitude, 0 of nothing."""
    return tensor.abs().max().item() if tensor.numel() else 0.0
