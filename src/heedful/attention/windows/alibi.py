"""ALiBi: a penalty on distance, with a slope for each head (Press, Smith and Lewis 2022, section 3)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.attention.heads import heads_of
from heedful.attention.source import PRESS_2022
from heedful.functional import widen

from .base import View, Window, check_reach, distances


def alibi_slopes(heads: int) -> Float[Tensor, " {heads}"]:
    """The paper's slopes: `2^(-8 (h + 1) / heads)` for a power of two of heads.

    For another number, those of the next lower power of two, then every second one of the next higher.

    Raises:
        ValueError: `heads` is not a whole number from 1 up.

    >>> alibi_slopes(4), alibi_slopes(3)
    (tensor([0.2500, 0.0625, 0.0156, 0.0039]), tensor([0.0625, 0.0039, 0.2500]))
    """
    check_reach(1, heads=heads)
    lower = 2 ** int(math.log2(heads))
    few, many = ([2.0 ** (-8 * (head + 1) / count) for head in range(count)] for count in (lower, 2 * lower))
    # on the CPU also where a model is built on the meta device
    return torch.tensor((few + many[::2])[:heads], device="cpu")


def alibi_bias(
    positions: Int[Tensor, "*batch queries"], keys: int, slopes: Float[Tensor, " heads"]
) -> Float[Tensor, "*batch heads queries {keys}"]:
    """`-slopes[h] |k - position[q]|` for every head.

    >>> alibi_bias(torch.tensor([1]), 3, torch.tensor([1.0, 0.5]))
    tensor([[[-1.0000, -0.0000, -1.0000]],
    <BLANKLINE>
            [[-0.5000, -0.0000, -0.5000]]])
    """
    far = distances(positions, keys).abs().unsqueeze(-3)
    return -slopes.view(-1, 1, 1) * far


class AlibiBias(Window):
    """`bias[q, k] = -slope |k - position[q]|`, the nearer, the better.

    The paper's use is causal: join it with `CausalWindow` by `AndWindow`. With fewer queries than keys, the last query
    stands at the last key, as there. `alibi_bias` is the same for layers that keep heads on an axis of their own.

    Args:
        slopes: penalty for each place between, a constant, as in the paper; or one for each head, as `alibi_slopes`
            gives them, where the heads of an item stand side by side in the batch, as multi-head attention folds them.

    Cost: time queries * keys; memory queries * keys.

    Raises:
        ValueError: a slope is negative or no number, or none came; in a call, a batch that is no multiple of the heads.

    >>> view, _ = AlibiBias(0.5)(torch.ones(1, 1, 4), torch.tensor([[1]]), torch.tensor([4]), keys=4)
    >>> view.bias
    tensor([[[-0.5000, -0.0000, -0.5000, -1.0000]]])
    """

    source = PRESS_2022(place="section 3")
    aligned_to_end = True
    biases = True

    def __init__(self, slopes: float | Sequence[float] | Float[Tensor, " heads"]) -> None:
        super().__init__()
        self.slopes = [float(slope) for slope in ([slopes] if isinstance(slopes, float | int) else slopes)]
        if not self.slopes or not all(0 <= slope < math.inf for slope in self.slopes):
            raise ValueError(f"slopes are {self.slopes}; expected numbers from 0 (no penalty) up, one or more.")
        self.heads = len(self.slopes)

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        slopes = widen(query).new_tensor(self.slopes)[heads_of(positions.shape[0], len(self.slopes), query.device)]
        return View(bias=-slopes.view(-1, 1, 1) * distances(positions, keys).abs()), state
