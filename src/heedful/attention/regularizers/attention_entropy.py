"""How spread weights are: their entropy (Shannon 1948)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, mean_row, safe_log, visible_weights


def attention_entropy(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    normalized: bool = False,
) -> Float[Tensor, ""]:
    """`-sum_k w ln w` in nats, the mean over the real queries; normalised, of `H / ln(real keys)` in [0, 1].

    Subtract it to keep weights spread, add it to sharpen them. `0 ln 0` is 0; so is the normalised entropy of one key.

    Source: Shannon: A Mathematical Theory of Communication, 1948, section 6.

    Cost: time queries * keys; memory queries * keys.

    >>> attention_entropy(torch.full((1, 3, 4), 0.25), normalized=True)
    tensor(1.)
    """
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    rows = -(weights * safe_log(weights)).sum(2)
    if normalized:
        count = keys.sum(1, keepdim=True)
        rows = torch.where(count > 1, rows / count.clamp_min(2).to(rows.dtype).log(), 0)
    return mean_item(mean_row(rows, queries), queries, keys)
