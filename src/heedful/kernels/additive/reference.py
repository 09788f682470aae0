"""Reference of additive attention (Bahdanau 2015, section 3.1): the four-dimensional tensor is built.

Every fused path is held against these lines in float64; `torch.export` emits them, a graph cannot choose by its data.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Up to so many elements the tanh is taken in place: a large block by itself would go back to the system each time.
_FEW = 4096


def additive_scores(
    query: Float[Tensor, "batch queries units"], key: Float[Tensor, "batch keys units"], energy: Float[Tensor, " units"]
) -> Float[Tensor, "batch queries keys"]:
    """scores[q, k] = energy . tanh(query[q] + key[k]), through a tensor of batch x queries x keys x units."""
    return torch.tanh(query.unsqueeze(2) + key.unsqueeze(1)) @ energy


def masked_softmax(
    scores: Float[Tensor, "batch queries keys"], mask: Bool[Tensor, "batch queries keys"] | None
) -> Float[Tensor, "batch queries keys"]:
    """Softmax over the visible keys; a row that sees nothing has zero weights and zero gradient."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    empty = ~mask.any(dim=-1, keepdim=True)
    hidden = scores.masked_fill(~mask, -torch.inf).masked_fill(empty, 0.0)
    return torch.softmax(hidden, dim=-1).masked_fill(~mask, 0.0)


def additive_attention(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"],
    value: Float[Tensor, "batch keys value_dim"],
    energy: Float[Tensor, " units"],
    mask: Bool[Tensor, "batch queries keys"] | None = None,
) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"]]:
    """Context and weights: the softmax of the scores over the visible keys, and what it reads."""
    if mask is not None:
        seen = mask.any(dim=-2).unsqueeze(-1)
        # 0 * NaN is NaN: hidden keys are replaced before any product.
        key, value = key.where(seen, 0.0), value.where(seen, 0.0)
    weights = masked_softmax(additive_scores(query, key, energy), mask)
    return weights @ value, weights


def small_attention(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch keys units"],
    value: Float[Tensor, "batch keys value_dim"],
    energy: Float[Tensor, " units"],
) -> tuple[Float[Tensor, "batch queries value_dim"], Float[Tensor, "batch queries keys"]]:
    """Context and weights by the fewest of PyTorch's operators: the fastest way where there are few elements."""
    one_query = query.shape[1] == 1
    hidden = query + key if one_query else query.unsqueeze(2) + key.unsqueeze(1)
    hidden = hidden.tanh_() if hidden.numel() <= _FEW else hidden.tanh()
    weights = torch.softmax(hidden @ energy, -1)
    weights = weights.unsqueeze(1) if one_query else weights
    # a batch of products of one number each: a plain product is up to ten times faster
    one_each = value.shape[1] == 1 < value.shape[0]
    return weights * value if one_each else torch.bmm(weights, value), weights


def only_key_attention(
    query: Float[Tensor, "batch queries units"],
    key: Float[Tensor, "batch 1 units"],
    value: Float[Tensor, "batch 1 value_dim"],
    energy: Float[Tensor, " units"],
) -> Float[Tensor, "batch queries value_dim"]:
    """Context where there is one key: its weight is 1 whatever its score, but a score that is no number shows."""
    hidden = query + key
    hidden = hidden.tanh_() if hidden.numel() <= _FEW else hidden.tanh()
    return torch.add(value, (hidden @ energy).unsqueeze(2), alpha=0)
