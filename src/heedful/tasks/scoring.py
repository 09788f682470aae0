"""What a model's texts are worth: every metric that a recipe of translation can name."""

from collections.abc import Callable, Sequence

import heedful
from heedful._errors import RecipeError
from heedful.data.readers import Pairs
from heedful.data.tokenizers import Tokenizer
from heedful.decoding.ensemble import Ensemble
from heedful.layers.cheaper import check_int8
from heedful.metrics import rouge, strings
from heedful.metrics.translation import Score, bleu, chrf, tokenized_bleu
from heedful.training import validation_loss

from .batches import encode, reading
from .decoding_options import DecodingOptions
from .recipe import EvaluationOptions
from .translator import Translator

# most real target tokens in a batch of the validation set
VALIDATION_TOKENS = 4000
# metrics that take several references of a text
OF_SEVERAL = {**strings.METRICS, **rouge.METRICS}


def score_translator(
    translator: Translator, translate: Callable[[], Sequence[str]], pairs: Pairs, evaluation: EvaluationOptions
) -> list[Score]:
    """Each metric of the recipe over one set, in its order; `translate` is called only where a metric reads texts."""
    read = [name for name in evaluation.metrics if name != "perplexity"]
    rest = evaluation.model_copy(update={"metrics": read})
    found = dict(zip(read, score(translate(), pairs.target, rest, pairs.source) if read else [], strict=True))
    if "perplexity" in evaluation.metrics:
        found["perplexity"] = perplexity(translator, pairs)
    return [found[name] for name in evaluation.metrics]


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    evaluation: EvaluationOptions,
    sources: Sequence[str] | None = None,
) -> list[Score]:
    """Each metric of the recipe that reads texts over one set.

    Args:
        hypotheses: one for each pair.
        references: likewise.
        evaluation: which metrics, and the language they need.
        sources: of the pairs; those of one source are one text with several references to `OF_SEVERAL`. Every pair by
            itself when left out.
    """
    metrics: dict[str, Callable[[Sequence[str], Sequence[str]], Score]] = {
        "bleu": bleu,
        "chrf": chrf,
        "tokenized_bleu": lambda ours, theirs: tokenized_bleu(ours, theirs, evaluation.language or ""),
    }
    words = (hypotheses, [[one] for one in references])
    if sources and evaluation.gather:
        words = strings.gathered(sources, hypotheses, references)
    return [
        OF_SEVERAL[name](*words) if name in OF_SEVERAL else metrics[name](hypotheses, references)
        for name in evaluation.metrics
    ]


def perplexity(translator: Translator, pairs: Pairs) -> Score:
    """Perplexity of each token of the targets given their sources, ends included; pairs without a token are left out.

    Args:
        translator: what to judge.
        pairs: on what.

    Raises:
        DataError: no pair has a token on each side.
        RecipeError: it is an ensemble.
    """
    if isinstance(translator.model, Ensemble):
        raise RecipeError("an ensemble has no perplexity; leave decoding.ensemble or the metric out")
    corpus = encode(pairs, translator.tokenizers, reading(translator.recipe))
    found = validation_loss(translator.model.eval(), corpus.batches(VALIDATION_TOKENS, seed=0).epoch(0))
    return Score("perplexity", found["perplexity"], perplexity_signature(translator.tokenizers.target))


def perplexity_signature(tokenizer: Tokenizer) -> str:
    """What a perplexity is of: its unit, how many of them are known, and that the end of a text counts."""
    return f"unit:{tokenizer.kind}|ids:{tokenizer.vocab_size}|end:yes|version:{heedful.__version__}"


def check_metrics(evaluation: EvaluationOptions) -> None:
    """Try the metrics of translations on one word, so that an unsupported language is refused before the training.

    Raises:
        RecipeError: one of them cannot be computed.
    """
    texts = [name for name in evaluation.metrics if name in ("bleu", "chrf", "tokenized_bleu", *rouge.METRICS)]
    try:
        score(["word"], ["word"], evaluation.model_copy(update={"metrics": texts}))
    except ValueError as error:
        raise RecipeError(f"evaluation: {error}") from None


def check_decoding(decoding: DecodingOptions) -> None:
    """Refuse before the training what its model could not be scored with after it.

    Raises:
        RecipeError: a shortlist, which is learnt for a trained model, or a precision that this machine does not have.
    """
    if decoding.shortlist:
        raise RecipeError(
            f"decoding.shortlist is {decoding.shortlist}, but a model that is to be trained has none; set it to null, "
            "and after the training run `heedful shortlist MODEL` and give it by --set"
        )
    if decoding.precision == "int8":
        try:
            check_int8()
        except ValueError as error:
            raise RecipeError(f"decoding.precision is int8: {error}") from None
