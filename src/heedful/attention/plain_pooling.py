"""Baselines without attention: mean (Iyyer et al. 2015), maximum (Collobert et al. 2011) and last step (2014)."""

import torch
from torch import Tensor

from heedful.functional import last_visible

from .pooling import Pooled, Pooling
from .source import Source


class MeanPooling(Pooling):
    """The mean of the visible steps, a baseline.

    Cost: time steps * dim; memory steps.

    >>> MeanPooling()(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([[True, True, False]])).vector
    tensor([[1.5000]])
    """

    source = Source(
        "Iyyer et al.: Deep Unordered Composition Rivals Syntactic Methods for Text Classification", "section 2.1", 2015
    )

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        seen = _all(steps) if visible is None else visible
        weights = seen.to(steps.dtype) / seen.sum(1, keepdim=True).clamp_min(1)
        return Pooled(torch.einsum("bk,bkd->bd", weights, steps), weights if need_weights else None)


class MaxPooling(Pooling):
    """The largest of the visible steps, feature by feature, a baseline; a step's weight is its part of the features.

    Cost: time steps * dim; memory steps.

    >>> MaxPooling()(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([[True, True, False]])).vector
    tensor([[2.]])
    """

    source = Source("Collobert et al.: Natural Language Processing (Almost) from Scratch", "section 3.3.2", 2011)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        seen = _all(steps) if visible is None else visible
        batch, keys, dim = steps.shape
        largest, places = steps.masked_fill(~seen.unsqueeze(-1), -torch.inf).max(1)
        empty = ~seen.any(1, keepdim=True)
        weights = None
        if need_weights:
            counts = steps.new_zeros(batch, keys).scatter_add_(1, places, torch.ones_like(largest))
            weights = (counts / dim).masked_fill(empty, 0)
        return Pooled(largest.masked_fill(empty, 0), weights)


class LastPooling(Pooling):
    """The last visible step of each sequence, a baseline.

    Cost: time steps * dim; memory steps.

    >>> LastPooling()(torch.tensor([[[1.0], [2.0], [9.0]]]), torch.tensor([[True, True, False]])).vector
    tensor([[2.]])
    """

    source = Source("Sutskever, Vinyals and Le: Sequence to Sequence Learning with Neural Networks", "section 2", 2014)

    def pool(self, steps: Tensor, visible: Tensor | None, need_weights: bool) -> Pooled:
        weights = None
        if need_weights:
            numbers = (
                torch.arange(1, steps.shape[1] + 1, device=steps.device).view(1, -1, 1).expand(steps.shape[0], -1, 1)
            )
            weights = (numbers.squeeze(-1) == last_visible(numbers, visible)).to(steps.dtype)
        return Pooled(last_visible(steps, visible), weights)


def _all(steps: Tensor) -> Tensor:
    return torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)
