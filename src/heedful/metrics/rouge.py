"""ROUGE of summaries (Lin 2004), by the package rouge-score: words, pairs of words, and longest common subsequences."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean

from .translation import Score

NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}


def rouge(outputs: Sequence[str], references: Sequence[Sequence[str]], kind: str) -> Score:
    """The mean F1 of the outputs, 0 to 100, each against its closest reference; lower-cased, stemmed by Porter's rules.

    As in the papers that report by this package; those who used the Perl script ROUGE-1.5.5 differ by tenths.

    Args:
        outputs: one for each text.
        references: for each text one or several.
        kind: "rouge1" (words), "rouge2" (pairs of neighbours) or "rougeL" (longest common subsequence, a text being one
            sentence).

    Raises:
        ValueError: rouge-score is not installed; an unknown kind; the two sides differ in number, are empty, or a text
            has no reference.

    Source: Lin: ROUGE: A Package for Automatic Evaluation of Summaries, 2004, sections 2 and 3.

    >>> round(rouge(["the cat sat"], [["a dog", "the cat sits"]], "rouge1").value, 1)  # 2 of 3 words
    66.7
    """
    if kind not in NAMES:
        raise ValueError(f"kind is {kind!r}; choose one of {', '.join(NAMES)}")
    if len(outputs) != len(references) or not outputs or not all(references):
        raise ValueError(
            f"{len(outputs)} outputs came with {len(references)} lists of references; give each output a list of one "
            "reference or more"
        )
    check_installed(kind)
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([kind], use_stemmer=True)
    values = [scorer.score_multi(list(own), one)[kind].fmeasure for one, own in zip(outputs, references, strict=True)]
    counts = {len(own) for own in references}
    facts = f"nrefs:{counts.pop() if len(counts) == 1 else 'var'}|texts:{len(outputs)}"
    package = f"rouge-score:{version('rouge-score')}"
    return Score(NAMES[kind], 100 * fmean(values), f"{facts}|measure:F1|closest:yes|stemmer:Porter|{package}")


def check_installed(kind: str) -> None:
    """Refuse to score where the package is missing.

    Raises:
        ValueError: it is.
    """
    try:
        version("rouge-score")
    except PackageNotFoundError:
        raise ValueError(
            f"{kind} needs the package rouge-score, which is not installed; run: pip install 'heedful[summaries]'"
        ) from None


METRICS: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]]], Score]] = {
    name: partial(rouge, kind=name) for name in NAMES
}
