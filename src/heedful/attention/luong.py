"""Luong attention: dot, general, concat or location score, softmax (Luong, Pham and Manning 2015, section 3.1)."""

from typing import Literal, get_args

from heedful import _refusals

from .base import Attention
from .scores import ConcatScore, DotScore, GeneralScore, LocationScore, ScaledDotScore, Score
from .source import LUONG_2015, mechanism

ContentScoreName = Literal["dot", "scaled_dot", "general", "concat"]
LuongScoreName = Literal[ContentScoreName, "location"]


@mechanism(LUONG_2015(place="section 3.1"))
def LuongAttention(  # noqa: N802
    query_dim: int,
    key_dim: int,
    score: LuongScoreName = "general",
    hidden_dim: int | None = None,
    max_keys: int | None = None,
) -> Attention:
    """Global attention: softmax over the keys of `query . key`, `query . W key` or `energy . tanh(W [query; key])`.

    "scaled_dot" is not in the paper; "location" is `W query`, whatever the keys hold.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output); equal to `query_dim` for "dot" and "scaled_dot".
        score: "dot", "scaled_dot", "general", "concat" or "location".
        hidden_dim: features of the tanh layer of "concat"; `query_dim` when left out.
        max_keys: places that "location" can look at; needed there.

    Cost: time queries * keys * dim, or hidden_dim with concat; memory queries + keys, and queries * keys for
    weights.

    Raises:
        ValueError: an unknown score, sizes that a dot product cannot compare, or "location" without `max_keys`.

    >>> import torch
    >>> LuongAttention(query_dim=4, key_dim=5)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    if score not in get_args(LuongScoreName):
        raise _refusals.unknown_choice("score", score, get_args(LuongScoreName))
    if score == "location":
        if max_keys is None:
            raise ValueError(
                "max_keys is None; 'location' expected the number of places that it can look at, such as the length of "
                "the longest source: max_keys=100."
            )
        return Attention(LocationScore(query_dim, key_dim, max_keys))
    return Attention(content_score(query_dim, key_dim, score, hidden_dim))


@mechanism(LUONG_2015(place="section 3.1, general"))
def ScaledLuongAttention(query_dim: int, key_dim: int) -> Attention:  # noqa: N802
    """Softmax of `g query . W key`, general attention with a learned scale, which starts at 1.

    The scale is not in the paper; it is the "scaled Luong" of tensorflow/nmt.

    Args:
        query_dim: features of a query (a decoder state).
        key_dim: features of a key (an encoder output).

    Cost: time queries * keys * dim; memory queries + keys, and queries * keys for scores or weights.

    Raises:
        ValueError: a size is not positive.

    >>> import torch
    >>> ScaledLuongAttention(query_dim=4, key_dim=5)(torch.ones(2, 3, 4), torch.ones(2, 6, 5)).context.shape
    torch.Size([2, 3, 5])
    """
    return Attention(GeneralScore(query_dim, key_dim, learned_scale=True))


def content_score(query_dim: int, key_dim: int, name: ContentScoreName, hidden_dim: int | None = None) -> Score:
    """The paper's score of that name, of those that look at the keys.

    Raises:
        ValueError: an unknown name, or sizes that a dot product cannot compare.

    >>> content_score(4, 5, "general").key_dim
    5
    """
    if name not in get_args(ContentScoreName):
        raise _refusals.unknown_choice("score", name, get_args(ContentScoreName))
    if name == "general":
        return GeneralScore(query_dim, key_dim)
    if name == "concat":
        return ConcatScore(query_dim, key_dim, query_dim if hidden_dim is None else hidden_dim)
    if query_dim != key_dim:
        instead = f'LuongAttention({query_dim}, {key_dim}, score="general")'
        raise _refusals.no_direct_comparison(key_dim, query_dim, repr(name), instead)
    return DotScore(query_dim) if name == "dot" else ScaledDotScore(query_dim)
