"""Windows joined by "and" and "or" (PyTorch 2024, and_masks and or_masks of flex_attention)."""

from collections.abc import Iterable
from functools import reduce
from operator import and_, mul, or_
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful.attention.source import PYTORCH_2024

from .base import View, Window


class AndWindow(Window):
    """`mask = mask_1 and mask_2 ...`, biases added, gains multiplied: what every one of the windows shows.

    What they add to the context is added up, too.

    Where one of them lets the last query stand at the last key, all do.

    Args:
        windows: any number from 1 up.

    State: a tuple, one entry for each window; none where no window has one.

    Cost: time that of its windows; memory queries * keys.

    Raises:
        ValueError: no windows.

    >>> from heedful.attention.windows import CausalWindow, DilatedWindow
    >>> window = AndWindow(CausalWindow(), DilatedWindow(1, 2))
    >>> window(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([5]), keys=5)[0].mask
    tensor([[[ True, False,  True, False, False]]])
    """

    source = PYTORCH_2024(place="function and_masks")

    def __init__(self, *windows: Window) -> None:
        super().__init__()
        self.windows = _listed(windows)
        self.stateful = any(window.stateful for window in windows)
        self.aligned_to_end = any(window.aligned_to_end for window in windows)
        self.biases = any(window.biases for window in windows)
        self.scales = any(window.scales for window in windows)
        self.reads = any(window.reads for window in windows)

    def begin(self, lengths: Int[Tensor, " batch"]) -> tuple | None:
        """The state of every window."""
        return _begin(self.windows, lengths) if self.stateful else None

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        views, states = _look(self.windows, state, query, positions, lengths, keys)
        masks, biases, gains = ([part for part in parts if part is not None] for parts in views)
        bias = reduce(torch.add, biases) if biases else None
        view = View(reduce(and_, masks) if masks else None, bias, reduce(mul, gains) if gains else None)
        return view, states if self.stateful else state

    def read(
        self, weights: Float[Tensor, "batch queries keys"], positions: Int[Tensor, "batch queries"]
    ) -> Float[Tensor, "batch queries value_dim"] | None:
        """What the windows add to the context, added up."""
        return _read(self.windows, weights, positions)

    def update(self, state: Any, weights: Float[Tensor, "batch queries keys"]) -> Any:
        """The state of every window."""
        return _update(self.windows, state, weights) if self.stateful else state


class OrWindow(Window):
    """`mask = mask_1 or mask_2 ...`: what one of the windows shows, at least.

    Where one of them lets the last query stand at the last key, all do.

    Args:
        windows: any number from 1 up, of those that hide keys and do nothing else.

    State: a tuple, one entry for each window; none where no window has one.

    Cost: time that of its windows; memory queries * keys.

    Raises:
        ValueError: no windows, or one with a bias or a gain: whose it is, where another window shows the key, too,
            is not defined.

    >>> from heedful.attention.windows import SinkWindow, SlidingWindow
    >>> window = OrWindow(SlidingWindow(0, 1), SinkWindow(0, sinks=1))
    >>> window(torch.ones(1, 1, 4), torch.tensor([[2]]), torch.tensor([5]), keys=5)[0].mask
    tensor([[[ True, False,  True,  True, False]]])
    """

    source = PYTORCH_2024(place="function or_masks")

    def __init__(self, *windows: Window) -> None:
        super().__init__()
        self.windows = _listed(windows)
        for window in windows:
            if window.biases or window.scales or window.reads:
                what = "a gain" if window.scales else "a bias"
                raise ValueError(
                    f"{type(window).__name__} has {what}, which is not defined where another window shows the key, "
                    f"too. Join the others with OrWindow, and that with {type(window).__name__} by AndWindow."
                )
        self.stateful = any(window.stateful for window in windows)
        self.aligned_to_end = any(window.aligned_to_end for window in windows)

    def begin(self, lengths: Int[Tensor, " batch"]) -> tuple | None:
        """The state of every window."""
        return _begin(self.windows, lengths) if self.stateful else None

    def forward(
        self,
        query: Float[Tensor, "batch queries query_dim"],
        positions: Int[Tensor, "batch queries"],
        lengths: Int[Tensor, " batch"],
        keys: int,
        state: Any = None,
    ) -> tuple[View, Any]:
        (masks, _, _), states = _look(self.windows, state, query, positions, lengths, keys)
        shown = [mask for mask in masks if mask is not None]
        return View(mask=reduce(or_, shown) if len(shown) == len(masks) else None), states if self.stateful else state

    def update(self, state: Any, weights: Float[Tensor, "batch queries keys"]) -> Any:
        """The state of every window."""
        return _update(self.windows, state, weights) if self.stateful else state


def _listed(windows: tuple[Window, ...]) -> nn.ModuleList:
    if not windows:
        raise ValueError("no windows came; expected one or more. To see everything use EverywhereWindow().")
    for window in windows:
        _refusals.check_part("a window", window, Window, "CausalWindow()")
    return nn.ModuleList(windows)


def _begin(windows: Iterable[Any], lengths: Tensor) -> tuple:
    return tuple(window.begin(lengths) for window in windows)


def _look(windows: nn.ModuleList, state: tuple | None, *seen: Any) -> tuple[list[tuple], tuple]:
    """Masks, biases and gains of all windows, and their states."""
    before = (None,) * len(windows) if state is None else state
    looks = [window(*seen, each) for window, each in zip(windows, before, strict=True)]
    parts = [tuple(getattr(view, name) for view, _ in looks) for name in ("mask", "bias", "gain")]
    return parts, tuple(after for _, after in looks)


def _update(windows: Iterable[Any], state: tuple, weights: Tensor) -> tuple:
    return tuple(window.update(each, weights) for window, each in zip(windows, state, strict=True))


def _read(windows: Iterable[Any], *seen: Tensor) -> Tensor | None:
    parts = [window.read(*seen) for window in windows if window.reads]
    return reduce(torch.add, parts) if parts else None
