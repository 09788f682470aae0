"""Luong attention: dot, general or concat score, everywhere, softmax (Luong, Pham and Manning 2015, section 3.1)."""

from typing import Literal, get_args

from heedful import _refusals

from .base import Attention
from .scores import ConcatScore, DotScore, GeneralScore, ScaledDotScore, Score
from .source import LUONG_2015, mechanism

LuongScoreName = Literal["dot", "scaled_dot", "general", "concat"]


@mechanism(LUONG_2015(place="section 3.1"))
def LuongAttention(  # noqa: N802
    query_dim: int, key_dim: int, score: LuongScoreName = "general", hidden_dim: int | None = None
) -> Attention:
    """Global attention: softmax over the keys of `query . key`, `query . W key` or `energy . tanh(W [query; key])`.

    "scaled_dot" is not in the paper.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output); equal to `query_dim` for "dot" and "scaled_dot".
        score: "dot", "scaled_dot", "general" or "concat".
        hidden_dim: features of the tanh layer of "concat"; `query_dim` when left out.

    Raises:
        ValueError: an unknown score, or sizes that a dot product cannot compare.

    >>> import torch
    >>> LuongAttention(query_dim=4, key_dim=5)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(_score(query_dim, key_dim, score, query_dim if hidden_dim is None else hidden_dim))


def _score(query_dim: int, key_dim: int, name: str, hidden_dim: int) -> Score:
    if name not in get_args(LuongScoreName):
        raise _refusals.unknown_choice("score", name, get_args(LuongScoreName))
    if name == "general":
        return GeneralScore(query_dim, key_dim)
    if name == "concat":
        return ConcatScore(query_dim, key_dim, hidden_dim)
    if query_dim != key_dim:
        instead = f'LuongAttention({query_dim}, {key_dim}, score="general")'
        raise _refusals.no_direct_comparison(key_dim, query_dim, repr(name), instead)
    return DotScore(query_dim) if name == "dot" else ScaledDotScore(query_dim)
