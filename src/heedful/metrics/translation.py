"""Scores of translations, by sacreBLEU (Post 2018, "A Call for Clarity in Reporting BLEU Scores") and Moses' rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

if TYPE_CHECKING:
    from sacremoses import MosesTokenizer

# every width sacreBLEU offers without a further package or download
_TOKENIZERS = ("13a", "intl", "char", "zh", "none")


@dataclass(frozen=True)
class Score:
    """A corpus score and the signature that lets another person reproduce it.

    `value` lies between 0 and 100, higher is better, but: CIDEr-D goes up to 1,000; of error rates, which may pass 100,
    of a calibration error, of a perplexity, from 1 up, and of the errors of forecasts (MSE, MAE), lower is better.

    >>> print(Score("BLEU", 38.125, "nrefs:1|case:mixed"))
    BLEU 38.1 (nrefs:1|case:mixed)
    """

    name: str
    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.name} {shown_value(self.name, self.value)} ({self.signature})"


def shown_value(name: str, value: float) -> str:
    """A score with as many digits as it needs: four that tell of the error of a forecast, one of all others.

    >>> shown_value("BLEU", 38.125), shown_value("MSE of the last value", 0.08112)
    ('38.1', '0.08112')
    """
    return f"{value:.4g}" if name.startswith(("MSE", "MAE")) else f"{value:.1f}"


@dataclass(frozen=True)
class LengthScore:
    """The score of the sentences whose length lies in `shortest..longest`, both included (`longest` None: no limit).

    `score` is None when no sentence fell into the bucket (`count` 0).
    """

    shortest: int
    longest: int | None
    count: int
    score: Score | None

    @property
    def label(self) -> str:
        """The bucket as a person writes it: "1-5", "10+"."""
        return f"{self.shortest}+" if self.longest is None else f"{self.shortest}-{self.longest}"


def bleu(hypotheses: Sequence[str], references: Sequence[str], tokenize: str = "13a", lowercase: bool = False) -> Score:
    """Corpus BLEU of detokenised text against one reference each, as sacreBLEU computes it (exponential smoothing).

    Raises ValueError when the two sides differ in number, are empty, or `tokenize` is unknown.

    >>> round(bleu(["The cat sat on the mat."], ["The cat sat on the mat."]).value, 3)
    100.0
    """
    _check_sides(hypotheses, references)
    if tokenize not in _TOKENIZERS:
        raise ValueError(f"tokenize is {tokenize!r}; choose one of {', '.join(_TOKENIZERS)}")
    # force: text that is already tokenised is the caller's choice, not a reason to warn
    metric = BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    return _score("BLEU", metric, hypotheses, references)


def chrf(hypotheses: Sequence[str], references: Sequence[str], word_order: int = 0, lowercase: bool = False) -> Score:
    """Corpus chrF2 (Popović 2015) of character n-grams up to 6; `word_order=2` gives chrF++.

    Raises ValueError when the two sides differ in number or are empty.

    >>> chrf(["The cat sat."], ["The cat sat."]).value
    100.0
    """
    _check_sides(hypotheses, references)
    name = "chrF2" + "+" * word_order
    return _score(name, CHRF(word_order=word_order, lowercase=lowercase), hypotheses, references)


def tokenized_bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> Score:
    """Corpus BLEU after lower-casing both sides and tokenising them with Moses' rules for `language` ("de").

    The number papers on small data sets report; it is not comparable with `bleu`. Raises ValueError as `bleu` does, and
    for a language Moses has no rules for.

    >>> round(tokenized_bleu(["Ein Hund läuft im Park."], ["ein Hund läuft im Park ."], "de").value, 3)
    100.0
    """
    _check_sides(hypotheses, references)
    hypotheses, references = (tokenized(side, language) for side in (hypotheses, references))
    suffix = f"lowercased|moses:{language}|sacremoses:{version('sacremoses')}"
    return _score("tokenised BLEU", make_metric("tokenized_bleu"), hypotheses, references, suffix)


def tokenized(lines: Sequence[str], language: str) -> list[str]:
    """Lower-cased lines, tokenised with Moses' rules for a language. Raises ValueError where it has none.

    >>> tokenized(["Ein Hund läuft."], "de")
    ['ein hund läuft .']
    """
    tokenizer = _moses(language)
    return [str(tokenizer.tokenize(line.lower(), return_str=True, escape=False)) for line in lines]


def make_metric(name: str) -> BLEU | CHRF:
    """The metric of sacreBLEU behind `bleu`, `chrf` or, of text that is tokenised already, `tokenized_bleu`.

    Raises ValueError for another name.
    """
    # force: text that is already tokenised is the caller's choice, not a reason to warn
    metrics = {
        "bleu": lambda: BLEU(force=True),
        "chrf": CHRF,
        "tokenized_bleu": lambda: BLEU(tokenize="none", force=True),
    }
    if name not in metrics:
        raise ValueError(f"metric is {name!r}; choose one of {', '.join(metrics)}")
    return metrics[name]()


def by_length(
    hypotheses: Sequence[str],
    references: Sequence[str],
    lengths: Sequence[int],
    buckets: Sequence[tuple[int, int | None]] = ((1, 5), (6, 9), (10, None)),
    metric: Callable[[Sequence[str], Sequence[str]], Score] = bleu,
) -> list[LengthScore]:
    """`metric` over the sentences of each bucket of `lengths`, in the order of `buckets` (both ends included).

    `lengths` are usually the numbers of words of the source sentences. A bucket without sentences has no score. Raises
    ValueError when the numbers of hypotheses, references and lengths differ, or a bucket ends before it begins.

    >>> scores = by_length(["a b c d", "e"], ["a b c d", "f"], [4, 1], [(1, 2), (3, None)])
    >>> [(bucket.label, bucket.count, round(bucket.score.value, 3)) for bucket in scores]
    [('1-2', 1, 0.0), ('3+', 1, 100.0)]
    """
    _check_sides(hypotheses, references)
    if len(lengths) != len(hypotheses):
        raise ValueError(f"{len(lengths)} lengths came with {len(hypotheses)} hypotheses; give one length per sentence")
    scores = []
    for shortest, longest in buckets:
        if longest is not None and longest < shortest:
            raise ValueError(f"bucket ({shortest}, {longest}) ends before it begins; write (shortest, longest)")
        rows = [i for i, n in enumerate(lengths) if n >= shortest and (longest is None or n <= longest)]
        score = metric([hypotheses[i] for i in rows], [references[i] for i in rows]) if rows else None
        scores.append(LengthScore(shortest, longest, len(rows), score))
    return scores


def _score(
    name: str, metric: BLEU | CHRF, hypotheses: Sequence[str], references: Sequence[str], suffix: str = ""
) -> Score:
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    signature = str(metric.get_signature())
    return Score(name, float(value), f"{signature}|{suffix}" if suffix else signature)


def _moses(language: str) -> "MosesTokenizer":
    # a tenth of what starting a command takes, and seldom needed
    from sacremoses import MosesTokenizer
    from sacremoses.corpus import NonbreakingPrefixes

    known = NonbreakingPrefixes().available_langs.values()
    if language not in known:
        raise ValueError(f"language is {language!r}; Moses has rules for {', '.join(sorted(set(known)))}")
    return MosesTokenizer(lang=language)


def _check_sides(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    for name, side in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(side, str):
            raise ValueError(f"{name} is one string; give a list of sentences")
    if len(hypotheses) != len(references):
        raise ValueError(
            f"{len(hypotheses)} hypotheses came with {len(references)} references; give one reference per hypothesis"
        )
    if not hypotheses:
        raise ValueError("there are no hypotheses to score; give at least one sentence")
