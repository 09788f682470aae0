"""What each key may still receive: the budgets of constrained softmax and sparsemax."""

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful import _refusals

from ._alignment import grown, last_place, one_hot, readable
from .base import Normalizer


def _check_enough(visible: Tensor, budget: Tensor) -> None:
    """Refuse a query whose visible keys may not receive 1 together.

    Raises:
        ValueError: naming the first such batch item.
    """
    room = torch.where(visible, budget, 0.0).sum(1).masked_fill(~visible.any(1), 1.0)
    # sums of many weights end a few roundings short
    short = (room < 1 - 1e-4).nonzero()
    if len(short):
        item = int(short[0])
        raise ValueError(
            f"the visible keys of batch item {item} may receive {float(room[item]):.3g} more in all; expected 1 for "
            "each query. Raise the fertility, use sink=True, or strict=False for rows that take what is left."
        )


class ConstrainedNormalizer(Normalizer):
    """Budgets: their first values, the score bonus of what is left, and the update."""

    stateful = True

    def __init__(
        self,
        fertility: float = 2.0,
        sink: bool = False,
        exhaustion: float = 0.0,
        strict: bool = False,
        detach_state: bool = False,
    ) -> None:
        super().__init__()
        _refusals.check_numbers(fertility=fertility, exhaustion=exhaustion)
        if not fertility > 0:
            raise ValueError(f"fertility is {fertility}; expected the weight that a key may receive in all, above 0.")
        if not exhaustion >= 0:
            raise ValueError(
                f"exhaustion is {exhaustion}; expected 0 for none, or a positive number: the paper has 0.2."
            )
        self.fertility, self.sink, self.exhaustion = fertility, sink, exhaustion
        self.strict, self.detach_state = strict, detach_state

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """The fertility of each key; of a sink, which is the last visible one, without a limit."""
        budget = torch.full_like(visible, self.fertility, dtype=dtype)
        return torch.where(one_hot(last_place(visible), budget) > 0, torch.inf, budget) if self.sink else budget

    def forward(
        self,
        scores: Float[Tensor, "batch 1 keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        energy, visible = readable(scores, mask)
        state = self.begin(visible, energy.dtype) if state is None else state
        budget = grown(state, energy.shape[1], self.fertility)
        # a graph cannot end in an error
        if self.strict and not torch.compiler.is_compiling():
            _check_enough(visible, budget)
        if self.exhaustion:
            # an infinite budget, that of the sink, adds nothing
            energy = energy + self.exhaustion * torch.where(visible & budget.isfinite(), budget, 0.0)
        weights = self.project(energy, visible, budget)
        left = budget - weights
        return weights.unsqueeze(1), left.detach() if self.detach_state else left

    @staticmethod
    @abstractmethod
    def project(scores: Tensor, visible: Tensor, budget: Tensor) -> Tensor:
        """The nearest distribution within the budgets."""
