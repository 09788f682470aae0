"""Softmax with a sink: a row may attend to nothing (Miller 2023, off by one; learned sinks as in gpt-oss 2025)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import MILLER_2023
from heedful.functional import masked_softmax

from .base import Normalizer, per_head


class SoftmaxOneNormalizer(Normalizer):
    """`weights = exp(scores) / (exp(sink) + sum exp(scores))`: a row sums to less than 1 where no key fits.

    Args:
        learned: train the sink; otherwise it is 0, the "off by one" of the source.
        heads: learned sinks: 1, or how many heads of an item stand side by side in the batch, as multi-head attention
            folds them.

    Parameters: `sink [heads]` if learned, 0.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: `heads` is not a whole number from 1 up; in a call, a batch that is no multiple of the heads.

    >>> SoftmaxOneNormalizer()(torch.zeros(1, 1, 3), None)[0]
    tensor([[[0.2500, 0.2500, 0.2500]]])
    """

    source = MILLER_2023(place="section Softmax One")

    def __init__(self, learned: bool = False, heads: int = 1) -> None:
        super().__init__()
        _refusals.check_sizes(heads=heads)
        self.sink = nn.Parameter(torch.zeros(heads)) if learned else None
        self.heads = heads if learned else 1

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        shape = (*scores.shape[:-1], 1)
        sink = scores.new_zeros(shape) if self.sink is None else per_head(self.sink.to(scores), scores).expand(shape)
        if mask is not None:
            visible = mask.expand(scores.shape)
            mask = torch.cat((visible, visible.new_ones(shape)), -1)
        return masked_softmax(torch.cat((scores, sink), -1), mask)[..., :-1], state
