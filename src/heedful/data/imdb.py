"""IMDB film reviews (Maas et al. 2011) with the word ids of `keras.datasets.imdb`, rebuilt from the raw text.

Ids: 0 padding, 1 start, 2 a word outside the `num_words` most frequent, from 4 on the words by their frequency in the
training set. Words are what is left when Keras' tokeniser has lower-cased and taken the punctuation out. Words of equal
frequency may stand in another order than in Keras' file, which was made from other copies of the reviews.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heedful._errors import DataError

from .files import read_raw_lines

START, UNKNOWN, INDEX_FROM = 1, 2, 3
_PUNCTUATION = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', " "))


@dataclass(frozen=True)
class Reviews:
    """Texts and their labels.

    Attributes:
        texts: as they stand in the file.
        labels: `[reviews]`, int64, 1 where the review is positive.
    """

    texts: Sequence[str]
    labels: np.ndarray


def read_reviews(path: str | Path) -> Reviews:
    r"""Read a file of lines "label, tab, text"; plain, gzip or xz.

    Raises `DataError` for a file that cannot be read and for a line that is no such line.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "train.tsv")
    ...     _ = path.write_text("1\tLovely.\n0\tDull, dull.\n", encoding="utf-8")
    ...     read_reviews(path).texts
    ['Lovely.', 'Dull, dull.']
    """
    texts, labels = [], []
    for number, line in enumerate(read_raw_lines(path), start=1):
        label, tab, text = line.decode("utf-8", "replace").partition("\t")
        if not tab or label not in ("0", "1"):
            raise DataError(f"{path}, line {number} does not begin with 0 or 1 and a tab; give one review per line.")
        texts.append(text)
        labels.append(int(label))
    if not texts:
        raise DataError(f"{path} holds no review; give one per line, its label first.")
    return Reviews(texts, np.array(labels, dtype=np.int64))


def words_of(text: str) -> list[str]:
    """The words of a text as Keras' tokeniser takes them.

    >>> words_of("It's <br />GREAT, isn't-it?")
    ["it's", 'br', 'great', "isn't", 'it']
    """
    return [word for word in text.lower().translate(_PUNCTUATION).split(" ") if word]


class RankedWords:
    """Words and ids by rank of frequency, as in `keras.datasets.imdb`.

    Args:
        texts: the training texts, whose words are counted.
        num_words: ids below it are given out, the others become `UNKNOWN`.

    >>> words = RankedWords(["the cat", "the dog"], num_words=6)
    >>> words.ids("the dog and the cat"), words.words([1, 4, 5, 2])
    ([1, 4, 2, 2, 4, 5], ['<start>', 'the', 'cat', '<unknown>'])
    """

    def __init__(self, texts: Iterable[str], num_words: int):
        counts = Counter(word for text in texts for word in words_of(text))
        ranked = [word for word, _ in counts.most_common(max(num_words - INDEX_FROM - 1, 0))]
        self.num_words = num_words
        self.names = ["<pad>", "<start>", "<unknown>", "<unused>", *ranked][:num_words]
        self.places = {word: INDEX_FROM + rank for rank, word in enumerate(ranked, start=1)}

    def ids(self, text: str) -> list[int]:
        """The ids of a text, `START` first."""
        return [START, *(self.places.get(word, UNKNOWN) for word in words_of(text))]

    def words(self, ids: Iterable[int]) -> list[str]:
        """The words that ids stand for."""
        return [self.names[number] for number in ids]


def pad_before(sentences: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Ids as `[sentences, length]`, zeros before what is shorter, and of what is longer only its end.

    >>> pad_before([[1, 7], [1, 5, 6, 8]], 3)
    array([[0, 1, 7],
           [5, 6, 8]])
    """
    padded = np.zeros((len(sentences), length), dtype=np.int64)
    for row, sentence in zip(padded, sentences, strict=True):
        kept = sentence[-length:]
        row[length - len(kept) :] = kept
    return padded


def pad_after(sentences: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Ids as `[sentences, length]`, zeros behind what is shorter, and of what is longer only its beginning.

    >>> pad_after([[1, 7], [1, 5, 6, 8]], 3)
    array([[1, 7, 0],
           [1, 5, 6]])
    """
    padded = np.zeros((len(sentences), length), dtype=np.int64)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: min(len(sentence), length)] = sentence[:length]
    return padded
