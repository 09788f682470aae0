"""Not to go back in the source (Rios et al. 2021)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ._weights import mean_item, visible_weights


def monotonicity_penalty(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    margin: float = 0.0,
) -> Float[Tensor, ""]:
    """`sum_q max(0, E[q - 1] - E[q] + margin)` of expected places `E[q] = sum_k k weights[q, k]`: not to go back.

    A row is divided by its sum first; a row of zeros is left out. The margin form is after Rios et al. 2021.

    Args:
        weights: `[batch, queries, keys]`.
        query_mask: real queries; each is compared with the real one before it.
        key_mask: real keys.
        margin: by how many keys each query should go on.

    Source: Rios et al.: On Biasing Transformer Attention Towards Monotonicity, 2021, section on the monotonicity
    loss.

    Cost: time queries * keys; memory queries * keys.

    >>> monotonicity_penalty(torch.eye(3).flip(0).unsqueeze(0))
    tensor(2.)
    """
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    mass = weights.sum(2)
    looks = queries & (mass > 0)
    places = weights @ torch.arange(weights.shape[2], dtype=weights.dtype, device=weights.device)
    expected = places / mass.masked_fill(mass == 0, 1)
    # those that look side by side, in their order
    order = (~looks).long().argsort(dim=1, stable=True)
    expected, looks = expected.gather(1, order), looks.gather(1, order)
    back = (expected[:, :-1] - expected[:, 1:] + margin).relu() * looks[:, 1:]
    return mean_item(back.sum(1), queries, keys)
