"""Subword regularisation: BPE-dropout (Provilkov, Emelianenko and Voita, 2020), repeatable.

Their algorithm 1: at every step each possible merge is left out with some probability, and of those that stay the one
learned first is done; the word is finished when none stays. `tokenizers` can do nearly that, but draws from a source
of chance that cannot be seeded, so a run could not go on to the same numbers.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from heedful.kernels.subwords import kernel

from .ids import Ids
from .vocabulary import UNK

if TYPE_CHECKING:
    from .tokenizers import Tokenizer


class SubwordSampler:
    """Cuts text into the subwords of a tokeniser, differently every time, and the same for the same seed.

    - `tokenizer`: of kind "bpe" or "byte_bpe"; `ValueError` for another.
    - `rate`: probability that a merge is left out, in [0, 1).

    >>> from heedful.data.tokenizers import Tokenizer
    >>> tokenizer = Tokenizer.train(["low lower lowest newer newest"] * 3, vocab_size=40)
    >>> sampler = SubwordSampler(tokenizer, rate=0.3)
    >>> first, again = (sampler.encode_all(["newest lower"] * 9, seed=[1, 2]).flat.tolist() for _ in range(2))
    >>> first == again, len(first) > 9 * len(tokenizer.encode("newest lower"))
    (True, True)
    """

    def __init__(self, tokenizer: "Tokenizer", rate: float):
        if not 0 <= rate < 1:
            raise ValueError(f"rate is {rate}; expected a probability from 0 up to, but not, 1.")
        self.tokenizer = tokenizer
        self.rate = rate
        self._symbols, merges = tokenizer.merges()
        left, right, merged = np.array(merges, dtype=np.int64).reshape(-1, 3).T
        keys = (left << 32) | right
        order = np.argsort(keys)
        self._tables = keys[order], order, merged[order].astype(np.int32)

    def encode_all(self, texts: Sequence[str], seed: Iterable[int]) -> Ids:
        """The ids of many texts, without BOS and EOS: a function of the texts, in their order, and of the seed."""
        words, sentences = self._words(texts)
        if not len(words):
            return Ids(np.empty(0, np.int32), np.zeros(len(texts), np.int64))
        state = np.random.SeedSequence(list(seed)).generate_state(1, np.uint64)[0]
        flat, word_ends = kernel()(words.flat, words.ends, *self._tables, float(self.rate), state)
        ends = np.concatenate([[0], word_ends])[sentences]
        return Ids(flat, ends)

    def _words(self, texts: Sequence[str]) -> tuple[Ids, np.ndarray]:
        """The single characters (or bytes) of each word of all texts, and how many words end with each text."""
        known: dict[str, np.ndarray] = {}
        words, ends = [], []
        for text in texts:
            for word in self.tokenizer.cut(text):
                if word not in known:
                    known[word] = self._characters(word)
                words.append(known[word])
            ends.append(len(words))
        return Ids.pack(words), np.array(ends, dtype=np.int64)

    def _characters(self, word: str) -> np.ndarray:
        ids = [self._symbols.get(character, UNK) for character in word]
        # unknown characters in a row are one UNK
        return np.array(
            [one for place, one in enumerate(ids) if one != UNK or ids[place - 1 : place] != [UNK]], np.int32
        )
