"""Intra-temporal attention: keys that scored high for earlier queries count less (Paulus, Xiong and Socher 2018)."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.attention.source import PAULUS_2018
from heedful.functional import masked_softmax

from ._alignment import grown, readable
from .base import Normalizer


def add_score(
    past: Float[Tensor, "batch keys"], scores: Float[Tensor, "batch keys"], visible: Bool[Tensor, "batch keys"]
) -> Float[Tensor, "batch keys"]:
    """`log(exp past + exp scores)` at visible keys, `past` at the others; minus infinity stands for no past.

    >>> add_score(torch.tensor([[-torch.inf, 0.0]]), torch.tensor([[2.0, 0.0]]), torch.tensor([[True, True]]))
    tensor([[2.0000, 0.6931]])
    """
    known = past > -torch.inf
    # replaced before the sum of exponentials: infinity minus infinity has no gradient
    total = torch.where(known, torch.logaddexp(torch.where(known, past, 0.0), scores), scores)
    return torch.where(visible, total, past)


class IntraTemporalNormalizer(Normalizer):
    """`weights[q, k] ~ exp(scores[q, k]) / sum_{j < q} exp(scores[j, k])`, each row summing to 1; a softmax at first.

    Computed as `softmax(scores - L)` with `L` the running log-sum-exp, so that no score overflows. A key that was
    hidden from all earlier queries counts as in the first row; the paper has no such keys. One query at a time: a call
    over many scans them.

    State: `L [batch, keys]`, minus infinity where a key has not been seen.

    Cost: time queries * keys, one query after another; memory queries * keys.

    >>> weights, state = IntraTemporalNormalizer()(torch.tensor([[[0.0, 3.0]]]), None)
    >>> IntraTemporalNormalizer()(torch.tensor([[[0.0, 3.0]]]), None, state)[0]
    tensor([[[0.5000, 0.5000]]])
    """

    source = PAULUS_2018(place="section 2.1")
    stateful = True

    def begin(self, visible: Bool[Tensor, "batch keys"], dtype: torch.dtype = torch.float32) -> Tensor:
        """Minus infinity: no key has been seen."""
        return torch.full_like(visible, -torch.inf, dtype=dtype)

    def forward(
        self,
        scores: Float[Tensor, "batch 1 keys"],
        mask: Bool[Tensor, "#batch #queries #keys"] | None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "batch 1 keys"], Any]:
        energy, visible = readable(scores, mask)
        state = self.begin(visible, energy.dtype) if state is None else state
        past = grown(state, energy.shape[1], -torch.inf)
        logits = energy - torch.where(past > -torch.inf, past, 0.0)
        return masked_softmax(logits.unsqueeze(1), visible.unsqueeze(1)), add_score(past, energy, visible)
