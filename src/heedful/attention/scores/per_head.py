"""Per-head score: each head compares with parameters of its own (ESPnet, Watanabe et al. 2018)."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from heedful import _refusals
from heedful._pytree import map_tensors
from heedful.attention.heads import heads_of
from heedful.attention.source import WATANABE_2018

from .base import Score


class PerHeadScore(Score):
    """`scores_h = score_h(query_h, key_h)`: in multi-head attention each head has a score of its own.

    Otherwise all heads share the parameters of one score, behind projections of their own. The heads may differ in what
    does not show in memory and state, as in the width of the convolution of `LocationSensitiveScore`: several widths
    are the multi-resolution attention of ESPnet. Heads are computed one after another. Each needs keys of its own:
    `num_kv_heads` has to be `num_heads`.

    Args:
        scores: one for each head, all of one class.

    Parameters: those of the scores, under `scores.0` and so on.

    State: that of the scores.

    Cost: time that of its scores; memory that of its scores.

    Raises:
        ValueError: no scores, scores of different classes or sizes, or one twice; in a call, a batch that is no
            multiple of the heads.
        TypeError: one is no score.

    >>> from heedful.attention import Attention, MultiHeadAttention
    >>> from heedful.attention.scores import LocationSensitiveScore
    >>> heads = PerHeadScore([LocationSensitiveScore(4, 4, 8, width=width) for width in (3, 31)])
    >>> layer = MultiHeadAttention(query_dim=8, num_heads=2, attention=Attention(heads))
    >>> layer(torch.ones(3, 5, 8), torch.ones(3, 7, 8)).context.shape
    torch.Size([3, 5, 8])
    """

    source = WATANABE_2018(place="function initial_att, multi_head_add to multi_head_multi_res_loc")

    def __init__(self, scores: Sequence[Score]) -> None:
        _check_alike(scores)
        super().__init__(scores[0].query_dim, scores[0].key_dim)
        self.scores: Any = nn.ModuleList(scores)
        self.heads = len(scores)
        self.stateful, self.energies = scores[0].stateful, scores[0].energies
        self.fused, self.weighs = all(one.fused for one in scores), all(one.weighs for one in scores)
        self.compares_directly, self.log_weights = scores[0].compares_directly, scores[0].log_weights
        self.bounded = any(one.bounded for one in scores)

    def remember(self, key: Float[Tensor, "batch_heads keys key_dim"]) -> Any:
        """What the score of each head remembers of its keys."""
        return _join(score.remember(*parts) for score, parts in self._each(key))

    def keep(self, key: Any, value: Float[Tensor, "batch_heads keys value_dim"]) -> tuple[Any, Tensor]:
        """As the scores do."""
        return _join(score.keep(*parts) for score, parts in self._each(key, value))

    def begin(self, key: Any) -> Any:
        """As the scores do."""
        return _join(score.begin(*parts) for score, parts in self._each(key))

    def forward(
        self, query: Float[Tensor, "batch_heads queries query_dim"], key: Any, state: Any = None
    ) -> tuple[Float[Tensor, "batch_heads queries keys"], Any]:
        return _join(score(*parts) for score, parts in self._each(query, key, state))

    def update(self, state: Any, weights: Float[Tensor, "batch_heads queries keys"]) -> Any:
        """As the scores do."""
        return _join(score.update(*parts) for score, parts in self._each(state, weights))

    def attend(
        self,
        query: Float[Tensor, "batch_heads queries query_dim"],
        key: Any,
        value: Float[Tensor, "batch_heads keys value_dim"],
        mask: Bool[Tensor, "#batch_heads #queries #keys"] | None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch_heads queries value_dim"], Float[Tensor, "batch_heads queries keys"] | None]:
        mask = mask if mask is None else mask.expand(query.shape[0], *mask.shape[1:])
        return _join(
            score.attend(*parts, need_weights=need_weights) for score, parts in self._each(query, key, value, mask)
        )

    def _each(self, *parts: Any) -> Iterator[tuple[Score, tuple[Any, ...]]]:
        """Each head's score, and its rows of tensors or pytrees in which heads stand side by side."""
        for head, score in enumerate(self.scores):
            yield score, map_tensors(partial(_rows_of, head, self.heads), parts)


def _rows_of(head: int, heads: int, folded: Tensor) -> Tensor:
    heads_of(folded.shape[0], heads, folded.device)
    return folded.unflatten(0, (folded.shape[0] // heads, heads))[:, head]


def _join(trees: Iterable[Any]) -> Any:
    """Heads side by side in every tensor of a pytree, from one such for each head."""
    first, *others = trees
    leaves, form = pytree.tree_flatten(first)
    columns = zip(leaves, *(pytree.tree_leaves(tree) for tree in others), strict=True)
    joined = (
        torch.stack(column, 1).flatten(0, 1) if isinstance(column[0], Tensor) else column[0] for column in columns
    )
    return pytree.tree_unflatten(joined, form)


def _check_alike(scores: Sequence[Score]) -> None:
    if not isinstance(scores, Sequence):
        raise _refusals.WrongTypeError(
            f"scores is of the type {type(scores).__name__}; expected a list, a score for each head."
        )
    for score in scores:
        _refusals.check_part("a score", score, Score, "AdditiveScore(8, 8, 16)")
    if len({*map(id, scores)}) < max(len(scores), 1):
        raise ValueError(f"there are {len(scores)} scores; expected one for each head, each built by itself.")
    if any(score.heads > 1 for score in scores):
        raise ValueError("a score has scores of heads itself; expected one that is the same for all heads.")
    sizes = {_sizes(score) for score in scores}
    if len(sizes) > 1:
        raise ValueError(
            f"the scores differ: {', '.join(sorted(sizes))}; expected one class with the same sizes for all heads. "
            "They may differ in what does not show in memory and state, as in the width of a convolution."
        )


@torch.no_grad()
def _sizes(score: Score) -> str:
    """The class, and the sizes of what it remembers of one key and begins with."""
    like = next(score.parameters(), torch.empty(0))
    key = score.remember(like.new_zeros(1, 1, score.key_dim))
    kept = [tuple(leaf.shape[2:]) for leaf in pytree.tree_leaves(key) if isinstance(leaf, Tensor)]
    begun = [tuple(leaf.shape) for leaf in pytree.tree_leaves(score.begin(key)) if isinstance(leaf, Tensor)]
    return f"{type(score).__name__} of {score.query_dim} and {score.key_dim} features, memory {kept}, state {begun}"
