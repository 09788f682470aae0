"""Whether the words that a classifier looked at are what it needed for its label: they are left out of the text."""

from typing import Any

import numpy as np
import torch

from heedful.data.ids import Ids
from heedful.data.vocabulary import UNK
from heedful.metrics.evidence import attention_rollout
from heedful.metrics.faithfulness import faithfulness, rank_agreement
from heedful.models import SequenceClassifier, TransformerEncoder

from .classification import Classifier
from .faithfulness import ATTENTION, GRADIENT, LEFT_OUT, ROLLOUT, Faithful
from .looking import evaluated

# what the numbers are
OF_LABELS = "what the chance of the label loses"


def classifier_faithfulness(classifier: Classifier, text: str, draws: int = 10) -> dict[str, Faithful]:
    """Measure scores of the words of a text: attention and, where they are defined, gradient x attention and rollout.

    A word is erased with all its pieces; the ends of sentences stay. A text without a word is an unknown one. Gradient
    x attention is of poolings whose vector is the sum of weights times outputs, or its tanh; rollout of a Transformer.

    Args:
        classifier: with attention, or without: its pooling then weighs all words alike.
        text: to label.
        draws: random orders beside which the scores stand.

    Returns:
        The measures by name of the scores; the last are those of leaving one word out, for comparison.

    Raises:
        DataError: the text is empty.
    """
    answer, read = classifier.look(text), classifier.read(text)
    place = classifier.labels.index(answer.label)

    def predict(texts: list[list[int]]) -> np.ndarray:
        return classifier.probabilities(Ids.pack([read.kept(set(words)) or [UNK] for words in texts]))

    words = [*range(len(read.words))]
    without = predict([[other for other in words if other != word] for word in words])[:, place]
    worth = np.log(answer.probabilities[answer.label]) - np.log(without)
    scores = {ATTENTION: answer.readings[0].weights}
    for name, pieces in _piece_scores(classifier.model, read.ids, place).items():
        scores[name] = np.bincount(read.word_of, pieces, len(words))
    found = {}
    for name, own in (*scores.items(), (LEFT_OUT, worth)):
        measured = faithfulness(predict, words, own, draws=draws)
        found[name] = Faithful(measured.comprehensiveness, measured.sufficiency, rank_agreement(own, worth))
    return found


def _piece_scores(model: Any, ids: list[int], place: int) -> dict[str, np.ndarray]:
    """Further scores of the pieces, [pieces] each, of a model that has them."""
    if not isinstance(model, SequenceClassifier):
        return {}
    device = next(model.parameters()).device
    inputs, lengths, found = torch.tensor([ids], device=device), torch.tensor([len(ids)], device=device), {}
    with evaluated(model):
        layered = {"need_weights": True} if isinstance(model.encoder, TransformerEncoder) else {}
        read: Any = model.encoder(inputs, lengths, **layered)
        vector, weights = model.pooling(read.outputs, None, True)
        looks = weights[0].reshape(-1, len(ids))
        summed = looks @ read.outputs[0]
    if (gradient := _gradient(model, summed.clone(), vector.clone(), place)) is not None:
        found[GRADIENT] = (looks * (gradient @ read.outputs[0].T)).sum(0).double().cpu().numpy()
    if layered:
        layers = read.weights[0].double().cpu().numpy()
        found[ROLLOUT] = looks.double().mean(0).cpu().numpy() @ attention_rollout(list(layers))[-1]
    return found


@torch.enable_grad()
def _gradient(model: SequenceClassifier, summed: torch.Tensor, vector: torch.Tensor, place: int) -> torch.Tensor | None:
    """That of a logit by the sums of weights times outputs, `[looks, features]`; None where the vector is another."""
    for squash in (torch.clone, torch.tanh):
        leaf = summed.detach().clone().requires_grad_()
        made = squash(leaf)
        if made.numel() == vector.numel() and torch.allclose(made.reshape(vector.shape), vector, atol=1e-5):
            logit = model.head(made.reshape(1, -1))[0, place]
            return torch.autograd.grad(logit, leaf)[0]
    return None
