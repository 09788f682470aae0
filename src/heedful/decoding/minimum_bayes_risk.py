"""Minimum-Bayes-risk choice: of several texts, the one most like all the others."""

from collections import Counter
from collections.abc import Callable, Sequence

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

Utility = Callable[[str, str], float]


def expected_utilities(texts: Sequence[str], utility: str | Utility = "chrf") -> list[float]:
    """The mean utility of each text when each of the texts, itself too, is taken for the reference in turn.

    Over samples of a model this estimates the expected utility under the model (Eikema and Aziz 2020, eq. 4), and the
    text with the highest one is the choice of least risk. Texts that occur several times are compared once.

    Args:
        texts: samples of one sentence's translation, as a person reads them.
        utility: sacreBLEU's sentence "chrf" or "bleu" (0 to 100, effective order), or a function of a text and a
            reference that is higher for better.

    Raises:
        ValueError: the name of another utility.

    >>> [round(value) for value in expected_utilities(["a cat sat", "a cat sits", "dogs"])]
    [49, 51, 36]
    """
    judge = _named(utility) if isinstance(utility, str) else utility
    counts = Counter(texts)
    mean = {
        text: sum(count * judge(text, reference) for reference, count in counts.items()) / len(texts) for text in counts
    }
    return [mean[text] for text in texts]


def minimum_bayes_risk(texts: Sequence[str], utility: str | Utility = "chrf") -> int:
    """The place of the text with the highest `expected_utilities`, the first among equals.

    Args:
        texts: samples of one sentence's translation; at least one.
        utility: see `expected_utilities`.

    Raises:
        ValueError: no texts; the name of another utility.

    >>> minimum_bayes_risk(["dogs", "a cat sat", "a cat sits"])
    2
    """
    if not texts:
        raise ValueError("texts is empty; give at least one sample to choose from")
    values = expected_utilities(texts, utility)
    return values.index(max(values))


def _named(name: str) -> Utility:
    if name not in ("chrf", "bleu"):
        raise ValueError(f"utility is {name!r}; expected 'chrf', 'bleu' or a function of a text and a reference")
    metric = CHRF() if name == "chrf" else BLEU(effective_order=True)
    return lambda text, reference: metric.sentence_score(text, [reference]).score
