"""Documents as sentences: where a text is cut, and the ids of a document with an end after each sentence."""

import re
from collections.abc import Sequence

import numpy as np

from .ids import Ids
from .vocabulary import EOS

# words of a sentence from which on it is cut: lists, tables and signatures have no full stop
LONGEST_SENTENCE = 50
# a space behind a full stop or what closes a quotation; or what an empty line becomes when line breaks become spaces
BETWEEN = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"')\]])\s+|\s{2,}")


def split_sentences(text: str) -> list[str]:
    """The sentences of a text: cut behind `.`, `!` and `?` where a space follows, and at empty lines.

    Without a language it stays a guess: "Mr. Smith" is cut, too.

    >>> split_sentences('He said "Stop!" and left. Why?  Nobody knows')
    ['He said "Stop!"', 'and left.', 'Why?', 'Nobody knows']
    """
    return [part for part in BETWEEN.split(text) if part.strip()]


def join_sentences(sentences: Ids, counts: Sequence[int]) -> Ids:
    """The ids of documents from those of their sentences, `EOS` behind each; longer than 50 ids they are cut.

    - `sentences`: of all documents, one after another; those without an id are left out.
    - `counts`: sentences of each document.

    >>> join_sentences(Ids.pack([[5, 6], [], [7], [8]]), [3, 1])[0].tolist()
    [5, 6, 3, 7, 3]
    """
    documents, first = [], 0
    for count in counts:
        parts = [with_ends(sentences[place]) for place in range(first, first + count)]
        documents.append(np.concatenate([np.empty(0, np.int32), *parts]))
        first += count
    return Ids.pack(documents)


def with_ends(sentence: np.ndarray, end: int = EOS) -> np.ndarray:
    """The ids of a sentence with an end behind them, and behind every 50 of them.

    >>> with_ends(np.array([5, 6])).tolist(), len(with_ends(np.full(101, 5)))
    ([5, 6, 3], 104)
    """
    stops = [*range(LONGEST_SENTENCE, len(sentence), LONGEST_SENTENCE)]
    return np.insert(sentence, [*stops, len(sentence)] if len(sentence) else [], end)
