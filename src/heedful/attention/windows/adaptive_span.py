"""Adaptive span: how far back a query looks is learned (Sukhbaatar et al. 2019, section 2)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import SUKHBAATAR_2019
from heedful.functional import widen

from .base import View, Window, check_reach


class AdaptiveSpanWindow(Window):
    """`k <= position[q]`, weights times `clamp((ramp + z - distance) / ramp, 0, 1)` before the division, `z` learned.

    Told as a bias, the logarithm of that factor: under softmax that is the same. Add `span`, times a small number, to
    the loss, or it does not shrink. The query's own key is seen, which the paper leaves out.

    With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`.

    Args:
        max_span: the largest `z`.
        ramp: places from a factor of 1 to 0; 32 in the paper.
        start: first value of `z`, as a share of `max_span`.

    Parameters: `share []`, `z / max_span`. Where it has left 0 to 1, the nearer end counts, and the gradient passes.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: a reach is not a whole number from 1 up, or `start` no share.

    >>> window = AdaptiveSpanWindow(max_span=8, ramp=2, start=0.25)
    >>> view, _ = window(torch.ones(1, 1, 4), torch.tensor([[5]]), torch.tensor([6]), keys=6)
    >>> view.bias.exp() * view.mask
    tensor([[[0.0000, 0.0000, 0.5000, 1.0000, 1.0000, 1.0000]]],
           grad_fn=<MulBackward0>)
    """

    source = SUKHBAATAR_2019(place="section 2")
    biases = True
    aligned_to_end = True

    def __init__(self, max_span: int, ramp: int = 32, start: float = 0.0) -> None:
        super().__init__()
        check_reach(1, max_span=max_span, ramp=ramp)
        _refusals.check_numbers(start=start)
        if not 0 <= start <= 1:
            raise ValueError(f"start is {start!r}; expected a share of max_span, from 0 to 1.")
        self.max_span, self.ramp = max_span, ramp
        self.share = nn.Parameter(torch.tensor(float(start)))

    @property
    def span(self) -> Float[Tensor, ""]:
        """`z`: the distance up to which a key counts in full."""
        # past an end the value stops and the gradient does not, so that the share can come back
        inside = self.share + (self.share.clamp(0, 1) - self.share).detach()
        return self.max_span * inside

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        distance = positions.unsqueeze(-1) - torch.arange(keys, device=positions.device)
        factor = ((self.ramp + widen(self.span) - distance) / self.ramp).clamp_max(1)
        seen = (distance >= 0) & (factor > 0)
        # 1 where nothing is seen: its logarithm and the gradient of it stay finite
        return View(mask=seen, bias=factor.where(seen, 1).log()), state
