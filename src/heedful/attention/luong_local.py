"""Luong's local attention: a window of keys around one place (Luong, Pham and Manning 2015, section 3.2)."""

from typing import Literal, get_args

from heedful import _refusals

from .base import Attention
from .luong import ContentScoreName, content_score
from .source import LUONG_2015, mechanism
from .windows import LocalMonotonicWindow, LocalPredictiveWindow, Window

LocalMode = Literal["predictive", "monotonic"]


@mechanism(LUONG_2015(place="section 3.2, equations 9-10"))
def LuongLocalAttention(  # noqa: N802
    query_dim: int,
    key_dim: int,
    mode: LocalMode = "predictive",
    score: ContentScoreName = "general",
    half_width: int = 10,
    clamp: bool = False,
    hidden_dim: int | None = None,
) -> Attention:
    """Softmax over the keys near a place: predicted from the query (local-p), or the query's own (local-m).

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output); equal to `query_dim` for "dot" and "scaled_dot".
        mode: "predictive" (local-p: weights times a Gaussian around the place) or "monotonic" (local-m).
        score: "dot", "scaled_dot", "general" or "concat".
        half_width: keys on each side of the place; 10 in the paper.
        clamp: with "monotonic", stay at the last key once the target is longer than the source.
        hidden_dim: features of the tanh layers of "concat" and of "predictive"; `query_dim` when left out.

    Cost: time queries * keys * dim; memory queries * keys.

    Raises:
        ValueError: an unknown mode or score, or sizes that do not fit.

    >>> import torch
    >>> LuongLocalAttention(query_dim=4, key_dim=5)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    if mode not in get_args(LocalMode):
        raise _refusals.unknown_choice("mode", mode, get_args(LocalMode))
    window: Window = LocalMonotonicWindow(half_width, clamp)
    if mode == "predictive":
        window = LocalPredictiveWindow(query_dim, hidden_dim, half_width)
    return Attention(content_score(query_dim, key_dim, score, hidden_dim), window)
