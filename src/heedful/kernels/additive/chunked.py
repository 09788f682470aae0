"""Additive scores by direct tanh, one bounded block at a time: plain PyTorch, any device, any finite input.

Never holds the four-dimensional tensor: forward and backward recompute each block. This path runs where no compiled
kernel can, and takes over the channels whose range is too wide for the product of exponentials.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Elements of one block of batch x queries x keys x units: 4 MiB of float32 stay near the caches.
BLOCK = 1 << 20


def blocks(batch: int, queries: int, row: int, size: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Slices of batch and queries that hold at most `size` elements, where one query costs `row`.

    A single row beyond the block is a block of its own: it is no larger than the keys themselves.
    """
    size = BLOCK if size is None else size
    query_step = max(1, min(queries, size // max(row, 1)))
    batch_step = max(1, size // max(row * query_step, 1)) if query_step == queries else 1
    for b in range(0, batch, batch_step):
        for q in range(0, queries, query_step):
            yield slice(b, min(b + batch_step, batch)), slice(q, min(q + query_step, queries))


def scores_forward(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"],
    energy: Float[Tensor, " units"],
) -> tuple[Float[Tensor, "batch queries keys"], None]:
    """scores[q, k] = energy . tanh(query[q] + key[k]), block by block; the backward pass needs no plan."""
    batch, queries, units = query.shape
    scores = query.new_empty(batch, queries, key.shape[1])
    for b, q in blocks(batch, queries, key.shape[1] * units):
        scores[b, q] = (query[b, q].unsqueeze(2) + key[b].unsqueeze(1)).tanh_() @ energy
    return scores, None


def scores_backward(
    grad: Float[Tensor, "batch queries keys"],
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"],
    energy: Float[Tensor, " units"],
    plan: None = None,  # noqa: ARG001
) -> tuple[Float[Tensor, "batch queries units"], Float[Tensor, "batch keys units"], Float[Tensor, " units"]]:
    """Gradients of query, key and energy, every tanh computed again in its block."""
    grad_query, grad_key, grad_energy = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(energy)
    for b, q in blocks(query.shape[0], query.shape[1], key.shape[1] * query.shape[2]):
        near, far, upstream = query[b, q].unsqueeze(2), key[b].unsqueeze(1), grad[b, q]
        grad_energy += torch.einsum("bqk,bqku->u", upstream, (near + far).tanh_())
        # 1 - tanh^2 would lose every digit far out
        slope = (near + far).cosh_().pow_(-2).mul_(upstream.unsqueeze(-1))
        grad_query[b, q] = slope.sum(dim=2)
        grad_key[b] += slope.sum(dim=1)
    return grad_query * energy, grad_key * energy, grad_energy


def _weights(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the visible keys; zero where a row sees nothing."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    hidden = ~mask
    # An empty row is NaN after the softmax, and hidden from end to end.
    return torch.softmax(scores.masked_fill_(hidden, -torch.inf), dim=-1).masked_fill_(hidden, 0.0)


def visible(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keys and values with 0 where no query may look, for 0 * NaN is NaN; and the mask over all axes."""
    if mask is None:
        return key, value, None
    mask = mask.expand(query.shape[0], query.shape[1], key.shape[1])
    seen = mask.any(dim=1).unsqueeze(-1)
    return key.where(seen, 0.0), value.where(seen, 0.0), mask


def attention_forward(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"],
    value: Float[Tensor, "batch keys value_dim"],
    energy: Float[Tensor, " units"],
    mask: Bool[Tensor, "#batch #queries #keys"] | None,
    need_weights: bool,
    need_grad: bool,  # noqa: ARG001
) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"] | None, None]:
    """Context, and the weights on request, block by block; the backward pass needs no plan."""
    batch, queries, _ = query.shape
    key, value, mask = visible(query, key, value, mask)
    context = value.new_empty(batch, queries, value.shape[2])
    weights = query.new_empty(batch, queries, key.shape[1]) if need_weights else None
    for b, q in blocks(batch, queries, key.shape[1]):
        block = _weights(scores_forward(query[b, q], key[b], energy)[0], None if mask is None else mask[b, q])
        context[b, q] = block @ value[b]
        if weights is not None:
            weights[b, q] = block
    return context, weights, None


def attention_backward(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"],
    value: Float[Tensor, "batch keys value_dim"],
    energy: Float[Tensor, " units"],
    grad_context: Float[Tensor, "batch queries value_dim"],
    grad_weights: Float[Tensor, "batch queries keys"] | None,
    mask: Bool[Tensor, "#batch #queries #keys"] | None,
    weights: Tensor | None = None,  # noqa: ARG001
    plan: None = None,  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value and energy; scores and weights are computed again, block by block."""
    key, value, mask = visible(query, key, value, mask)
    grad_query, grad_key = torch.empty_like(query), torch.zeros_like(key)
    grad_value, grad_energy = torch.zeros_like(value), torch.zeros_like(energy)
    for b, q in blocks(query.shape[0], query.shape[1], key.shape[1]):
        block = _weights(scores_forward(query[b, q], key[b], energy)[0], None if mask is None else mask[b, q])
        grad_value[b] += block.transpose(1, 2) @ grad_context[b, q]
        upstream = grad_context[b, q] @ value[b].transpose(1, 2)
        if grad_weights is not None:
            upstream += grad_weights[b, q]
        upstream = block * (upstream - (block * upstream).sum(dim=-1, keepdim=True))
        grad_query[b, q], key_part, energy_part = scores_backward(upstream, query[b, q], key[b], energy)
        grad_key[b] += key_part
        grad_energy += energy_part
    return grad_query, grad_key, grad_value, grad_energy
