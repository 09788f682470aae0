"""Whether the words that a classifier looked at are what it needed for its label: they are left out of the text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from heedful.data.ids import Ids
from heedful.data.vocabulary import UNK
from heedful.metrics.evidence import attention_rollout
from heedful.metrics.faithfulness import faithfulness, rank_agreement
from heedful.models import DocumentClassifier, SequenceClassifier, TransformerEncoder
from heedful.models.document_classifier import cut_sentences

from .classification import Classifier
from .faithfulness import ATTENTION, GRADIENT, LEFT_OUT, ROLLOUT, Faithful
from .looking import evaluated

# what the numbers are
OF_LABELS = "what the chance of the label loses"


def classifier_faithfulness(classifier: Classifier, text: str, draws: int = 10) -> dict[str, Faithful]:
    """Measure scores of the words of a text: attention and, where they are defined, gradient x attention and rollout.

    A word is erased with all its pieces; the ends of sentences stay. A text without a word is an unknown one. Gradient
    x attention is of poolings whose vector is the sum of weights times outputs, or its tanh; of documents it is the sum
    over both levels, where what a sentence gets is shared out among its words by their weights. Rollout is of a
    Transformer.

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
    device = next(model.parameters()).device
    inputs, lengths, found = torch.tensor([ids], device=device), torch.tensor([len(ids)], device=device), {}
    if (gradient := _gradients(model, inputs, lengths, place)) is not None:
        found[GRADIENT] = gradient.double().cpu().numpy()
    if isinstance(model, SequenceClassifier) and isinstance(model.encoder, TransformerEncoder):
        with evaluated(model):
            read = model.encoder(inputs, lengths, need_weights=True)
            looks = model.pooling(read.outputs, None, True).weights[0].reshape(-1, len(ids))
        layers = read.weights[0].double().cpu().numpy()
        found[ROLLOUT] = looks.double().mean(0).cpu().numpy() @ attention_rollout(list(layers))[-1]
    return found


def _gradients(model: Any, inputs: torch.Tensor, lengths: torch.Tensor, place: int) -> torch.Tensor | None:
    """`w * d logit / d w` of each piece, the sum over looks and levels; None where a vector is no sum by weights."""
    nested = isinstance(model, DocumentClassifier)
    poolings = (model.levels.word_pooling, model.levels.sentence_pooling) if nested else (model.pooling,)
    with evaluated(model, gradients=True), _factors(poolings) as found:
        answer = model(inputs, lengths, need_weights=True).answer
        if len(found) < len(poolings):
            return None
        gradients = torch.autograd.grad(answer[0, place], [factor for factor, _ in found])
    if not nested:
        return gradients[0].reshape(-1, inputs.shape[1]).sum(0)
    _, sizes, (_, step, sentence, word) = cut_sentences(inputs, lengths, model.end)
    # sentences without words are not read
    row = (sizes[0] > 0).cumsum(0)[sentence] - 1
    of_word, of_sentence, shares = gradients[0][row, word], gradients[1][0, sentence], found[0][1][row, word]
    return torch.zeros(inputs.shape[1], device=inputs.device).index_put((step,), of_word + shares * of_sentence)


@contextmanager
def _factors(poolings: Sequence[Any]) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Of each pooling that runs inside: factors of 1 of its weights, and these, where its vector is a sum by them."""
    found: list[tuple[torch.Tensor, torch.Tensor]] = []

    def tap(_: Any, inputs: Any, pooled: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
        steps, (vector, weights) = inputs[0], pooled
        factor = torch.ones_like(weights, requires_grad=True)
        summed = ((weights * factor).reshape(len(steps), -1, steps.shape[1]) @ steps).flatten(1)
        for squash in (torch.clone, torch.tanh):
            made = squash(summed)
            if made.numel() == vector.numel() and torch.allclose(made.reshape(vector.shape), vector, atol=1e-5):
                found.append((factor, weights.detach()))
                return made.reshape(vector.shape), weights
        return None

    hooks = [pooling.register_forward_hook(tap) for pooling in poolings]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
