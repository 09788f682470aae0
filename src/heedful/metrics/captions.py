"""Scores of captions of pictures, each against several references: BLEU, chrF, CIDEr-D, exact ones, wrong letters."""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import heedful

from .strings import edit_distance
from .translation import Score, make_metric

# CIDEr-D: n-grams of up to so many words, and the width of the penalty for another length (section 5)
LONGEST, WIDTH = 4, 6.0
_WORD = re.compile("[^\\W_]+(?:['\u2019][^\\W_]+)*")

References = Sequence[Sequence[str]]
Vector = dict[tuple[str, ...], float]


def caption_words(text: str) -> list[str]:
    """The words of a caption in lower case, without punctuation marks.

    >>> caption_words("A dog's ball, on grass.")
    ['a', "dog's", 'ball', 'on', 'grass']
    """
    return _WORD.findall(text.lower())


def score_captions(captions: Sequence[str], references: References, metrics: Sequence[str]) -> list[Score]:
    """Some of "bleu", "chrf", "cider", "exact_match" and "cer" of captions.

    Args:
        captions: one of each picture.
        references: one or several of each picture.
        metrics: which.

    Raises:
        ValueError: there are no captions, not as many lists of references, or an empty one; an unknown metric.

    >>> [one.value for one in score_captions(["a red dog"], [["A dog", "a red dog"]], ["exact_match"])]
    [100.0]
    """
    if len(captions) != len(references) or not captions or not all(references):
        raise ValueError(
            f"{len(captions)} captions came with {len(references)} lists of references; give each caption a list of "
            "one reference or more"
        )
    known: dict[str, Callable[[Sequence[str], References], Score]] = {
        "bleu": lambda ours, theirs: _sacre("BLEU", "bleu", ours, theirs),
        "chrf": lambda ours, theirs: _sacre("chrF2", "chrf", ours, theirs),
        "cider": cider,
        "exact_match": exact_match,
        "cer": character_error_rate,
    }
    if odd := {*metrics} - {*known}:
        raise ValueError(f"metric is {min(odd)!r}; choose one of {', '.join(known)}")
    return [known[name](captions, references) for name in metrics]


def exact_match(captions: Sequence[str], references: References) -> Score:
    """Per cent of the captions that have the words of one of their references."""
    hits = [
        caption_words(one) in [caption_words(other) for other in own]
        for one, own in zip(captions, references, strict=True)
    ]
    return Score("exact match", 100 * sum(hits) / len(hits), f"{_facts(references)}|case:lower|punctuation:no")


def character_error_rate(captions: Sequence[str], references: References) -> Score:
    """Least number of characters to insert, delete or replace, per cent of those of the nearest reference.

    >>> character_error_rate(["abxd"], [["abcd"]]).value
    25.0
    """
    found = [closest_characters(caption, own) for caption, own in zip(captions, references, strict=True)]
    edits, characters = (sum(part) for part in zip(*found, strict=True))
    return Score("CER", 100 * edits / max(characters, 1), f"{_facts(references)}|case:mixed|unit:code point")


def closest_characters(caption: str, references: Sequence[str]) -> tuple[int, int]:
    """The fewest edits that make a caption one of its references, and the characters of that reference.

    >>> closest_characters("abxd", ["abcd", "xyz"])
    (1, 4)
    """
    return min((edit_distance(caption, one), len(one)) for one in references)


def cider(captions: Sequence[str], references: References) -> Score:
    """CIDEr-D, 100 times that of Vedantam et al. 2015, section 5: near 0 to 1000, as captions of COCO are reported.

    `10 / m sum_j exp(-(l(c) - l(s_j))^2 / (2 * 6^2)) min(g(c), g(s_j)) . g(s_j) / (|g(c)| |g(s_j)|)`, the mean over
    n-grams of 1 to 4 words; `g` counts an n-gram times the logarithm of how rare it is among the pictures' references.
    Of a single picture no n-gram is rare, and it is 0.

    Source: Vedantam, Zitnick and Parikh: CIDEr: Consensus-based Image Description Evaluation, 2015, sections 3 and 5.

    >>> round(cider(["a red dog runs", "two cats"], [["a red dog runs"], ["two cats"]]).value)
    750
    """
    values = cider_values(captions, references)
    return Score("CIDEr-D", 1000 * sum(values) / len(values), f"{_facts(references)}|case:lower|n:{LONGEST}|sigma:6")


def cider_values(captions: Sequence[str], references: References) -> list[float]:
    """Of each picture, from 0 to 1; how rare n-grams are is that of all references."""
    words = [[caption_words(one) for one in own] for own in references]
    frequency = Counter(ngram for own in words for ngram in {ngram for one in own for ngram in _ngrams(one)})
    rarity = {ngram: math.log(len(references) / count) for ngram, count in frequency.items()}
    unseen = math.log(len(references))
    return [_cider(caption_words(one), own, rarity, unseen) for one, own in zip(captions, words, strict=True)]


def _cider(caption: Sequence[str], references: Sequence[Sequence[str]], rarity: Mapping, unseen: float) -> float:
    """That of one picture, from 0 to 1."""
    ours = _vectors(caption, rarity, unseen)
    total = 0.0
    for reference in references:
        theirs = _vectors(reference, rarity, unseen)
        near = math.exp(-((len(caption) - len(reference)) ** 2) / (2 * WIDTH**2))
        total += near * sum(map(_alike, ours, theirs)) / LONGEST
    return total / len(references)


def _alike(ours: Vector, theirs: Vector) -> float:
    norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
    clipped = sum(min(value, theirs[ngram]) * theirs[ngram] for ngram, value in ours.items() if ngram in theirs)
    return clipped / norms if norms else 0.0


def _vectors(words: Sequence[str], rarity: Mapping[tuple[str, ...], float], unseen: float) -> list[Vector]:
    """Count times rarity of its n-grams, apart by length."""
    vectors: list[Vector] = [{} for _ in range(LONGEST)]
    for ngram, count in Counter(_ngrams(words)).items():
        vectors[len(ngram) - 1][ngram] = count * rarity.get(ngram, unseen)
    return vectors


def _ngrams(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        tuple(words[first : first + size]) for size in range(1, LONGEST + 1) for first in range(len(words) - size + 1)
    ]


def _sacre(name: str, kind: str, captions: Sequence[str], references: References) -> Score:
    """A metric of sacreBLEU, which takes the first reference of each, then the second of each, and so on."""
    metric = make_metric(kind)
    value = metric.corpus_score(list(captions), [list(one) for one in zip_longest(*references)]).score
    return Score(name, float(value), str(metric.get_signature()))


def _facts(references: References) -> str:
    counts = {len(own) for own in references}
    return f"nrefs:{counts.pop() if len(counts) == 1 else 'var'}|version:{heedful.__version__}"
