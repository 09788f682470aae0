"""Attention weights read as word alignments: hard links, their "Pharaoh" text form, error rates, word-level weights.

A link is a pair `(source, target)` of 0-based positions. Weights are arrays `[target_len, source_len]`, row t of the
look from which target token t was predicted, as every decoder here gives them. Where the rows stand beside the tokens
that were read instead, each belongs to the token after it: move them on by one first.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Link = tuple[int, int]

_PHARAOH = re.compile(r"(\*?)(\d+)([-?p])(\d+)(?::([0-9.eE+-]+))?")


def hard_links(weights: np.ndarray, threshold: float | None = None) -> list[Link]:
    """Links of `weights` [target_len, source_len], sorted: the best source of each target, or all from `threshold` up.

    A target that looks at nothing (a row of zeros) gets no link; of equal weights the first wins.

    Source: Luong, Pham and Manning: Effective Approaches to Attention-based Neural Machine Translation, 2015,
    section 5.4.

    Cost: time queries * keys; memory queries * keys.

    >>> hard_links(np.array([[0.9, 0.1], [0.4, 0.6], [0.0, 0.0]]))
    [(0, 0), (1, 1)]
    >>> hard_links(np.array([[0.9, 0.1], [0.4, 0.6], [0.0, 0.0]]), threshold=0.4)
    [(0, 0), (0, 1), (1, 1)]
    """
    weights = check_weights(weights)
    if threshold is not None:
        if threshold <= 0:
            raise ValueError(f"threshold is {threshold}; it must be above 0, or every pair would be a link")
        return sorted((int(source), int(target)) for target, source in np.argwhere(weights >= threshold))
    best = weights.argmax(axis=1)
    return sorted((int(source), target) for target, source in enumerate(best) if weights[target, source] > 0)


def symmetrize(forward: Iterable[Link], backward: Iterable[Link], method: str = "intersection") -> list[Link]:
    """Combine two models' links, both written (source, target): "intersection", "union" or "grow_diag".

    `backward` comes from a model that translates the other way, its links turned round. "grow_diag" (Koehn, Och and
    Marcu 2003, section 3) starts from the intersection and adds links of the union that touch an accepted link, the
    diagonal counted, while one of their two words has no link yet.

    Source: Koehn, Och and Marcu: Statistical Phrase-Based Translation, 2003, section 3.

    Cost: time links; memory links.

    >>> symmetrize([(0, 0), (1, 1)], [(0, 0), (1, 2)])
    [(0, 0)]
    >>> symmetrize([(0, 0), (1, 1)], [(0, 0), (1, 2)], "grow_diag")
    [(0, 0), (1, 1), (1, 2)]
    """
    forward, backward = set(forward), set(backward)
    if method == "intersection":
        return sorted(forward & backward)
    if method == "union":
        return sorted(forward | backward)
    if method == "grow_diag":
        return sorted(_grow_diagonal(forward & backward, forward | backward))
    raise ValueError(f'method is {method!r}; choose "intersection", "union" or "grow_diag"')


def to_pharaoh(links: Iterable[Link], weights: np.ndarray | None = None) -> str:
    """Links as one line, "0-0 1-2": source, then target, 0-based; with `weights` [target_len, source_len] "0-0:0.9000".

    Source: Koehn: Pharaoh: A Beam Search Decoder for Phrase-Based Statistical Machine Translation Models, 2004,
    file of word alignments.

    Cost: time links; memory links.

    >>> to_pharaoh([(0, 0), (1, 2)])
    '0-0 1-2'
    """
    if weights is None:
        return " ".join(f"{source}-{target}" for source, target in links)
    weights = check_weights(weights)
    return " ".join(f"{source}-{target}:{weights[target, source]:.4f}" for source, target in links)


def from_pharaoh(line: str, first: int = 0, possible: bool = False) -> list[Link]:
    """Read one line of links "source-target" into sorted 0-based pairs; `first=1` reads files that count from 1.

    Links that annotators held merely possible ("3?4", "3p4" or "*3-4") are left out unless `possible` is true; weights
    ("0-0:0.9") are accepted and dropped. Anything else raises ValueError with the offending piece.

    Source: Koehn: Pharaoh: A Beam Search Decoder for Phrase-Based Statistical Machine Translation Models, 2004,
    file of word alignments.

    Cost: time links; memory links.

    >>> from_pharaoh("0-0 2?1")
    [(0, 0)]
    >>> from_pharaoh("0-0 2?1", possible=True)
    [(0, 0), (2, 1)]
    """
    links = set()
    for piece in line.split():
        match = _PHARAOH.fullmatch(piece)
        if match is None:
            raise ValueError(f'{piece!r} is not a link; write "source-target", two numbers counted from {first}')
        star, source, kind, target, _ = match.groups()
        if min(int(source), int(target)) < first:
            raise ValueError(f"link {piece!r} is below the first position {first}; read it with first=0")
        if possible or not (star or kind != "-"):
            links.add((int(source) - first, int(target) - first))
    return sorted(links)


@dataclass(frozen=True)
class AlignmentQuality:
    """How links compare with those of annotators: `error_rate` and `recall` of the sure ones, `precision` of all."""

    error_rate: float
    precision: float
    recall: float


def alignment_error_rate(
    found: Sequence[Iterable[Link]], sure: Sequence[Iterable[Link]], possible: Sequence[Iterable[Link]] | None = None
) -> AlignmentQuality:
    """Links of a corpus beside gold ones, sentence by sentence (Och and Ney 2003): `1 - (|A S| + |A P|) / (|A| + |S|)`.

    `A` are those found, `S` the sure ones and `P` the possible ones, among which the sure ones count; `A S` are those
    in both. Counts are summed over the corpus first. Nothing found of nothing is without error.

    Source: Och and Ney: A Systematic Comparison of Various Statistical Alignment Models, 2003, section on
    evaluation methodology.

    Cost: time links; memory links.

    >>> alignment_error_rate([[(0, 0), (2, 1), (2, 2)]], [[(0, 0), (1, 1)]], [[(2, 1)]]).error_rate.__round__(6)
    0.4
    """
    possible = [[] for _ in sure] if possible is None else possible
    _check_sentences(found, sure, possible)
    sizes = np.zeros(4)
    for links, certain, perhaps in zip(map(set, found), map(set, sure), map(set, possible), strict=True):
        sizes += len(links & certain), len(links & (perhaps | certain)), len(links), len(certain)
    return _quality(*sizes)


def soft_alignment_error_rate(
    weights: Sequence[np.ndarray],
    sure: Sequence[Iterable[Link]],
    possible: Sequence[Iterable[Link]] | None = None,
) -> AlignmentQuality:
    """`alignment_error_rate` with weights [target_len, source_len] in the place of links (Tu et al. 2016).

    Source: Tu et al.: Modeling Coverage for Neural Machine Translation, 2016, section on alignment quality.

    Cost: time queries * keys; memory queries * keys.

    >>> soft_alignment_error_rate([np.array([[1.0, 0.0], [0.5, 0.5]])], [[(0, 0), (1, 1)]])
    AlignmentQuality(error_rate=0.25, precision=0.75, recall=0.75)
    """
    possible = [[] for _ in sure] if possible is None else possible
    _check_sentences(weights, sure, possible)
    sizes = np.zeros(4)
    for given, certain, perhaps in zip(map(check_weights, weights), map(set, sure), map(set, possible), strict=True):
        sizes += _mass(given, certain), _mass(given, certain | perhaps), given.sum(), len(certain)
    return _quality(*sizes)


def merge_pieces(
    weights: np.ndarray, source_words: Sequence[int | None], target_words: Sequence[int | None]
) -> Float[np.ndarray, "target_words source_words"]:
    """Sub-word weights [target_len, source_len] to word level: sum over source pieces, mean over target pieces.

    `source_words[i]` is the number of the word that piece i belongs to, None for a piece of no word (an end symbol),
    whose weights are dropped. Rows that were distributions stay distributions when no source piece is dropped.

    Source: Clark et al.: What Does BERT Look At? An Analysis of BERT's Attention, 2019, section 4.1.

    Cost: time queries * keys; memory queries * keys.

    >>> merge_pieces(np.array([[0.7, 0.2, 0.1], [0.5, 0.1, 0.4]]), [0, 0, 1], [0, 0]).round(3)
    array([[0.75, 0.25]])
    """
    weights = check_weights(weights)
    expected = (len(target_words), len(source_words))
    if weights.shape != expected:
        raise ValueError(
            f"weights have shape {weights.shape} but there are {expected[0]} target and {expected[1]} source pieces; "
            f"expected {expected}"
        )
    source = _membership(source_words, "source_words")
    target = _membership(target_words, "target_words")
    return (target / target.sum(axis=0)).T @ weights @ source


def check_weights(weights: np.ndarray) -> np.ndarray:
    """`weights` as float64 [target_len, source_len]; anything but a finite matrix raises ValueError."""
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 2:
        raise ValueError(f"weights have shape {weights.shape}; expected [target_len, source_len] of one sentence")
    if not np.isfinite(weights).all():
        raise ValueError("weights hold NaN or infinity; expected finite numbers")
    return weights


def _check_sentences(found: Sequence, sure: Sequence, possible: Sequence) -> None:
    if not len(found) == len(sure) == len(possible):
        raise ValueError(
            f"there are {len(found)} sentences found, {len(sure)} sure and {len(possible)} possible; expected as many "
            "of each, with an empty list for a sentence without links"
        )


def _mass(weights: np.ndarray, links: Iterable[Link]) -> float:
    """The sum of the weights at these links; links beyond the weights raise ValueError."""
    target_len, source_len = weights.shape
    for source, target in links:
        if not (0 <= source < source_len and 0 <= target < target_len):
            raise ValueError(
                f"link {source}-{target} lies outside weights of shape {weights.shape}; expected (source, target), "
                "counted from 0"
            )
    return float(sum(weights[target, source] for source, target in links))


def _quality(right_sure: float, right: float, found: float, sure: float) -> AlignmentQuality:
    return AlignmentQuality(
        error_rate=float(1 - (right_sure + right) / (found + sure)) if found + sure else 0.0,
        precision=float(right / found) if found else 1.0,
        recall=float(right_sure / sure) if sure else 1.0,
    )


def _membership(words: Sequence[int | None], name: str) -> np.ndarray:
    """1 where the piece (row) belongs to the word (column)."""
    known = [word for word in words if word is not None]
    count = max(known, default=-1) + 1
    if set(known) != set(range(count)):
        raise ValueError(f"{name} names the words {sorted(set(known))}; expected 0, 1, 2, ... without a gap")
    matrix = np.zeros((len(words), count))
    for piece, word in enumerate(words):
        if word is not None:
            matrix[piece, word] = 1.0
    return matrix


def _grow_diagonal(accepted: set[Link], union: set[Link]) -> set[Link]:
    accepted = set(accepted)
    grew = True
    while grew:
        grew = False
        for source, target in sorted(union - accepted):
            touches = any((source + i, target + j) in accepted for i in (-1, 0, 1) for j in (-1, 0, 1))
            source_free = all(link[0] != source for link in accepted)
            target_free = all(link[1] != target for link in accepted)
            if touches and (source_free or target_free):
                accepted.add((source, target))
                grew = True
    return accepted
