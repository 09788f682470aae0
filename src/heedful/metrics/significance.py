"""Whether one model scores better than another: sacreBLEU's paired bootstrap (Koehn 2004), over several runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .translation import make_metric, tokenized

SAMPLES = 1000
# that of sacreBLEU
SEED = 12345
# numbers that say how often each example was drawn, in memory at once
DRAWN_AT_ONCE = 4_000_000

# of the sums of what was counted, the score
ScoreOf = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Difference:
    """By how much the score of one model differs from that of another.

    value: of the score; above 0 where it is larger, which is worse where lower is better
    low, high: between them lie 95 % of the resampled differences
    p_value: how often chance alone would make such a difference, in either direction
    """

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class SystemScore:
    """The score of one model over the examples of all its runs.

    value: the corpus score
    low, high: a 95 % interval, of resampled examples
    runs: the corpus score of each run
    difference: to the first model; None of the first itself
    """

    value: float
    low: float
    high: float
    runs: list[float]
    difference: Difference | None


def paired_bootstrap(
    systems: Mapping[str, Sequence[Sequence[str]]],
    references: Sequence[str],
    metric: str = "bleu",
    language: str = "",
    samples: int = SAMPLES,
) -> dict[str, SystemScore]:
    """Score several translators of the same sentences, and compare each with the first, as sacreBLEU's `PairedTest`.

    systems: name to the translations of each run, which are as many as the references
    references: one translation by a person for each sentence
    metric: "bleu", "chrf" or "tokenized_bleu"
    language: of the target, which "tokenized_bleu" needs
    samples: resampled test sets

    Raises ValueError for fewer than two systems or sentences, a system without runs, or sides that differ in number.

    >>> truth = ["the cat sat on it", "no"]
    >>> found = paired_bootstrap({"a": [truth], "b": [["a cat sat", "yes"]]}, truth)
    >>> round(found["a"].value, 3), found["b"].difference.value < 0
    (100.0, True)
    """
    if metric == "tokenized_bleu":
        references = tokenized(references, language)
        systems = {name: [tokenized(run, language) for run in runs] for name, runs in systems.items()}
    theirs = make_metric(metric)

    def count(run: Sequence[str]) -> np.ndarray:
        _check_number(len(run), len(references))
        return np.array(theirs._extract_corpus_statistics(list(run), [list(references)]), dtype=np.float64)

    counts = {name: [count(run) for run in runs] for name, runs in systems.items()}
    return bootstrap_counts(counts, lambda sums: float(theirs._compute_score_from_stats(sums.tolist()).score), samples)


def bootstrap_counts(
    systems: Mapping[str, Sequence[np.ndarray]], score: ScoreOf, samples: int = SAMPLES
) -> dict[str, SystemScore]:
    """The paired bootstrap of any metric that is a function of sums over examples; with BLEU's it is sacreBLEU's.

    A model may have been trained several times. What its runs make of one example is drawn together, and counted
    together: examples are what the test is about, and other seeds are not more examples.

    systems: name to what is counted in each run, [examples, numbers], the same examples in all
    score: of the sums, [numbers]
    samples: resampled test sets

    Raises ValueError for fewer than two systems or examples, a system without runs, or other numbers of examples.

    Source: Koehn: Statistical Significance Tests for Machine Translation Evaluation, 2004, sections 3 and 4.

    Cost: time systems * samples * examples * numbers; memory DRAWN_AT_ONCE numbers.

    >>> hits = {"a": [np.array([[1.0, 1], [0, 1], [0, 1]])], "b": [np.array([[1.0, 1], [1, 1], [0, 1]])]}
    >>> found = bootstrap_counts(hits, lambda sums: float(100 * sums[0] / sums[1]))
    >>> round(found["b"].value, 1), round(found["b"].difference.value, 1)
    (66.7, 33.3)
    """
    examples = _check(systems)
    pooled = [np.asarray(runs, dtype=np.float64).sum(axis=0) for runs in systems.values()]
    drawn = _resampled(pooled, examples, samples, score)
    values, tested = [score(counts.sum(0)) for counts in pooled], {}
    for (name, runs), value, scores in zip(systems.items(), values, drawn, strict=True):
        low, high = _middle(scores)
        # sacreBLEU centres it on the mean of what was drawn
        middle, half = float(scores.mean()), (high - low) / 2
        difference = None
        if tested:
            gaps, gap = scores - drawn[0], value - values[0]
            apart = np.abs(gaps)
            # models that score the same differ by nothing, which the formula would call certain
            chance = (np.sum(apart - apart.mean() > abs(gap)) + 1) / (samples + 1) if gap else 1.0
            difference = Difference(gap, *_middle(gaps), float(chance))
        alone = [score(run.sum(axis=0, dtype=np.float64)) for run in runs]
        tested[name] = SystemScore(value, middle - half, middle + half, alone, difference)
    return tested


def corrected(p_values: Sequence[float]) -> list[float]:
    """p-values of several comparisons, made as much larger as their number asks for (Holm 1979).

    >>> corrected([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    grown = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    found = np.empty(len(order))
    found[order] = np.minimum(np.maximum.accumulate(grown), 1.0)
    return found.tolist()


def _resampled(pooled: Sequence[np.ndarray], examples: int, samples: int, score: ScoreOf) -> list[np.ndarray]:
    """The scores of each system on every resampled test set; the same draws for all."""
    chance = np.random.default_rng(SEED)
    found: list[list[float]] = [[] for _ in pooled]
    step = max(1, DRAWN_AT_ONCE // examples)
    for first in range(0, samples, step):
        places = chance.choice(examples, size=(min(step, samples - first), examples), replace=True)
        times = np.stack([np.bincount(row, minlength=examples) for row in places]).astype(np.float64)
        for scores, counts in zip(found, pooled, strict=True):
            scores.extend(map(score, times @ counts))
    return [np.array(scores, dtype=np.float64) for scores in found]


def _middle(values: np.ndarray) -> tuple[float, float]:
    """The interval that holds 95 % of the values, as sacreBLEU's `estimate_ci` cuts it."""
    ordered, cut = np.sort(values), len(values) // 40
    return float(ordered[cut]), float(ordered[len(values) - cut - 1])


def _check(systems: Mapping[str, Sequence[np.ndarray]]) -> int:
    """How many examples there are."""
    if len(systems) < 2:
        raise ValueError(f"there are {len(systems)} models; expected two at least")
    for name, runs in systems.items():
        if not runs:
            raise ValueError(f"{name} has no run; expected one at least")
    first = len(next(iter(systems.values()))[0])
    if first < 2:
        raise ValueError(f"there are {first} examples; expected two at least to draw from")
    for runs in systems.values():
        for run in runs:
            _check_number(len(run), first)
    return first


def _check_number(came: int, expected: int) -> None:
    if came != expected:
        raise ValueError(f"a run has {came} examples; expected {expected}, as many as the others and the references")
