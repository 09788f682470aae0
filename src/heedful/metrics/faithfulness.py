"""Whether the tokens that weigh most matter to a model: erase them, or all others (DeYoung et al. 2020, section 4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# of the tokens, in the paper
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)

Predict = Callable[[list[list[Any]]], np.ndarray]


@dataclass(frozen=True)
class Erasure:
    """One measure for the scores given, and for two others beside which it must stand.

    given: for the scores
    shuffled: for the same scores in random order, the mean of several
    reversed: for the scores upside down
    """

    given: float
    shuffled: float
    reversed: float


@dataclass(frozen=True)
class Faithfulness:
    """How faithful scores are to a model's answer; both are means over shares of the tokens (AOPC).

    comprehensiveness: what the chance of the answer loses without the top tokens; large where they were needed
    sufficiency: what it loses with the top tokens alone; small, or negative, where they were enough
    """

    comprehensiveness: Erasure
    sufficiency: Erasure


def faithfulness(
    predict: Predict,
    tokens: Sequence[Any],
    scores: np.ndarray,
    shares: Sequence[float] = SHARES,
    blank: Any = None,
    draws: int = 10,
    seed: int = 0,
) -> Faithfulness:
    """Measure scores, such as attention weights, against the model's answer to one text: its most probable class.

    predict: many texts, each a list of tokens, to probabilities [texts, classes]; all texts come in one call
    tokens: of the text
    scores: one for each token; of equal ones the first counts as the larger
    shares: of the tokens that are erased or kept, rounded up
    blank: what stands where a token is erased; `None` removes it, and `predict` must take a text without tokens
    draws: random orders that `shuffled` is the mean of

    Raises ValueError for scores that do not fit the tokens, no tokens, or a share outside (0, 1].

    Source: DeYoung et al.: ERASER: A Benchmark to Evaluate Rationalized NLP Models, 2020, section 4.

    Cost: time 2 shares * (draws + 2) answers of the model; memory the texts of one call.

    >>> def predict(texts):  # says yes the surer, the more often "good" stands there
    ...     yes = np.array([1 / (1 + np.exp(-text.count("good"))) for text in texts])
    ...     return np.stack([1 - yes, yes], axis=1)
    >>> measured = faithfulness(predict, ["a", "good", "film"], np.array([0.1, 0.8, 0.1]), shares=[0.3])
    >>> round(measured.comprehensiveness.given, 3), measured.sufficiency.given
    (0.231, 0.0)
    """
    scores = _checked(tokens, scores, shares)
    shuffled = np.random.default_rng(seed)
    orders = [np.argsort(-scores, kind="stable")]
    orders += [orders[0][::-1], *(shuffled.permutation(len(tokens)) for _ in range(max(draws, 1)))]
    counts = [int(np.ceil(share * len(tokens) - 1e-9)) for share in shares]
    texts = [list(tokens)]
    for order in orders:
        for count in counts:
            top = set(order[:count].tolist())
            texts += _without(tokens, top, blank), _without(tokens, set(range(len(tokens))) - top, blank)
    probabilities = np.asarray(predict(texts), dtype=np.float64)
    if probabilities.ndim != 2 or len(probabilities) != len(texts):
        raise ValueError(f"predict gave shape {probabilities.shape}; expected [{len(texts)}, classes]")
    chances = probabilities[:, probabilities[0].argmax()]
    # [orders, 2]: without the top tokens, and with them alone
    lost = (chances[0] - chances[1:]).reshape(len(orders), len(counts), 2).mean(axis=1)
    return Faithfulness(*(Erasure(float(a[0]), float(a[2:].mean()), float(a[1])) for a in lost.T))


def rank_agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two scores of the same tokens: 1 for one order, -1 for orders upside down.

    What attention agrees in with leaving tokens out, one at a time (Jain and Wallace 2019, section 4.1). NaN where all
    scores of a side are equal.

    first, second: [tokens]

    >>> rank_agreement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).__round__(3)
    0.333
    """
    first, second = (np.asarray(scores, dtype=np.float64) for scores in (first, second))
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"scores have shapes {first.shape} and {second.shape}; expected two vectors of one length")
    signs = [np.sign(scores[:, None] - scores[None, :]) for scores in (first, second)]
    pairs = np.sqrt(np.prod([np.abs(sign).sum() for sign in signs]))
    return float((signs[0] * signs[1]).sum() / pairs) if pairs else float("nan")


def _without(tokens: Sequence[Any], erased: set[int], blank: Any) -> list[Any]:
    if blank is None:
        return [token for place, token in enumerate(tokens) if place not in erased]
    return [blank if place in erased else token for place, token in enumerate(tokens)]


def _checked(tokens: Sequence[Any], scores: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if len(tokens) == 0 or scores.shape != (len(tokens),) or not np.isfinite(scores).all():
        raise ValueError(
            f"scores have shape {scores.shape} for {len(tokens)} tokens; expected a finite number for each of at least "
            "one token"
        )
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"shares are {list(shares)}; expected at least one, each above 0 and up to 1")
    return scores
