"""Classifiers from a recipe: text in one column, its label in another, macro-F1 and a confusion matrix to judge by."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

import heedful
from heedful._errors import DataError, brief
from heedful.data.ids import Ids
from heedful.data.labelled import LabelledBatches
from heedful.data.readers import Pairs
from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.data.vocabulary import SPECIAL_TOKENS, UNK
from heedful.metrics.classification import (
    BINS,
    LabelScore,
    accuracy,
    calibration,
    confusion_matrix,
    expected_calibration_error,
    label_scores,
    macro_f1,
)
from heedful.metrics.translation import Score
from heedful.training import label_loss
from heedful.training.processes import Processes
from heedful.visual.confusion import write_confusion
from heedful.visual.highlight import Reading

from .batches import Limits, encode_side, make_batches, make_tokenizer
from .corpora import Say
from .data_options import TokenizerOptions
from .recipe import LABEL_METRICS, Recipe
from .trained import TrainedModel
from .translation import UNKNOWN, VALIDATION_TOKENS, Material, Task, gather_sets, keep_tokenizers

FIRST_LABEL = len(SPECIAL_TOKENS)
# labels that a message names
NAMED = 5


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
        """The label of one text, and how much each of its words was looked at for it.

        Raises:
            DataError: the text is empty.
        """
        segments = self.tokenizers.source.segment(text)
        ids = segments.ids[: self.recipe.data.max_length]
        if not ids:
            raise DataError("The text is empty; give at least one word.")
        word_of = segments.word_of[: len(ids)]
        words = segments.words[: word_of[-1] + 1]
        with torch.inference_mode(), evaluating(self.model) as model:
            device = next(model.parameters()).device
            found = model(torch.tensor([ids], device=device), torch.tensor([len(ids)], device=device), True)
        looks = found.weights[0].double().cpu().reshape(-1, len(ids)).numpy()

        def reading(weights: np.ndarray, caption: str = "") -> Reading:
            return Reading(words, np.bincount(word_of, weights, len(words)), caption)

        readings = [reading(looks.mean(0))]
        if self.recipe.model.pooling == "structured":
            readings += [reading(one, f"look {number}") for number, one in enumerate(looks, start=1)]
        answer = _answer(self.labels, found.answer[0].double().softmax(-1).cpu().numpy())
        needed = Reading(words, self._needed(ids, word_of, answer), "needed")
        return Answer(answer.label, answer.probabilities, readings, needed)

    def _needed(self, ids: Sequence[int], word_of: Sequence[int], answer: Answer) -> np.ndarray:
        """What the probability of the label loses without each word, 0 where it gains: `[words]`."""
        num_words, place = word_of[-1] + 1, self.labels.index(answer.label)
        if num_words == 1:  # without it there is no text
            return np.array([answer.probabilities[answer.label]])
        pairs = list(zip(ids, word_of, strict=True))
        without = Ids.pack([[one for one, own in pairs if own != word] for word in range(num_words)])
        return np.maximum(answer.probabilities[answer.label] - self.probabilities(without)[:, place], 0)

    @torch.inference_mode()
    def probabilities(self, texts: Ids) -> np.ndarray:
        """Of every label for each text of ids, none of them empty: `[texts, labels]`."""
        found = np.zeros((len(texts), len(self.labels)))
        batches = LabelledBatches(texts, np.zeros(len(texts), np.int64), VALIDATION_TOKENS)
        with evaluating(self.model) as model:
            device = next(model.parameters()).device
            for batch in batches.epoch(0):
                logits = model(batch.inputs.to(device), batch.lengths.to(device)).answer
                found[batch.index.numpy()] = logits.double().softmax(-1).cpu().numpy()
        return found

    def _ids(self, texts: Sequence[str]) -> tuple[Ids, int]:
        return cut(self.tokenizers.source.encode_all(texts), self.recipe.data.max_length)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """A model in evaluation mode for as long as the `with` lasts."""
    training = model.training
    try:
        yield model.eval()
    finally:
        model.train(training)


def _answer(labels: Sequence[str], probabilities: np.ndarray) -> Answer:
    order: list[int] = np.argsort(-probabilities, kind="stable").tolist()
    return Answer(labels[order[0]], {labels[place]: float(probabilities[place]) for place in order})


@dataclass(frozen=True)
class Documents:
    """Texts as ids, and the place of each one's label."""

    texts: Ids
    answers: np.ndarray

    def batches(self, tokens_per_batch: int, seed: int) -> LabelledBatches:
        """Batches of them, in an order that is a pure function of (seed, epoch)."""
        return LabelledBatches(self.texts, self.answers, tokens_per_batch, seed)


def labels_of(tokenizers: TokenizerPair) -> list[str]:
    """The labels that the target side of a classifier holds, in their order."""
    return [tokenizers.target.decode([number]) for number in range(FIRST_LABEL, tokenizers.target.vocab_size)]


def cut(texts: Ids, max_length: int) -> tuple[Ids, int]:
    """The first `max_length` ids of each text, and how many texts have more."""
    longer = int((texts.lengths > max_length).sum())
    return (Ids.pack([ids[:max_length] for ids in texts]) if longer else texts), longer


def encode_documents(
    pairs: Pairs,
    tokenizers: TokenizerPair,
    limits: Limits,
    say: Say = lambda _: None,
    dropout: float = 0.0,
    seed: Sequence[int] = (),
) -> Documents:
    """Texts and labels as numbers; what has no token, or a label that is not known, is left out and reported.

    Args:
        pairs: texts, and their labels as targets.
        tokenizers: of a classifier.
        limits: of which `max_length` says how many tokens of a text are read.
        say: takes what was left out, and how many texts are cut.
        dropout: of merges, see `SubwordSampler`.
        seed: of that dropout.

    Raises:
        DataError: nothing is left.
    """
    texts = encode_side(tokenizers.source, pairs.source, dropout, [*seed, 0])
    answers = np.array([(ids or [UNK])[0] for ids in tokenizers.target.encode_batch(pairs.target)]) - FIRST_LABEL
    unseen = Counter(pairs.target[place] for place in np.flatnonzero(answers < 0))
    keep = np.flatnonzero((answers >= 0) & (texts.lengths > 0))
    if not len(keep):
        raise DataError(
            f"No text of {pairs.origin} has a token and a label that training saw, {name_some(labels_of(tokenizers))}"
            f"; its labels are {name_some([*unseen])}. See that the columns are the text, then the label."
        )
    if unseen:
        say(
            f"Left out {unseen.total():,} texts of {pairs.origin}: training never saw their labels, "
            f"{name_some([label for label, _ in unseen.most_common()])}."
        )
    if empty := int((texts.lengths == 0).sum()):
        say(f"Left out {empty:,} texts of {pairs.origin}: no token.")
    texts, longer = cut(texts.take(keep), limits.max_length or texts.lengths.max())
    if longer:
        say(f"Of {longer:,} texts of {pairs.origin} only the first {limits.max_length:,} tokens are read.")
    return Documents(texts, answers[keep])


def name_some(labels: Sequence[str]) -> str:
    """Labels as a message has them, the first few of many.

    >>> name_some(["a", "b", "c", "d", "e", "f", "g"])
    "'a', 'b', 'c', 'd', 'e' and 2 more"
    """
    named = ", ".join(map(brief, labels[:NAMED])) or "none"
    return named if len(labels) <= NAMED else f"{named} and {len(labels) - NAMED:,} more"


def make_vocabularies(pairs: Pairs, options: TokenizerOptions) -> TokenizerPair:
    """The tokeniser of the texts and the labels, in the order of the alphabet, numbers in theirs.

    Raises:
        DataError: there is one label alone, or as many as texts.
    """
    counts = Counter(pairs.target)
    if len(counts) == 1:
        raise DataError(f"All texts of {pairs.origin} have the label {brief(pairs.target[0])}; a classifier needs two.")
    if len(counts) == len(pairs) > 2:
        raise DataError(
            f"No label of {pairs.origin} occurs twice, such as {name_some([*counts])}; see that data.train.columns "
            "names the column of the text, then that of the label."
        )
    ordered = sorted(counts, key=lambda label: (len(label) if label.isdecimal() else 0, label))
    return TokenizerPair(
        make_tokenizer("source", pairs.source, options), Tokenizer.from_entries(ordered, LABEL), joint=False
    )


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
    documents = encode_documents(sample, tokenizers, Limits(recipe.data.max_length))
    counts = np.bincount(documents.answers, minlength=tokenizers.target.vocab_size - FIRST_LABEL)
    labels = labels_of(tokenizers)
    least, most = int(counts.argmin()), int(counts.argmax())
    say(
        f"Vocabulary: {tokenizers.source.vocab_size:,} tokens. Labels: {len(labels):,}, from {brief(labels[least])} "
        f"({counts[least]:,} texts) to {brief(labels[most])} ({counts[most]:,})."
    )
    batches = make_batches(material, tokenizers, recipe, say, encode_documents)
    valid = encode_documents(material.valid, tokenizers, Limits(recipe.data.max_length), say)
    unknown = float(np.mean(valid.texts.flat == UNK))
    if unknown > UNKNOWN:
        say(
            f"Warning: the vocabulary does not know {unknown:.0%} of the tokens of the validation texts; "
            "use tokenizer.kind: byte_bpe, or raise tokenizer.vocab_size."
        )
    if "test" in to_score:  # told before anything takes time
        encode_documents(to_score["test"], tokenizers, Limits(recipe.data.max_length), say)
    options = {"weights": label_weights(counts)} if recipe.data.balance_labels else {}
    return Material(tokenizers, batches, material.num_pairs, valid, to_score, options)


def label_weights(counts: np.ndarray) -> torch.Tensor:
    """What a text counts by its label, so that every label counts the same and a text 1 in the mean: `[labels]`.

    >>> label_weights(np.array([3, 1])).tolist()
    [0.6666666865348816, 2.0]
    """
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.tensor(np.where(counts > 0, weights, 1.0), dtype=torch.float32)


def validator(
    classifier: Classifier, valid: Documents, processes: Processes
) -> Callable[[nn.Module], Mapping[str, float]]:
    """Loss, accuracy and macro-F1 of the model on the validation set, each process its share."""
    order = valid.batches(VALIDATION_TOKENS, seed=0).epoch(0)
    batches = [order[place] for place in range(len(order))[processes.rank :: processes.count]]
    num_labels = len(classifier.labels)

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
        return {"loss": sums[-1] / matrix.sum(), "accuracy": accuracy(matrix), "macro_f1": macro_f1(matrix)}

    return validate


@dataclass(frozen=True)
class Report:
    """What a classifier said of texts whose labels are known.

    Attributes:
        labels: all that there are.
        probabilities: `[texts, labels]`.
        right: `[texts]`, the place of each one's label.
        left_out: lines about texts that could not be judged.
    """

    labels: Sequence[str]
    probabilities: np.ndarray
    right: np.ndarray
    left_out: Sequence[str] = field(default=())

    @property
    def matrix(self) -> np.ndarray:
        """Texts by right label (rows) and given label (columns): `[labels, labels]`."""
        return confusion_matrix(self.right, self.probabilities.argmax(1), len(self.labels))

    @property
    def by_label(self) -> dict[str, LabelScore]:
        """Precision, recall and F1 of each label."""
        return dict(zip(self.labels, label_scores(self.matrix), strict=True))

    @property
    def certainty(self) -> tuple[np.ndarray, np.ndarray]:
        """The probability of each answer, and whether it is right: `[texts]` each."""
        return self.probabilities.max(1), self.probabilities.argmax(1) == self.right

    def scores(self, metrics: Sequence[str] = LABEL_METRICS) -> list[Score]:
        """All or some of accuracy, macro_f1 and calibration_error, in per cent."""
        facts = f"labels:{len(self.labels)}|texts:{len(self.right)}|version:{heedful.__version__}"
        found = {
            "accuracy": lambda: Score("accuracy", 100 * accuracy(self.matrix), facts),
            "macro_f1": lambda: Score("macro_f1", 100 * macro_f1(self.matrix), f"average:macro|{facts}"),
            "calibration_error": lambda: Score(
                "calibration_error", 100 * expected_calibration_error(*self.certainty), f"bins:{BINS}|{facts}"
            ),
        }
        return [found[name]() for name in metrics]

    def draw(self, path: str | Path, title: str) -> Path:
        """Write the confusion matrix and the calibration to a .png or .svg file."""
        bins = [(one.confidence, one.accuracy, one.count) for one in calibration(*self.certainty)]
        return write_confusion(self.matrix, self.labels, path, title, bins)


def judge(classifier: Classifier, pairs: Pairs) -> Report:
    """Let a classifier label texts whose labels are known.

    Args:
        classifier: what to judge.
        pairs: texts, and their labels as targets.

    Raises:
        DataError: no label of the pairs is one that it knows.
    """
    said: list[str] = []
    documents = encode_documents(pairs, classifier.tokenizers, Limits(classifier.recipe.data.max_length), said.append)
    return Report(classifier.labels, classifier.probabilities(documents.texts), documents.answers, said)


def draw_last(classifier: Classifier, to_score: Mapping[str, Pairs], folder: Path) -> None:
    """Draw `confusion.png` of a run: of its test set, or of the validation set where there is none."""
    name, pairs = list(to_score.items())[-1]
    report = judge(classifier, pairs)
    scores = ", ".join(f"{one.name} {one.value:.1f}" for one in report.scores(["accuracy", "macro_f1"]))
    report.draw(folder / "confusion.png", f"{classifier.recipe.name}, {name}: {scores}")


CLASSIFICATION = Task(
    Classifier,
    label_loss,
    validator,
    lambda classifier, pairs: judge(classifier, pairs).scores(classifier.recipe.evaluation.metrics),
    prepare_documents,
    draw_last,
    "text",
)
