"""Score bias: a function of two places, added to the score (PyTorch 2024, score_mod of flex_attention)."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful import _refusals
from heedful.attention.source import PYTORCH_2024
from heedful.functional import widen

from .base import View, Window

Bias = Callable[[Tensor, Tensor], Tensor]


class ScoreBias(Window):
    """`bias[q, k] = function(position[q], k)`, any function of the two places.

    With fewer queries than keys, the last query stands at the last key, as in `CausalWindow`. Unlike `score_mod` the
    function is told neither batch item nor head: numbers for each item have a first axis, as those of heads, which
    stand side by side there. What changes the scores themselves is no window: see `SoftcapScore`.

    Args:
        function: of the places of queries `[batch, queries, 1]` and of keys `[keys]`, both whole numbers, to what
            broadcasts to `[batch, queries, keys]`; element by element, as in `-(query - key).abs()`, or from a table,
            as in `table[query, key]`. A module's parameters are learned. A lambda cannot be pickled.

    Cost: time that of its function, queries * keys times; memory queries * keys.

    Raises:
        TypeError: in construction, it cannot be called, or in a call, it gives no numbers of floating point.
        ValueError: in a call, it gives numbers for other places.

    >>> window = ScoreBias(lambda query, key: -0.5 * (query - key).abs())
    >>> window(torch.ones(1, 1, 4), torch.tensor([[1]]), torch.tensor([4]), keys=4)[0].bias
    tensor([[[-0.5000, -0.0000, -0.5000, -1.0000]]])
    """

    source = PYTORCH_2024(place="function flex_attention, argument score_mod")
    aligned_to_end = True
    biases = True

    def __init__(self, function: Bias) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(
                f"function is a {type(function).__name__}; expected a function of the places of query and key. For a "
                "table write `lambda query, key: table[query, key]`."
            )
        self.function = function

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        bias = self.function(positions.unsqueeze(-1), torch.arange(keys, device=positions.device))
        if bias.dtype == torch.bool:
            raise TypeError(
                "the bias is boolean, True and False; expected numbers to add to the scores. What hides keys is a "
                "mask: give it as `mask=`, True = may look."
            )
        if not bias.is_floating_point():
            raise _refusals.not_floats(bias.dtype, "the bias")
        queries = positions.shape[1]
        if any(size not in (1, whole) for size, whole in zip(reversed(bias.shape), (keys, queries), strict=False)):
            raise ValueError(
                f"the bias has shape {tuple(bias.shape)}; expected [queries, keys] = [{queries}, {keys}], or what "
                "broadcasts to it. Let the function read the places that it is given."
            )
        return View(bias=bias.to(widen(query).dtype).reshape((1,) * (3 - bias.dim()) + bias.shape)), state
