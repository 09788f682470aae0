"""Which sentences are decoded side by side: those of about the same length, and not too many tokens at once."""

from collections.abc import Iterator, Sequence
from itertools import groupby

# decoded side by side; more is faster until the beams of a batch fill the cache
SENTENCES_PER_BATCH = 64
# source tokens, padding included: one long sentence brings few others along
TOKENS_PER_BATCH = 4096


def by_length(lengths: Sequence[int], batch_size: int = SENTENCES_PER_BATCH) -> Iterator[list[int]]:
    """Places of the sentences that hold anything, the longest first, in batches.

    Args:
        lengths: tokens of each sentence.
        batch_size: most sentences of a batch; it has at least one, and otherwise at most `TOKENS_PER_BATCH` tokens.

    >>> list(by_length([3, 4096, 0, 5, 4], batch_size=2))
    [[1], [3, 4], [0]]
    """
    places = sorted((place for place, length in enumerate(lengths) if length), key=lambda place: -lengths[place])
    while places:
        count = max(1, min(batch_size, TOKENS_PER_BATCH // lengths[places[0]]))
        yield places[:count]
        places = places[count:]


def by_equal_length(lengths: Sequence[int], batch_size: int = SENTENCES_PER_BATCH) -> Iterator[list[int]]:
    """The same for texts that a language model goes on with: all of a batch have one length.

    >>> list(by_equal_length([3, 5, 0, 3, 3], batch_size=2))
    [[1], [0, 3], [4]]
    """
    places = sorted((place for place, length in enumerate(lengths) if length), key=lambda place: -lengths[place])
    for _, group in groupby(places, key=lambda place: lengths[place]):
        same = list(group)
        yield from ([same[place] for place in batch] for batch in by_length([lengths[one] for one in same], batch_size))
