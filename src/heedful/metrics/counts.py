"""Metrics as what they count of each example and a score of the sums, so that examples can be drawn anew.

| name | what one example counts | lower is better |
|---|---|---|
| bleu, chrf, tokenized_bleu | sacreBLEU's statistics | |
| rouge1, rouge2, rougeL, exact_match, cider | its own score | |
| wer | 1 where it is wrong | yes |
| per, cer | edits, and symbols of the closest reference | yes |
| perplexity | nats and tokens | yes |
| accuracy | 1 where it is right | |
| macro_f1, relation_f1 | by label: hits, texts that have it, texts that were given it | |
| calibration_error | by bin of confidence: texts, confidence, hits | yes |
| mse, mae | sum of errors, and their number | yes |
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

import numpy as np

from . import captions, strings
from .classification import BINS, relation_of
from .rouge import rouge
from .significance import ScoreOf
from .translation import Score, make_metric, tokenized

References = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Metric:
    """How a score is shown and read.

    Attributes:
        label: its name for people.
        lower: whether lower is better.
        digits: behind the point.
        points: whether a difference is told in points of it.
    """

    label: str
    lower: bool = False
    digits: int = 1
    points: bool = False

    @property
    def unit(self) -> str:
        """What a difference is one of."""
        return f"points of {self.label}" if self.points else self.label

    @property
    def title(self) -> str:
        """The label where a line begins with it."""
        return self.label[:1].upper() + self.label[1:]

    def shown(self, value: float, sign: str = "") -> str:
        """A score, or with `sign` "+" a difference; one that rounds to zero has no sign.

        >>> Metric("MSE", digits=2).shown(0.25, "+"), Metric("MSE", digits=2).shown(-0.001, "+")
        ('+0.25', '0.00')
        """
        return f"{value:{sign if round(value, self.digits) else ''}z.{self.digits}f}"


@dataclass(frozen=True, eq=False)
class Counted:
    """What a metric counted of the answers of one training.

    Attributes:
        numbers: `[examples, numbers]`.
        score: of their sum.
        units: `[examples]`, from 0 on, those of one unit being drawn together; each by itself when left out.
        sizes: `[examples]`, by which quality is told in parts, such as words of the source; zeros when left out.
    """

    numbers: np.ndarray
    score: ScoreOf
    units: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def by_unit(self) -> np.ndarray:
        """The sums over the examples of each unit, `[units, numbers]`."""
        if self.units is None:
            return self.numbers
        found = np.zeros((int(self.units.max()) + 1, self.numbers.shape[1]))
        np.add.at(found, self.units, self.numbers)
        return found

    def with_sizes(self, sizes: Sequence[int]) -> "Counted":
        """The same with the size of each example."""
        return replace(self, sizes=np.array(sizes, dtype=np.int64))


METRICS = {
    "bleu": Metric("BLEU"),
    "chrf": Metric("chrF2"),
    "tokenized_bleu": Metric("tokenised BLEU"),
    "wer": Metric("WER", lower=True),
    "per": Metric("PER", lower=True),
    "exact_match": Metric("exact match", points=True),
    "rouge1": Metric("ROUGE-1"),
    "rouge2": Metric("ROUGE-2"),
    "rougeL": Metric("ROUGE-L"),
    "perplexity": Metric("perplexity", lower=True, digits=2),
    "accuracy": Metric("accuracy", points=True),
    "macro_f1": Metric("macro-F1", points=True),
    "calibration_error": Metric("calibration error", lower=True, points=True),
    "relation_f1": Metric("relation F1", points=True),
    "cider": Metric("CIDEr-D"),
    "cer": Metric("CER", lower=True),
    "mse": Metric("MSE", lower=True, digits=4),
    "mae": Metric("MAE", lower=True, digits=4),
}


def count_texts(metric: str, outputs: Sequence[str], references: References, language: str = "") -> Counted:
    """What a metric of translations, summaries or pronunciations counts of each output.

    Args:
        metric: one of those that read texts.
        outputs: one for each text.
        references: for each text one or several.
        language: that "tokenized_bleu" needs.

    Raises:
        ValueError: another metric, or what the metric itself refuses.

    >>> found = count_texts("per", ["R EH D", "L AY"], [["R IY D"], ["L AY T"]])
    >>> found.numbers.tolist(), round(found.score(found.numbers.sum(0)), 1)
    ([[1.0, 3.0], [1.0, 3.0]], 33.3)
    """
    if metric == "tokenized_bleu":
        outputs, references = tokenized(outputs, language), [tokenized(own, language) for own in references]
    if metric in ("bleu", "chrf", "tokenized_bleu"):
        return _sacre(metric, outputs, references)
    if metric == "per":
        return _rate([strings.closest_edits(one, own) for one, own in zip(outputs, references, strict=True)])
    alone: dict[str, Callable[..., Score]] = {
        "wer": strings.word_error_rate,
        "exact_match": strings.exact_match,
        **{name: partial(rouge, kind=name) for name in ("rouge1", "rouge2", "rougeL")},
    }
    if metric not in alone:
        raise ValueError(f"metric is {metric!r}; choose one of bleu, chrf, tokenized_bleu, per, {', '.join(alone)}")
    return _mean([alone[metric]([one], [own]).value for one, own in zip(outputs, references, strict=True)])


def count_captions(metric: str, outputs: Sequence[str], references: References) -> Counted:
    """The same of captions, by `heedful.metrics.captions.score_captions`.

    >>> count_captions("cer", ["abxd"], [["abcd", "xyz"]]).numbers.tolist()
    [[1.0, 4.0]]
    """
    if metric in ("bleu", "chrf"):
        return _sacre(metric, outputs, references)
    pairs = list(zip(outputs, references, strict=True))
    if metric == "cer":
        return _rate([captions.closest_characters(one, own) for one, own in pairs])
    if metric == "cider":
        return _mean([1000 * value for value in captions.cider_values(outputs, references)])
    return _mean([captions.exact_match([one], [own]).value for one, own in pairs])


def count_labels(
    metric: str, right: np.ndarray, answers: np.ndarray, confidences: np.ndarray, labels: Sequence[str]
) -> Counted:
    """The same of a classifier.

    Args:
        metric: "accuracy", "macro_f1", "calibration_error" or "relation_f1".
        right: `[texts]`, places of the right labels.
        answers: `[texts]`, places of those given.
        confidences: `[texts]`, their probabilities.
        labels: names of all.

    >>> found = count_labels("macro_f1", np.array([0, 1, 1]), np.array([0, 0, 1]), np.ones(3), ["a", "b"])
    >>> round(found.score(found.numbers.sum(0)), 1)
    66.7
    """
    hits = (right == answers).astype(np.float64)
    if metric == "accuracy":
        return _mean((100 * hits).tolist())
    if metric == "calibration_error":
        bins = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
        own = np.eye(BINS)[bins]
        return Counted(np.hstack([own, own * confidences[:, None], own * hits[:, None]]), _calibration)
    # of relations both directions are one kind, and what is none counts nowhere
    kinds = [relation_of(label) for label in labels] if metric == "relation_f1" else [*labels]
    known = list(dict.fromkeys(kind for kind in kinds if kind is not None))
    member = np.array([[kind == one for one in known] for kind in kinds], dtype=np.float64)
    numbers = np.hstack([member[right] * hits[:, None], member[right], member[answers]])
    return Counted(numbers, partial(_mean_f1, absent=metric == "relation_f1"))


def count_losses(losses: Sequence[Sequence[float | int]]) -> Counted:
    """Perplexity, of nats and tokens of each text.

    >>> round(count_losses([[2.0, 1], [0.0, 1]]).score(np.array([2.0, 2.0])), 3)
    2.718
    """
    return Counted(np.array(losses, dtype=np.float64), lambda sums: math.exp(min(sums[0] / sums[1], 700.0)))


def count_errors(errors: np.ndarray, counts: np.ndarray, units: np.ndarray, sizes: np.ndarray) -> Counted:
    """MSE or MAE, of sums of errors and how many they are, `[examples]` each; units and sizes as of `Counted`."""
    return Counted(np.stack([errors, counts], 1), lambda sums: float(sums[0] / sums[1]), units, sizes)


def _sacre(metric: str, outputs: Sequence[str], references: References) -> Counted:
    theirs = make_metric(metric)
    # the first reference of each, then the second of each, and so on
    numbers = theirs._extract_corpus_statistics([*outputs], [list(one) for one in zip_longest(*references)])
    return Counted(
        np.array(numbers, dtype=np.float64),
        lambda sums: float(theirs._compute_score_from_stats(sums.tolist()).score),
    )


def _mean(values: Sequence[float]) -> Counted:
    return Counted(np.array([[value, 1.0] for value in values]), lambda sums: float(sums[0] / sums[1]))


def _rate(edits: Sequence[tuple[int, int]]) -> Counted:
    return Counted(np.array(edits, dtype=np.float64), lambda sums: float(100 * sums[0] / max(sums[1], 1.0)))


def _mean_f1(sums: np.ndarray, absent: bool) -> float:
    """Of hits, right and given labels; a label that neither side has counts as 0 where `absent` ones count."""
    hits, known, given = sums.reshape(3, -1)
    found = 2 * hits / np.maximum(known + given, 1.0)
    return float(100 * (found if absent else found[known + given > 0]).mean())


def _calibration(sums: np.ndarray) -> float:
    counts, confidence, hits = sums.reshape(3, -1)
    return float(100 * np.abs(confidence - hits).sum() / counts.sum())
