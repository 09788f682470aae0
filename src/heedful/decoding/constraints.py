"""Constraints on a search: lengths, banned tokens, no repeated n-grams. Every search method takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.data.vocabulary import BOS, EOS, PAD

NEVER = float("-inf")


@dataclass(frozen=True)
class Constraints:
    """Limits on the output. PAD and BOS are always banned; `banned=(UNK,)` bans the unknown token too.

    Where nothing but forbidden tokens is left, EOS is allowed, whatever forbade it.

    Args:
        min_length: fewest tokens before EOS. A smaller maximum wins.
        max_length: most tokens; EOS counts as one, and a hypothesis of `max_length` tokens without it ends unfinished.
        max_ratio: most tokens relative to the source: `max_ratio * source_len + max_extra`, rounded down, at least 1.
            None leaves `max_length` alone in force.
        max_extra: tokens that `max_ratio` grants on top.
        banned: ids that are never said.
        no_repeat_ngram: a run of this many tokens occurs once at most; 0 allows repetition.
        prefix: ids that every output begins with, whatever else forbids them; a relative maximum does not cut it, and
            a hypothesis to which the model gives no way along it ends unfinished.

    Raises:
        ValueError: a number out of range; a prefix that holds PAD, BOS, EOS or a banned id, or exceeds `max_length`.

    >>> Constraints(max_ratio=1.5, max_extra=2).max_lengths([2, 3, 1000])
    [5, 6, 256]
    """

    min_length: int = 0
    max_length: int = 256
    max_ratio: float | None = None
    max_extra: int = 10
    banned: tuple[int, ...] = ()
    no_repeat_ngram: int = 0
    prefix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("min_length", "max_extra", "no_repeat_ngram"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it counts tokens, so use 0 (no limit) or more")
        if self.max_length < max(1, self.min_length):
            raise ValueError(
                f"max_length is {self.max_length}; use at least 1, and at least min_length ({self.min_length})"
            )
        if self.max_ratio is not None and not 0 <= self.max_ratio < float("inf"):
            raise ValueError(f"max_ratio is {self.max_ratio}; use a number from 0 up, or None for no relative limit")
        for token in self.prefix:
            if token in (PAD, BOS, EOS, *self.banned):
                raise ValueError(f"prefix holds {token}, which is banned or not a word; take it out of one of the two")
        if len(self.prefix) > self.max_length:
            raise ValueError(f"prefix has {len(self.prefix)} tokens, but max_length is {self.max_length}; raise it")

    def max_lengths(self, source_lengths: Sequence[int]) -> list[int]:
        """The most tokens for each source sentence, EOS among them."""
        if self.max_ratio is None:
            return [self.max_length] * len(source_lengths)
        # the small number keeps 1.15 * 100 at 115
        relative = (int(self.max_ratio * length + 1e-9) + self.max_extra for length in source_lengths)
        return [max(1, len(self.prefix), min(self.max_length, limit)) for limit in relative]

    def restrict(
        self, log_probs: Float[Tensor, "rows vocabulary"], tokens: Int[Tensor, "rows steps"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """`log_probs` of the next token with what must not follow `tokens` at minus infinity; nothing is renormalised.

        Raises:
            ValueError: EOS, a banned id or one of the prefix is outside the vocabulary.
        """
        if tokens.shape[1] < len(self.prefix):
            return self._forced(log_probs, self.prefix[tokens.shape[1]])
        allowed = log_probs.index_fill(1, self._banned_ids(log_probs), NEVER)
        if tokens.shape[1] < self.min_length:
            allowed[:, EOS] = NEVER
        if self.no_repeat_ngram and tokens.shape[1] >= self.no_repeat_ngram:
            allowed[repeating(tokens, self.no_repeat_ngram)] = NEVER
        stuck = allowed.amax(1) == NEVER
        allowed[:, EOS] = torch.where(stuck, log_probs[:, EOS], allowed[:, EOS])
        return allowed

    @staticmethod
    def _forced(log_probs: Tensor, token: int) -> Tensor:
        vocabulary = log_probs.shape[1]
        if not 0 <= token < vocabulary:
            raise ValueError(f"prefix holds {token}, but the model's vocabulary has ids 0 to {vocabulary - 1}")
        allowed = torch.full_like(log_probs, NEVER)
        allowed[:, token] = log_probs[:, token]
        return allowed

    def _banned_ids(self, log_probs: Tensor) -> Tensor:
        vocabulary = log_probs.shape[1]
        if vocabulary <= EOS:
            raise ValueError(f"the model's vocabulary has {vocabulary} tokens and no EOS, whose id is {EOS}")
        for token in self.banned:
            if not 0 <= token < vocabulary:
                raise ValueError(
                    f"banned token {token} is outside the model's vocabulary of {vocabulary}; ban 0 to {vocabulary - 1}"
                )
        return torch.tensor([PAD, BOS, *self.banned], device=log_probs.device)


def repeating(tokens: Int[Tensor, "rows steps"], size: int) -> tuple[Tensor, Tensor]:
    """Rows and tokens that would complete an n-gram of `size` for the second time.

    >>> repeating(torch.tensor([[7, 8, 7], [7, 8, 9]]), 2)
    (tensor([0]), tensor([8]))
    """
    ngrams = tokens.unfold(1, size, 1)  # [rows, steps - size + 1, size]
    begun = tokens[:, tokens.shape[1] - size + 1 :]
    rows, places = (ngrams[..., :-1] == begun[:, None]).all(-1).nonzero(as_tuple=True)
    return rows, ngrams[rows, places, -1]
