"""Normalisers whose first state depends on what the first query sees: in a graph they begin at that query."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from heedful.attention import Attention
from heedful.attention.normalizers import Normalizer


class DeferredStateNormalizer(Normalizer):
    """A stateful normaliser with a flag in its state: until a row has had a query, what its state holds counts as none.

    Both are computed, and the flag chooses: a graph has no branches.

    Args:
        normalizer: whose weights it gives.

    State: whether there was a query `[batch]`, and the state of the normaliser.

    >>> from heedful.attention.normalizers import StepwiseNormalizer
    >>> late, mask = DeferredStateNormalizer(StepwiseNormalizer().eval()), torch.tensor([[[False, True, True]]])
    >>> late(torch.ones(1, 1, 3), mask, late.begin(torch.ones(1, 3, dtype=torch.bool)))[0]
    tensor([[[0., 1., 0.]]])
    """

    stateful = True
    begins_by_mask = False

    def __init__(self, normalizer: Normalizer) -> None:
        super().__init__()
        self.normalizer = normalizer

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Any:
        """No query yet, and a state of the right shape."""
        return torch.zeros_like(visible.any(1)), self.normalizer.begin(visible, dtype)

    def forward(
        self,
        scores: Float[Tensor, "batch queries keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch queries keys"], Any]:
        weights, after = first = self.normalizer(scores, mask)
        if state is None:
            return weights, (scores.new_ones(scores.shape[0], dtype=torch.bool), after)
        asked, before = state
        later = self.normalizer(scores, mask, before)

        def choose(one: Tensor, other: Tensor) -> Tensor:
            return torch.where(asked.view(-1, *[1] * (one.dim() - 1)), other, one)

        weights, after = pytree.tree_map(choose, first, later)
        return weights, (torch.ones_like(asked), after)


def defer_first_state(module: nn.Module) -> None:
    """Change every attention at any depth whose window decides how its normaliser begins."""
    for attention in module.modules():
        if isinstance(attention, Attention) and attention.begins_by_window:
            attention.normalizer = DeferredStateNormalizer(attention.normalizer)
