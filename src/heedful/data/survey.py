"""Statistics of pairs before a training: counts, lengths, unusual pairs, vocabulary."""

import heapq
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

import numpy as np

from .selection import number_of, sentence_key
from .tokenizers import Tokenizer, TokenizerPair, cut_words
from .vocabulary import UNK

LONG = 100
UNEVEN = 4
SAMPLES = 5
EXAMPLES = 2
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufeff\ufffd]")
_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|&#?\w+;|https?://|www\.")
_NO_BREAK = re.compile("[\u00a0\u202f\u2007]")
# what `unicodedata` calls them, to what people do
_SCRIPTS = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}


class Side:
    """What was seen of one side.

    - `lengths`, `characters`: words and characters of each sentence.
    - `words`, `alphabet`: how often each occurs.
    - `scripts`: sentences by the script that most of their letters are of.
    - `no_break_spaces`, `not_nfc`: sentences with the former, and with characters in parts.
    - `tokens`, `unknown`: tokens of each sentence, and unknown ones of all, where a tokeniser was given.
    """

    def __init__(self) -> None:
        self.lengths, self.characters = array("I"), array("I")
        self.words: Counter[str] = Counter()
        self.alphabet: Counter[str] = Counter()
        self.scripts: Counter[str] = Counter()
        self.no_break_spaces = self.not_nfc = 0
        self.tokens = array("I")
        self.unknown = 0

    def see(self, sentence: str, tokenizer: Tokenizer | None = None) -> str:
        """Take note of a sentence, and of how a tokeniser cuts it; returns its script."""
        if tokenizer:
            ids = tokenizer.encode(sentence)
            self.tokens.append(len(ids))
            self.unknown += ids.count(UNK)
        words = cut_words(sentence)
        self.lengths.append(len(words))
        self.characters.append(len(sentence))
        self.words.update(words)
        self.alphabet.update(sentence)
        self.no_break_spaces += _NO_BREAK.search(sentence) is not None
        self.not_nfc += not unicodedata.is_normalized("NFC", sentence)
        script = script_of(sentence)
        self.scripts[script] += 1
        return script

    def coverage(self) -> np.ndarray:
        """The part of all words that the n most frequent are, n from 1: [different words]."""
        counts = np.array(list(accumulate(sorted(self.words.values(), reverse=True))), dtype=np.float64)
        return counts / counts[-1] if len(counts) else counts

    @property
    def script(self) -> str:
        """The script of most sentences."""
        return self.scripts.most_common(1)[0][0] if self.scripts else "none"


class Survey:
    """Statistics over a stream of pairs, in about thirty bytes a pair.

    - `source`, `target`: what was seen of each side.
    - `odd`: pairs that are worth a look: how many by reason, and `examples` of each.
    - `samples`: a few pairs, chosen by their hashes.

    >>> survey = Survey()
    >>> survey.see_all([("Go.", "Va !"), ("Go.", "Va !"), ("Taxi!", "Taxi!")])
    >>> survey.count, survey.repeated_pairs(), dict(survey.odd), survey.source.lengths.tolist()
    (3, 1, {'same on both sides': 1}, [2, 2, 2])
    """

    def __init__(self) -> None:
        self.source, self.target = Side(), Side()
        self.odd: Counter[str] = Counter()
        self.examples: dict[str, list[tuple[str, str]]] = {}
        self._scripts: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self._script_counts: Counter[tuple[str, str]] = Counter()
        self._pairs, self._sources, self._targets = array("Q"), array("Q"), array("Q")
        self._samples: list[tuple[int, str, str]] = []

    @property
    def count(self) -> int:
        """Pairs seen."""
        return len(self._pairs)

    @property
    def samples(self) -> list[tuple[str, str]]:
        """A few pairs, the same ones for the same data in whatever order."""
        return [(source, target) for _, source, target in sorted(self._samples, reverse=True)]

    def see_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take note of pairs."""
        for source, target in pairs:
            self.see(source, target)

    def see(self, source: str, target: str, tokenizers: TokenizerPair | None = None) -> None:
        """Take note of a pair, and of how tokenisers cut it."""
        cutters = (tokenizers.source, tokenizers.target) if tokenizers else (None, None)
        scripts = self.source.see(source, cutters[0]), self.target.see(target, cutters[1])
        keys = sentence_key(source), sentence_key(target)
        number = number_of("\n".join(keys))
        self._pairs.append(number)
        self._sources.append(number_of(keys[0]))
        self._targets.append(number_of(keys[1]))
        if (-number, source, target) not in self._samples:
            add = heapq.heappush if len(self._samples) < SAMPLES else heapq.heappushpop
            add(self._samples, (-number, source, target))
        self._script_counts[scripts] += 1
        _keep(self._scripts.setdefault(scripts, []), (source, target))
        for reason in self._oddities(source, target, keys):
            self._note(reason, source, target)

    def finish(self) -> "Survey":
        """Count what can only be told when all has been seen: sentences in another script than most."""
        usual = self.source.script, self.target.script
        for scripts, count in self._script_counts.items():
            wrong = [found for found, most in zip(scripts, usual, strict=True) if found not in (most, "none")]
            if wrong:
                self.odd[f"in another script: {wrong[0]}"] += count
                self.examples.setdefault(f"in another script: {wrong[0]}", self._scripts[scripts])
        return self

    def repeated_pairs(self) -> int:
        """Pairs that occurred before, but for case and spaces."""
        return self.count - len(np.unique(np.frombuffer(self._pairs, np.uint64)))

    def repeated_sources(self) -> int:
        """Different source sentences that have several translations or stand there several times."""
        return int((np.unique(np.frombuffer(self._sources, np.uint64), return_counts=True)[1] > 1).sum())

    def repeated_targets(self) -> int:
        """Likewise of target sentences."""
        return int((np.unique(np.frombuffer(self._targets, np.uint64), return_counts=True)[1] > 1).sum())

    def shared_sources(self, sentences: Iterable[str]) -> int:
        """How many of some sentences, such as those of a validation set, are among the sources."""
        theirs = np.array([number_of(sentence_key(sentence)) for sentence in sentences], dtype=np.uint64)
        return int(np.isin(theirs, np.frombuffer(self._sources, np.uint64)).sum())

    def ratios(self) -> np.ndarray:
        """Target words for each source word: [pairs]."""
        source, target = (np.asarray(side.lengths, dtype=np.float64) for side in (self.source, self.target))
        return target / np.maximum(source, 1)

    def _oddities(self, source: str, target: str, keys: tuple[str, str]) -> Iterator[str]:
        if keys[0] == keys[1]:
            yield "same on both sides"
        if max(self.source.lengths[-1], self.target.lengths[-1]) > LONG:
            yield f"more than {LONG} words"
        shorter, longer = sorted((len(source), len(target)))
        if longer > UNEVEN * shorter + 10:
            yield f"one side more than {UNEVEN} times as long"
        if not any(map(str.isalnum, source)) or not any(map(str.isalnum, target)):
            yield "no letter or digit on a side"
        both = f"{source}\n{target}"
        if _CONTROL.search(both.replace("\n", "")):
            yield "control or replacement characters"
        if _MARKUP.search(both):
            yield "markup or a web address"

    def _note(self, reason: str, source: str, target: str) -> None:
        self.odd[reason] += 1
        _keep(self.examples.setdefault(reason, []), (source, target))


def script_of(sentence: str) -> str:
    """The script of most letters of a sentence, "none" where there is no letter.

    >>> script_of("Привет, world"), script_of("東京へ行く"), script_of("3 + 4")
    ('Cyrillic', 'Japanese', 'none')
    """
    found = Counter(script for script in map(_script, sentence) if script)
    if "Japanese" in found and "Chinese" in found:  # Japanese also uses Chinese characters
        found["Japanese"] += found.pop("Chinese")
    return found.most_common(1)[0][0] if found else "none"


def _keep(examples: list[tuple[str, str]], pair: tuple[str, str]) -> None:
    if len(examples) < EXAMPLES and pair not in examples:
        examples.append(pair)


@lru_cache(maxsize=65536)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "UNKNOWN").split()[0].partition("-")[0]
    return _SCRIPTS.get(name, name.capitalize())
