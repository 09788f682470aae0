"""What no output could satisfy is refused before any model runs."""

from collections.abc import Sequence

from heedful.data.vocabulary import BOS, EOS, PAD

from .phrases import within


def check_lengths(min_length: int, max_length: int, max_ratio: float | None) -> None:
    """Raise a ValueError where no length, or only none, is left."""
    if max_length < max(1, min_length):
        raise ValueError(f"max_length is {max_length}; use at least 1, and at least min_length ({min_length})")
    if max_ratio is not None and not 0 <= max_ratio < float("inf"):
        raise ValueError(f"max_ratio is {max_ratio}; use a number from 0 up, or None for no relative limit")


def check_tokens(
    banned: Sequence[tuple[int, ...]],
    no_repeat_ngram: int,
    prefix: tuple[int, ...],
    required: Sequence[tuple[int, ...]],
) -> None:
    """Raise a ValueError where what must be said holds what must not be.

    Args:
        banned: every phrase, single tokens and those that are always banned too.
        no_repeat_ngram: see `Constraints`.
        prefix: likewise.
        required: likewise.
    """
    if not all([*banned, *required]):
        raise ValueError("banned or required holds a phrase without tokens; take it out, or give it some")
    for name, run in [("prefix", prefix), *(("required", run) for run in required)]:
        for odd in (token for token in run if token in (PAD, BOS, EOS)):
            raise ValueError(f"{name} holds {odd}, which is banned or not a word; take it out of one of the two")
        for odd in (phrase for phrase in banned if within(phrase, run)):
            what = odd[0] if len(odd) == 1 else odd
            raise ValueError(f"{name} holds {what}, which is banned or not a word; take it out of one of the two")
    for run in required if no_repeat_ngram else ():
        ngrams = [run[first : first + no_repeat_ngram] for first in range(len(run) - no_repeat_ngram + 1)]
        if len({*ngrams}) < len(ngrams):
            raise ValueError(
                f"required holds {run}, which says {no_repeat_ngram} tokens twice; raise no_repeat_ngram, or set it to "
                "0, which allows repetition"
            )
