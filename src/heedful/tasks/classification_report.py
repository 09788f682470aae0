"""How right a classifier is: its report on texts whose labels are known, and the picture of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import heedful
from heedful.data.readers import Pairs
from heedful.metrics.classification import (
    BINS,
    LabelScore,
    accuracy,
    calibration,
    confusion_matrix,
    expected_calibration_error,
    label_scores,
    macro_f1,
    relation_f1,
)
from heedful.metrics.translation import Score

from .batches import Limits
from .classification_batches import encode_documents, has_sentences

# that any labels have
SCORES = ("accuracy", "macro_f1", "calibration_error")

if TYPE_CHECKING:
    from .classification import Classifier


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

    def scores(self, metrics: Sequence[str] = SCORES) -> list[Score]:
        """Some of accuracy, macro_f1, calibration_error and relation_f1, in per cent."""
        facts = f"labels:{len(self.labels)}|texts:{len(self.right)}|version:{heedful.__version__}"
        found = {
            "accuracy": lambda: Score("accuracy", 100 * accuracy(self.matrix), facts),
            "macro_f1": lambda: Score("macro_f1", 100 * macro_f1(self.matrix), f"average:macro|{facts}"),
            "calibration_error": lambda: Score(
                "calibration_error", 100 * expected_calibration_error(*self.certainty), f"bins:{BINS}|{facts}"
            ),
            "relation_f1": lambda: Score(
                "relation_f1", 100 * relation_f1(self.matrix, self.labels), f"average:macro|directed|{facts}"
            ),
        }
        return [found[name]() for name in metrics]

    def draw(self, path: str | Path, title: str) -> Path:
        """Write the confusion matrix and the calibration to a .png or .svg file."""
        # matplotlib takes a tenth of what starting a command takes
        from heedful.visual.confusion import write_confusion

        bins = [(one.confidence, one.accuracy, one.count) for one in calibration(*self.certainty)]
        return write_confusion(self.matrix, self.labels, path, title, bins)


def judge(classifier: "Classifier", pairs: Pairs) -> Report:
    """Let a classifier label texts whose labels are known.

    Args:
        classifier: what to judge.
        pairs: texts, and their labels as targets.

    Raises:
        DataError: no label of the pairs is one that it knows.
    """
    said: list[str] = []
    limits, nested = Limits(classifier.recipe.data.max_length), has_sentences(classifier.recipe)
    documents = encode_documents(pairs, classifier.tokenizers, limits, said.append, nested=nested)
    return Report(classifier.labels, classifier.probabilities(documents.texts), documents.answers, said)


def draw_last(classifier: "Classifier", to_score: Mapping[str, Pairs], folder: Path) -> None:
    """Draw `confusion.png` of a run: of its test set, or of the validation set where there is none."""
    name, pairs = list(to_score.items())[-1]
    report = judge(classifier, pairs)
    scores = ", ".join(f"{one.name} {one.value:.1f}" for one in report.scores(["accuracy", "macro_f1"]))
    report.draw(folder / "confusion.png", f"{classifier.recipe.name}, {name}: {scores}")
