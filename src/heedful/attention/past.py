"""Looking back: every step of one sequence looks at the steps before it, and not at itself."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from heedful.functional import check_mask


def hide_own(
    states: Float[Tensor, "batch steps dim"], mask: Bool[Tensor, "#batch 1 #steps"] | None
) -> tuple[Float[Tensor, "batch steps dim"], Bool[Tensor, "#batch steps steps"]]:
    """The states, zeros where they are hidden, and which earlier ones each may see; a hidden query sees none.

    Raises:
        ValueError: the mask does not fit, or is not boolean (a TypeError, too).

    >>> hide_own(torch.ones(1, 3, 2), torch.tensor([[[True, True, False]]]))[1].int()
    tensor([[[0, 0, 0],
             [1, 0, 0],
             [0, 0, 0]]], dtype=torch.int32)
    """
    batch, steps, _ = states.shape
    check_mask(mask, batch, 1, steps)
    earlier = torch.ones(steps, steps, dtype=torch.bool, device=states.device).tril(-1).unsqueeze(0)
    if mask is None:
        return states, earlier
    mask = mask.expand(-1, 1, steps)
    return states.masked_fill(~mask.mT, 0), earlier & mask & mask.mT
