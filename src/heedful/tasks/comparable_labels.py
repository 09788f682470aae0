"""Classifiers in a comparison: poolings, or a Transformer below; hits by text, and the words that each marked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from heedful.data.ids import Ids
from heedful.data.readers import Pairs
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.counts import Counted, count_labels
from heedful.visual.comparison import Table
from heedful.visual.highlight import Reading

from .batches import Limits, cut
from .classification import Classifier
from .classification_batches import (
    encode_documents,
    encode_texts,
    has_sentences,
    make_vocabularies,
    places_of,
)
from .comparable import (
    LOOKED_AT,
    TOKENS_READ,
    Comparable,
    Ground,
    Nouns,
    refuse_no_test,
    sample_places,
    sharpness_of,
    speed_key,
    timed,
)
from .comparable_texts import learnt_from, read_test, sizes_of
from .corpora import Say
from .equal_sizes import POOLINGS, with_pooling
from .faithfulness import Faithful, mean_faithful
from .model_options import ModelOptions
from .recipe import Recipe
from .text_faithfulness import OF_LABELS, classifier_faithfulness


class ComparableLabels(Comparable):
    """Classification, by `model.pooling`; see `heedful.tasks.comparable.Comparable`."""

    key: str = "model.pooling"
    names: Sequence[str] = POOLINGS

    def refuse(self, recipe: Recipe) -> None:
        refuse_no_test(recipe, "data.test.csv=FILE")

    def change(self, model: ModelOptions, name: str) -> ModelOptions:
        return with_pooling(model, name)

    def prepare(self, recipe: Recipe, make: Callable[[Callable[[], TokenizerPair]], TokenizerPair], say: Say) -> Ground:
        tokenizers = make(lambda: make_vocabularies(learnt_from(recipe, say), recipe.tokenizer))
        test = usable(read_test(recipe, say), tokenizers, recipe, say)
        sizes = sizes_of(test.source, "the text")[1]
        nouns = Nouns("test texts", "answers", sizes, speed=TOKENS_READ, lost=OF_LABELS)
        return Ground(test, tokenizers, recipe.model, nouns, test.origin, len(test))

    def content(self, test: Pairs) -> list[Any]:
        return [test.source, test.target]

    def measure(self, trained: Classifier, test: Pairs) -> dict[str, Any]:
        def answer(texts: Sequence[str]) -> tuple[np.ndarray, int]:
            nested = has_sentences(trained.recipe)
            ids: Ids = encode_texts(trained.tokenizers.source, texts, nested)
            ids, _ = cut(ids, trained.recipe.data.max_length)
            return trained.probabilities(ids), int(ids.lengths.sum())

        (found, tokens), seconds = timed(answer, test.source)
        return {
            speed_key("decoding", TOKENS_READ): round(tokens / seconds, 1),
            "labels": trained.labels,
            "answers": found.argmax(1).tolist(),
            "confidences": found.max(1).round(6).tolist(),
            "right": places_of(test.target, trained.tokenizers).tolist(),
        }

    def look(self, trained: Classifier, test: Pairs, gold: Sequence[str] | None) -> dict[str, Any]:
        shown = {}
        for place in sample_places(sizes_of(test.source)[0]):
            reading = trained.look(test.source[place]).readings[0]
            weights = reading.weights.round(6).tolist()
            shown[str(place)] = {"words": [*reading.words], "weights": weights, "lines": [*reading.lines]}
        seen = [trained.look(text).readings[0].weights for text in test.source[:LOOKED_AT]]
        return {"sharpness": sharpness_of(seen), "shown": shown}

    def faithfulness(self, trained: Classifier, test: Pairs, count: int) -> Mapping[str, Faithful]:
        found = [classifier_faithfulness(trained, text) for text in test.source[:count]]
        return {name: mean_faithful([one[name] for one in found]) for name in found[0]}

    def count(self, metric: str, run: Mapping[str, Any], test: Pairs, recipe: Recipe) -> Counted:
        right, answers, confidences = (np.array(run[name]) for name in ("right", "answers", "confidences"))
        return count_labels(metric, right, answers, confidences, run["labels"]).with_sizes(sizes_of(test.source)[0])

    def samples(self, test: Pairs, runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
        tables = []
        for place in sample_places(sizes_of(test.source)[0]):
            rows = [_sample(name, run, place) for name, run in runs.items()]
            tables.append(Table(f"Right: {test.target[place]}", ["model", "label", "what it looked at"], rows))
        return tables


def usable(pairs: Pairs, tokenizers: TokenizerPair, recipe: Recipe, say: Say) -> Pairs:
    """The texts that have a token, and a label that training sees.

    Raises:
        DataError: nothing is left.
    """
    nested = has_sentences(recipe)
    encode_documents(pairs, tokenizers, Limits(recipe.data.max_length), say, nested=nested)
    lengths = encode_texts(tokenizers.source, pairs.source, nested).lengths
    return pairs.select(np.flatnonzero((lengths > 0) & (places_of(pairs.target, tokenizers) >= 0)).tolist())


def _sample(name: str, run: Mapping[str, Any], place: int) -> list[Any]:
    said = f"{run['labels'][run['answers'][place]]} ({run['confidences'][place]:.0%})"
    seen = run["shown"][str(place)]
    return [name, said, Reading(seen["words"], np.array(seen["weights"]), lines=seen["lines"])]
