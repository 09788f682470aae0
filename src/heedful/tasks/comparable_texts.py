"""Translators in a comparison, and whatever else makes texts from texts: summaries, pronunciations, answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from heedful._errors import DataError
from heedful.data.readers import Pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.alignment import alignment_error_rate, from_pharaoh, hard_links
from heedful.metrics.counts import Counted, count_losses, count_texts
from heedful.metrics.evidence import attention_summary
from heedful.metrics.strings import gathered
from heedful.training import sequence_loss
from heedful.training.losses import Loss
from heedful.visual.alignment import Alignment
from heedful.visual.comparison import Table

from .batches import Limits, encode, make_tokenizers, reading
from .comparable import LOOKED_AT, Comparable, Ground, Nouns, refuse_no_attention, refuse_no_test, sample_places, timed
from .corpora import Say, gather_material, read_part
from .equal_sizes import NAMES_AND_SCORES, with_attention
from .faithfulness import Faithful, looks, translator_faithfulness
from .looking import evaluated
from .model_options import ModelOptions
from .recipe import Recipe, expand_path
from .scoring import OF_SEVERAL, check_decoding, check_metrics
from .translator import Translator


class ComparableTexts(Comparable):
    """Translation, by `model.attention`; see `heedful.tasks.comparable.Comparable`."""

    key: str = "model.attention"
    names: Sequence[str] = NAMES_AND_SCORES

    def refuse(self, recipe: Recipe) -> None:
        refuse_no_attention(recipe.model)
        check_metrics(recipe.evaluation)
        check_decoding(recipe.decoding)
        refuse_no_test(recipe, "data.test.tsv=FILE")

    def change(self, model: ModelOptions, name: str) -> ModelOptions:
        return with_attention(model, name)

    def prepare(self, recipe: Recipe, make: Callable[[Callable[[], TokenizerPair]], TokenizerPair], say: Say) -> Ground:
        def learn() -> TokenizerPair:
            return make_tokenizers(learnt_from(recipe, say), recipe.tokenizer)

        tokenizers, test = make(learn), read_test(recipe, say)
        nouns = Nouns(answers="outputs", sizes=sizes_of(test.source)[1])
        return Ground(test, tokenizers, recipe.model, nouns, test.origin, len(test))

    def content(self, test: Pairs) -> list[Any]:
        return [test.source, test.target]

    def measure(self, trained: Translator, test: Pairs) -> dict[str, Any]:
        found, seconds = timed(lambda texts: [best[0] for best in trained.translate(texts)], test.source)
        tokens = sum(len(one.hypothesis.tokens) for one in found)
        measured = {"decoding_tokens_per_second": round(tokens / seconds, 1), "answers": [one.text for one in found]}
        if "perplexity" in trained.recipe.evaluation.metrics:
            measured["losses"] = losses_of(trained, test, sequence_loss, reading(trained.recipe))
        return measured

    def look(self, trained: Translator, test: Pairs, gold: Sequence[str] | None) -> dict[str, Any]:
        if not looks(trained.model):
            return {}
        count = LOOKED_AT if gold is None else len(test)
        seen = [trained.align(*pair) for pair in zip(test.source[:count], test.target[:count], strict=True)]
        found = [attention_summary(look.weights) for look in seen[:LOOKED_AT]]
        described = {
            "sharpness": round(mean(one.sharpness for one in found), 4),
            "diagonality": round(mean(one.diagonality for one in found), 4),
        }
        if gold is not None:
            described["alignment_error_rate"] = _error_rate(seen, gold)
        return described

    def faithfulness(self, trained: Translator, test: Pairs, count: int) -> Mapping[str, Faithful]:
        if not looks(trained.model):
            return {}
        pairs = [trained.segment_pair(*pair) for pair in zip(test.source[:count], test.target[:count], strict=True)]
        return translator_faithfulness(trained, [(source.ids, target.ids) for source, target in pairs])

    def count(self, metric: str, run: Mapping[str, Any], test: Pairs, recipe: Recipe) -> Counted:
        options, sizes = recipe.evaluation, sizes_of(test.source)[0]
        if metric == "perplexity":
            return count_losses(run["losses"]).with_sizes(sizes)
        outputs, references = run["answers"], [[one] for one in test.target]
        if metric in OF_SEVERAL and options.gather:
            outputs, references = gathered(test.source, outputs, test.target)
            sizes = list(dict(zip(test.source, sizes, strict=True)).values())
        return count_texts(metric, outputs, references, options.language or "").with_sizes(sizes)

    def samples(self, test: Pairs, runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
        return [
            Table(
                test.source[place],
                ["model", "text"],
                [["by a person", test.target[place]], *([name, run["answers"][place]] for name, run in runs.items())],
            )
            for place in sample_places(sizes_of(test.source)[0])
        ]


def learnt_from(recipe: Recipe, say: Say) -> Pairs:
    """The pairs that vocabularies are learnt from."""
    return gather_material(recipe.data, recipe.seed, expand_path(recipe.output) / "corpus", say).sample()


def read_test(recipe: Recipe, say: Say) -> Pairs:
    """The test set of a recipe that has one."""
    assert recipe.data.test
    return read_part(recipe.data.test, say, recipe.data.max_chars)


def sizes_of(texts: Sequence[str], whose: str = "the source") -> tuple[list[int], str]:
    """How long texts are, and what was counted: words, or characters where each text is one word.

    >>> sizes_of(["I see", "no"]), sizes_of(["light", "red"])
    (([2, 1], 'words of the source'), ([5, 3], 'characters of the source'))
    """
    words = [len(text.split()) for text in texts]
    if max(words, default=0) > 1:
        return words, f"words of {whose}"
    return [len(text) for text in texts], f"characters of {whose}"


def losses_of(
    trained: Any, test: Pairs, loss: Callable[..., Loss], limits: Limits | None = None
) -> list[tuple[float, int]]:
    """Nats and tokens of each pair; zeros for one that the model cannot be fed."""
    found, device = [], next(trained.model.parameters()).device
    limits = replace(limits or Limits(), max_length=None, max_ratio=None)
    with evaluated(trained.model):
        for place in range(len(test)):
            try:
                corpus = encode(test.select([place]), trained.tokenizers, limits)
            except DataError:
                found.append((0.0, 0))
                continue
            (batch,) = corpus.batches(1, seed=0).epoch(0)
            part = loss(trained.model, batch.to(device))
            found.append((round(part.total.item(), 5), int(part.tokens.item())))
    return found


def _error_rate(seen: Sequence[Alignment], gold: Sequence[str]) -> float:
    sure, possible = ([from_pharaoh(line, possible=both) for line in gold] for both in (False, True))
    found = [hard_links(look.weights) for look in seen]
    return round(alignment_error_rate(found, sure, possible).error_rate, 4)
