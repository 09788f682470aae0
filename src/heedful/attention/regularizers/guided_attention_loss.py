"""Weights far from the diagonal cost (Tachibana et al. 2018)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals

from ._weights import share_of_length, visible_weights


def guided_attention_loss(
    weights: Float[Tensor, "batch queries keys"],
    query_mask: Bool[Tensor, "batch queries"] | None = None,
    key_mask: Bool[Tensor, "batch keys"] | None = None,
    width: float = 0.2,
    padded: bool = False,
) -> Float[Tensor, ""]:
    """Mean over all cells of `weights[t, n] (1 - exp(-(n / N - t / T)^2 / (2 width^2)))` (Tachibana et al. 2018).

    Weights far from the diagonal cost; `N` and `T` are the real keys and queries of an item.

    Args:
        weights: `[batch, queries, keys]`.
        query_mask: real queries.
        key_mask: real keys.
        width: of the diagonal band, as a share of the length.
        padded: the mean over all cells of the batch, padding too, as SpeechBrain computes it; otherwise the real ones.

    Raises:
        ValueError: the width is not positive.

    Source: Tachibana, Uenoyama and Aihara: Efficiently Trainable Text-to-Speech System Based on Deep Convolutional
    Networks with Guided Attention, 2018, section 4.1.

    Cost: time queries * keys; memory queries * keys.

    >>> guided_attention_loss(torch.eye(3).unsqueeze(0))
    tensor(0.)
    """
    _refusals.check_numbers(width=width)
    if not width > 0:
        raise ValueError(f"width is {width}; expected a number above 0, 0.2 being common.")
    weights, queries, keys = visible_weights(weights, query_mask, key_mask)
    step, place = (share_of_length(real, weights.dtype) for real in (queries, keys))
    distance = place.unsqueeze(1) - step.unsqueeze(2)
    far = 1 - torch.exp(-distance.square() / (2 * width**2))
    cells = queries.unsqueeze(2) & keys.unsqueeze(1)
    return (weights * far).sum() / (max(cells.numel(), 1) if padded else cells.sum().clamp_min(1))
