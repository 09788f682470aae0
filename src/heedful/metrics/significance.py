"""Whether one translator scores better than another: sacreBLEU's paired bootstrap (Koehn 2004), over several runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result, _bootstrap_resample

from .translation import make_metric, tokenized

SAMPLES = 1000


@dataclass(frozen=True)
class Difference:
    """How much better one translator scores than another.

    value: of the score
    low, high: between them lie 95 % of the resampled differences
    p_value: how often chance alone would make such a difference, in either direction
    """

    value: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class SystemScore:
    """The score of one translator over the sentences of all its runs.

    value: the corpus score
    low, high: a 95 % interval, of resampled sentences
    runs: the corpus score of each run
    difference: to the first translator; None of the first itself
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
    """Score several translators of the same sentences, and compare each with the first, by sacreBLEU's `PairedTest`.

    A translator may have been trained several times. What its runs make of one sentence is drawn together, and counted
    together: sentences are what the test is about, and other seeds are not more sentences.

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
    _check(systems, references)
    if metric == "tokenized_bleu":
        references = tokenized(references, language)
        systems = {name: [tokenized(run, language) for run in runs] for name, runs in systems.items()}
    pooled = _Pooled(make_metric(metric))
    # one "hypothesis" is what all runs made of a sentence
    sides: list[Any] = [(name, list(zip(*runs, strict=True))) for name, runs in systems.items()]
    _, results = PairedTest(sides, {"score": pooled}, [list(references)], "bs", samples)()  # pyright: ignore[reportArgumentType]: what it asks of a metric, `_Pooled` has
    (found,) = (
        [one for one in column if isinstance(one, Result)] for key, column in results.items() if key != "System"
    )
    drawn = [pooled.resample(side, references, samples) for _, side in sides]
    tested = {}
    for (name, runs), result, scores in zip(systems.items(), found, drawn, strict=True):
        alone = [float(pooled.metric.corpus_score(list(run), [list(references)]).score) for run in runs]
        difference = None
        if result.p_value is not None:
            low, high = _middle(scores - drawn[0])
            difference = Difference(float(result.score - found[0].score), low, high, float(result.p_value))
        middle, half = float(result.mean or 0.0), float(result.ci or 0.0)
        tested[name] = SystemScore(float(result.score), middle - half, middle + half, alone, difference)
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


class _Pooled:
    """A metric of sacreBLEU whose counts of a sentence are the sum over the runs that translated it."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metric, name)

    def _extract_corpus_statistics(self, hypotheses: Sequence[tuple[str, ...]], references: Any) -> list[list[float]]:
        runs = zip(*hypotheses, strict=True)
        counts = [self.metric._extract_corpus_statistics(list(run), references) for run in runs]
        return np.sum(np.array(counts, dtype=np.float64), axis=0).tolist()

    def resample(self, hypotheses: Any, references: Sequence[str], samples: int) -> np.ndarray:
        """The score of each resampled test set; the same draws for every translator."""
        counts = self._extract_corpus_statistics(hypotheses, [list(references)])
        return np.array([score.score for score in _bootstrap_resample(counts, self.metric, samples)[1]])


def _middle(values: np.ndarray) -> tuple[float, float]:
    """The interval that holds 95 % of the values, as sacreBLEU's `estimate_ci` cuts it."""
    ordered, cut = np.sort(values), len(values) // 40
    return float(ordered[cut]), float(ordered[len(values) - cut - 1])


def _check(systems: Mapping[str, Sequence[Sequence[str]]], references: Sequence[str]) -> None:
    if len(systems) < 2:
        raise ValueError(f"there are {len(systems)} translators; expected two at least")
    if len(references) < 2:
        raise ValueError(f"there are {len(references)} references; expected two at least to draw from")
    for name, runs in systems.items():
        counts = [len(run) for run in runs]
        if not counts or set(counts) != {len(references)}:
            raise ValueError(
                f"{name} has translations of {counts} sentences, one number a run; expected {len(references)} in each "
                "of at least one run, as many as references"
            )
