"""Whether the words that a classifier looked at are what it needed for its label: they are left out of the text."""

import numpy as np

from heedful.data.ids import Ids
from heedful.data.vocabulary import UNK
from heedful.metrics.faithfulness import faithfulness, rank_agreement

from .classification import Classifier
from .faithfulness import ATTENTION, LEFT_OUT, Faithful


def classifier_faithfulness(classifier: Classifier, text: str, draws: int = 10) -> dict[str, Faithful]:
    """Measure the weights of the words of a text, and for comparison what each word, left out alone, is worth.

    A word is erased with all its pieces; the ends of sentences stay. A text without a word is an unknown one.

    Args:
        classifier: with attention, or without: its pooling then weighs all words alike.
        text: to label.
        draws: random orders beside which the scores stand.

    Raises:
        DataError: the text is empty.
    """
    answer, read = classifier.explain(text), classifier.read(text)
    place = classifier.labels.index(answer.label)

    def predict(texts: list[list[int]]) -> np.ndarray:
        return classifier.probabilities(Ids.pack([read.kept(set(words)) or [UNK] for words in texts]))

    words = [*range(len(read.words))]
    without = predict([[other for other in words if other != word] for word in words])[:, place]
    worth = np.log(answer.probabilities[answer.label]) - np.log(without)
    found = {}
    for name, scores in ((ATTENTION, answer.readings[0].weights), (LEFT_OUT, worth)):
        measured = faithfulness(predict, words, scores, draws=draws)
        agreement = rank_agreement(scores, worth)
        found[name] = Faithful(measured.comprehensiveness, measured.sufficiency, agreement)
    return found
