"""Constraints on the output: lengths, and what must, may not or may not again be said. Every method takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from heedful.data.vocabulary import BOS, EOS, PAD

from ._contradictions import check_lengths, check_tokens
from .phrases import ends_with, repeating, within

NEVER = float("-inf")


@dataclass(frozen=True)
class Constraints:
    """Limits on the output. PAD and BOS are always banned; `banned=(UNK,)` bans the unknown token too.

    Where nothing but forbidden tokens is left, EOS is allowed, unless what is required is still missing.

    Args:
        min_length: fewest tokens before EOS. A smaller maximum wins.
        max_length: most tokens; EOS counts as one, and a hypothesis of `max_length` tokens without it ends unfinished.
        max_ratio: most tokens relative to the source: `max_ratio * source_len + max_extra`, rounded down, at least 1.
            None leaves `max_length` alone in force.
        max_extra: tokens that `max_ratio` grants on top.
        banned: what is never said: ids, and phrases of several ids.
        no_repeat_ngram: a run of this many tokens occurs once at most; 0 allows repetition.
        prefix: ids that every output begins with, whatever else forbids them; a relative maximum does not cut it, and
            a hypothesis to which the model gives no way along it ends unfinished.
        required: phrases, each a tuple of ids, that every output holds, in any order; they may overlap. A relative
            maximum leaves room for all of them. For beam search (`required.py`). A hypothesis to which the model gives
            no way to say one ends unfinished.

    Raises:
        ValueError: a number out of range, or constraints that contradict each other.

    >>> Constraints(max_ratio=1.5, max_extra=2).max_lengths([2, 3, 1000])
    [5, 6, 256]
    """

    min_length: int = 0
    max_length: int = 256
    max_ratio: float | None = None
    max_extra: int = 10
    banned: tuple[int | tuple[int, ...], ...] = ()
    no_repeat_ngram: int = 0
    prefix: tuple[int, ...] = ()
    required: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in ("min_length", "max_extra", "no_repeat_ngram"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it counts tokens, so use 0 (no limit) or more")
        check_lengths(self.min_length, self.max_length, self.max_ratio)
        check_tokens(self.banned_phrases(), self.no_repeat_ngram, self.prefix, self.required)
        # what another one holds is said with it
        runs = list(dict.fromkeys(self.required))
        longest = [run for run in runs if not any(run != other and within(run, other) for other in runs)]
        object.__setattr__(self, "required", tuple(longest))
        if self.needed() > self.max_length:
            what = "prefix and what is required have" if self.required else "prefix has"
            raise ValueError(f"{what} {self.needed()} tokens, but max_length is {self.max_length}; raise it")

    def banned_phrases(self) -> list[tuple[int, ...]]:
        """What is banned, PAD and BOS too, each as a run of tokens."""
        return [(PAD,), (BOS,), *((one,) if isinstance(one, int) else one for one in self.banned)]

    def needed(self) -> int:
        """Tokens for which there must be room: the prefix, what is required besides, and EOS behind that."""
        required = sum(len(run) for run in self.required if not within(run, self.prefix))
        return len(self.prefix) + (required + 1 if self.required else 0)

    def max_lengths(self, source_lengths: Sequence[int]) -> list[int]:
        """The most tokens for each source sentence, EOS among them."""
        if self.max_ratio is None:
            return [self.max_length] * len(source_lengths)
        # the small number keeps 1.15 * 100 at 115
        relative = (int(self.max_ratio * length + 1e-9) + self.max_extra for length in source_lengths)
        return [max(1, self.needed(), min(self.max_length, limit)) for limit in relative]

    def never(
        self, tokens: Int[Tensor, "rows steps"], logits: Float[Tensor, "rows vocabulary"]
    ) -> Int[Tensor, " banned"] | None:
        """Ids that must not follow any of `tokens`, where nothing else is forbidden; None where that depends on them.

        Raises:
            ValueError: see `restrict`.
        """
        step, banned = tokens.shape[1], self.banned_phrases()
        if not step:
            self._check_vocabulary(logits.shape[1])
        if step < len(self.prefix) or 0 < self.no_repeat_ngram <= step or any(len(run) > 1 for run in banned):
            return None
        ids = {*(run[0] for run in banned), *((EOS,) if step < self.min_length else ())}
        return torch.tensor(sorted(ids), device=logits.device)

    def restrict(
        self, log_probs: Float[Tensor, "rows vocabulary"], tokens: Int[Tensor, "rows steps"]
    ) -> Float[Tensor, "rows vocabulary"]:
        """`log_probs` of the next token with what must not follow `tokens` at minus infinity; nothing is renormalised.

        What is required has its say afterwards, see `required.leave_room`.

        Raises:
            ValueError: EOS, a banned id, or one of the prefix or of what is required, is outside the vocabulary.
        """
        if not tokens.shape[1]:
            self._check_vocabulary(log_probs.shape[1])
        if tokens.shape[1] < len(self.prefix):
            token = self.prefix[tokens.shape[1]]
            allowed = torch.full_like(log_probs, NEVER)
            allowed[:, token] = log_probs[:, token]
            return allowed
        banned = self.banned_phrases()
        single = torch.tensor([run[0] for run in banned if len(run) == 1], device=log_probs.device)
        allowed = log_probs.index_fill(1, single, NEVER)
        for *before, last in (run for run in banned if len(run) > 1):
            allowed[ends_with(tokens, before), last] = NEVER
        if tokens.shape[1] < self.min_length:
            allowed[:, EOS] = NEVER
        if self.no_repeat_ngram and tokens.shape[1] >= self.no_repeat_ngram:
            allowed[repeating(tokens, self.no_repeat_ngram)] = NEVER
        stuck = allowed.amax(1) == NEVER
        allowed[:, EOS] = torch.where(stuck, log_probs[:, EOS], allowed[:, EOS])
        return allowed

    def _check_vocabulary(self, size: int) -> None:
        if size <= EOS:
            raise ValueError(f"the model's vocabulary has {size} tokens and no EOS, whose id is {EOS}")
        for name, runs in (
            ("banned", self.banned_phrases()),
            ("prefix", [self.prefix]),
            ("required", self.required),
        ):
            for token in (token for run in runs for token in run if not 0 <= token < size):
                raise ValueError(f"{name} holds {token}, but the model's vocabulary has ids 0 to {size - 1}")
