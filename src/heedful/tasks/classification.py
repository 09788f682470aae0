"""Classifiers from a recipe: text in one column, its label in another, macro-F1 and a confusion matrix to judge by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from heedful._errors import DataError, brief
from heedful.data.ids import Ids
from heedful.data.labelled import LabelledBatches
from heedful.data.tokenizers import Tokenizer
from heedful.data.vocabulary import UNK
from heedful.layers import NgramEmbedding
from heedful.metrics.classification import accuracy, confusion_matrix, is_relation, macro_f1, relation_f1
from heedful.training import label_loss
from heedful.training.processes import Processes
from heedful.visual.highlight import Reading

from .batches import Limits, make_batches
from .classification_batches import (
    Documents,
    Words,
    cut,
    encode_documents,
    encode_texts,
    has_sentences,
    label_weights,
    labels_of,
    make_vocabularies,
    name_some,
    places_of,
    words_of,
)
from .classification_report import draw_last, judge
from .corpora import Say
from .looking import evaluated
from .recipe import Recipe
from .trained import TrainedModel
from .translation import UNKNOWN, VALIDATION_TOKENS, Material, Task, gather_sets, keep_tokenizers


@dataclass(frozen=True)
class Answer:
    """What a classifier says of a text; of an empty text nothing: the label "", and no probabilities.

    Attributes:
        label: the most probable one.
        probabilities: of every label, the most probable first.
        readings: where they were asked for, the words that were read and how much each was looked at, over all; then
            the same of every look where there are several.
        needed: likewise, what the probability of the label loses when a word is left out of the text; from 0 up.
    """

    label: str
    probabilities: Mapping[str, float]
    readings: Sequence[Reading] = ()
    needed: Reading | None = None


class Classifier(TrainedModel):
    """A classifier, its tokeniser and labels, and the recipe they were made by."""

    task = "classification"

    @property
    def labels(self) -> list[str]:
        """The labels that training saw, in their order."""
        return labels_of(self.tokenizers)

    def classify(self, texts: Sequence[str]) -> list[Answer]:
        """The label of each text, as far as `data.max_length` of the recipe lets it be read."""
        ids, _ = self._ids(texts)
        places = np.flatnonzero(ids.lengths)
        answers, labels = [Answer("", {})] * len(texts), self.labels
        for place, row in zip(places, self.probabilities(ids.take(places)), strict=True):
            answers[place] = _answer(labels, row)
        return answers

    def explain(self, text: str) -> Answer:
        """The label of one text, how much each of its words was looked at for it, and how much each was needed.

        Raises:
            DataError: the text is empty.
        """
        read, answer = self.read(text), self.look(text)
        return replace(answer, needed=Reading(read.words, self._needed(read, answer), "needed"))

    def look(self, text: str) -> Answer:
        """The label of one text, and how much each of its words was looked at for it.

        Raises:
            DataError: the text is empty.
        """
        read = self.read(text)
        ids, words = read.ids, read.words
        with evaluated(self.model):
            device = next(self.model.parameters()).device
            found = self.model(torch.tensor([ids], device=device), torch.tensor([len(ids)], device=device), True)
        looks = found.weights[0].double().cpu().reshape(-1, len(ids)).numpy()

        def reading(weights: np.ndarray, caption: str = "") -> Reading:
            return Reading(words, np.bincount(read.word_of, weights, len(words)), caption, read.lines)

        readings = [reading(looks.mean(0))]
        if self.recipe.model.pooling == "structured":
            readings += [reading(one, f"look {number}") for number, one in enumerate(looks, start=1)]
        return replace(_answer(self.labels, found.answer[0].double().softmax(-1).cpu().numpy()), readings=readings)

    def read(self, text: str) -> Words:
        """The words of a text as far as they are read.

        Raises:
            DataError: the text is empty.
        """
        read = words_of(self.tokenizers.source, text, has_sentences(self.recipe), self.recipe.data.max_length)
        if not read.ids:
            raise DataError("The text is empty; give at least one word.")
        return read

    def _needed(self, read: Words, answer: Answer) -> np.ndarray:
        """What the probability of the label loses without each word, 0 where it gains: `[words]`."""
        num_words, place = len(read.words), self.labels.index(answer.label)
        if num_words == 1:  # without it there is no text
            return np.array([answer.probabilities[answer.label]])
        words = set(range(num_words))
        without = Ids.pack([read.kept(words - {word}) for word in range(num_words)])
        return np.maximum(answer.probabilities[answer.label] - self.probabilities(without)[:, place], 0)

    def probabilities(self, texts: Ids) -> np.ndarray:
        """Of every label for each text of ids, none of them empty: `[texts, labels]`."""
        found = np.zeros((len(texts), len(self.labels)))
        batches = LabelledBatches(texts, np.zeros(len(texts), np.int64), VALIDATION_TOKENS)
        with evaluated(self.model):
            device = next(self.model.parameters()).device
            for batch in batches.epoch(0):
                logits = self.model(batch.inputs.to(device), batch.lengths.to(device)).answer
                found[batch.index.numpy()] = logits.double().softmax(-1).cpu().numpy()
        return found

    def _ids(self, texts: Sequence[str]) -> tuple[Ids, int]:
        ids = encode_texts(self.tokenizers.source, texts, has_sentences(self.recipe))
        return cut(ids, self.recipe.data.max_length)


def wants_relations(recipe: Recipe) -> bool:
    """Whether the labels are scored as relations."""
    return "relation_f1" in (*recipe.evaluation.metrics, recipe.training.best_by)


def _answer(labels: Sequence[str], probabilities: np.ndarray) -> Answer:
    order: list[int] = np.argsort(-probabilities, kind="stable").tolist()
    return Answer(labels[order[0]], {labels[place]: float(probabilities[place]) for place in order})


def prepare_documents(recipe: Recipe, folder: Path, say: Say) -> Material:
    """Read the data and turn them into ids, as `heedful.tasks.translation.prepare` does for pairs.

    Args:
        recipe: names data and vocabularies.
        folder: of the training.
        say: takes what was read and left out, and how often the labels occur.
    """
    material, to_score = gather_sets(recipe, folder, say)
    sample = material.sample()
    tokenizers = keep_tokenizers(recipe, folder, lambda: make_vocabularies(sample, recipe.tokenizer))
    encode = partial(encode_documents, nested=has_sentences(recipe))
    labels, places = labels_of(tokenizers), places_of(sample.target, tokenizers)
    counts = np.bincount(places[places >= 0], minlength=len(labels))
    least, most = int(counts.argmin()), int(counts.argmax())
    say(
        f"Vocabulary: {tokenizers.source.vocab_size:,} tokens. Labels: {len(labels):,}, from {brief(labels[least])} "
        f"({counts[least]:,} texts) to {brief(labels[most])} ({counts[most]:,})."
    )
    batches = make_batches(material, tokenizers, recipe, say, encode)
    valid = encode(material.valid, tokenizers, Limits(recipe.data.max_length), say)
    unknown = float(np.mean(valid.texts.flat == UNK))
    if unknown > UNKNOWN:
        say(
            f"Warning: the vocabulary does not know {unknown:.0%} of the tokens of the validation texts; "
            "use tokenizer.kind: byte_bpe, or raise tokenizer.vocab_size."
        )
    if wants_relations(recipe) and not any(map(is_relation, labels)):
        raise DataError(
            f"relation_f1 is of labels such as 'Cause-Effect(e2,e1)', but the labels are {name_some(labels)}; "
            "measure them by macro_f1."
        )
    if "test" in to_score:  # told before anything takes time
        encode(to_score["test"], tokenizers, Limits(recipe.data.max_length), say)
    options = {"weights": label_weights(counts)} if recipe.data.balance_labels else {}
    begin = partial(learn_ngrams, texts=sample.source, tokenizer=tokenizers.source, recipe=recipe)
    return Material(tokenizers, batches, material.num_pairs, valid, to_score, options, begin=begin)


def learn_ngrams(model: nn.Module, texts: Sequence[str], tokenizer: Tokenizer, recipe: Recipe) -> None:
    """Choose which n-grams have a vector, in a model that has any, by the texts that its vocabulary is made of."""
    for layer in model.modules():
        if isinstance(layer, NgramEmbedding):
            ids, _ = cut(encode_texts(tokenizer, texts, has_sentences(recipe)), recipe.data.max_length)
            layer.learn(torch.from_numpy(text).long() for text in ids)


def validator(
    classifier: Classifier, valid: Documents, processes: Processes
) -> Callable[[nn.Module], Mapping[str, float]]:
    """Loss, accuracy and macro-F1 of the model on the validation set, each process its share."""
    order = valid.batches(VALIDATION_TOKENS, seed=0).epoch(0)
    batches = [order[place] for place in range(len(order))[processes.rank :: processes.count]]
    num_labels = len(classifier.labels)
    relations = wants_relations(classifier.recipe)

    def validate(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        # texts by right and given label, and in one more cell the loss
        sums = torch.zeros(num_labels**2 + 1, dtype=torch.float64)
        for batch in batches:
            logits = model(batch.inputs.to(device), batch.lengths.to(device)).answer.float().cpu()
            sums[-1] += nn.functional.cross_entropy(logits, batch.answers, reduction="sum").double()
            matrix = confusion_matrix(batch.answers.numpy(), logits.argmax(-1).numpy(), num_labels)
            sums[:-1] += torch.from_numpy(matrix).flatten()
        sums = processes.total(sums).numpy()
        matrix = sums[:-1].reshape(num_labels, num_labels)
        found = {"loss": sums[-1] / matrix.sum(), "accuracy": accuracy(matrix), "macro_f1": macro_f1(matrix)}
        if relations:
            found["relation_f1"] = relation_f1(matrix, classifier.labels)
        return found

    return validate


CLASSIFICATION = Task(
    Classifier,
    label_loss,
    validator,
    lambda classifier, pairs: judge(classifier, pairs).scores(classifier.recipe.evaluation.metrics),
    prepare_documents,
    draw_last,
    {"loss": "loss per text (nats)", "accuracy": "accuracy"},
)
