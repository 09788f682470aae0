"""Language models from a recipe: text in one column, the next token as the answer, perplexity as the measure."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from heedful._errors import DataError
from heedful.data.readers import Pairs
from heedful.data.tokenizers import Segments
from heedful.data.vocabulary import BOS
from heedful.decoding.hypothesis import Hypothesis
from heedful.metrics.translation import Score
from heedful.models import PlainDecoder
from heedful.models.seq2seq import mean_of_heads
from heedful.training import next_token_loss, validation_loss
from heedful.training.processes import Processes
from heedful.visual.explorer import Looks

from .batches import Corpus, encode
from .decoding_batches import by_equal_length
from .looking import evaluated
from .scoring import VALIDATION_TOKENS, perplexity_signature
from .translated import Translation, named_heads, read_pieces
from .translation import Task
from .translator import Translator


class Writer(Translator):
    """A language model, its tokeniser and the recipe they were made by; `translate` continues each text.

    What is found has the whole text, prompt and continuation; its `hypothesis` holds the continuation alone.
    """

    task = "language_model"

    def explain(self, sentence: str) -> Translation:
        """What each word of a text looked at while it was read, itself and the words before it.

        Raises:
            DataError: the text is empty, or the model has no attention.
        """
        segments = self.tokenizers.source.segment(sentence)
        if not segments.ids:
            raise DataError("The sentence is empty; give at least one word.")
        weights = self._look(segments)
        # `<s>` is looked at, and is no word that looks
        looked = Segments(
            [BOS, *segments.ids],
            ["<s>", *segments.pieces],
            ["<s>", *segments.words],
            [0, *(1 + word for word in segments.word_of)],
        )
        heads = {}
        if weights.dim() == 5:
            heads = named_heads(weights[0].numpy(), looked.word_of, segments.word_of)
        seen = Hypothesis(segments.ids, [], 0.0, mean_of_heads(weights)[0])
        return Translation(sentence, seen, looked, segments, heads)

    def looks(self, found: Translation) -> list[Looks]:
        weights = self._look(found.target)[0].numpy()
        # recurrent layers look once: one layer of one head
        weights = weights.reshape(-1, *weights.shape[-3:]) if weights.ndim == 4 else weights[None, None]
        return [
            Looks("the words before, and itself", read_pieces(found.target), read_pieces(found.source), weights[None])
        ]

    @property
    def looks_back(self) -> bool:
        """Whether the model looks at the words before."""
        return not isinstance(self.model.decoder, PlainDecoder)

    def look_back(self, text: str) -> np.ndarray:
        """What each piece of a text looks at, the mean over layers and heads: `[pieces, 1 + pieces]`, first `<s>`."""
        weights = self._look(self.tokenizers.source.segment(text))
        return mean_of_heads(weights)[0].numpy()

    def _look(self, text: Segments) -> Tensor:
        """What each piece looks at, `[1, (layers, heads,) pieces, 1 + pieces]`."""
        device = next(self.model.parameters()).device
        with evaluated(self.model):
            weights = self.model.look(torch.tensor([[BOS, *text.ids]], device=device))
        if weights is None:
            raise DataError("The model has no attention to show.")
        return weights[..., 1:, :].double().cpu()

    def _write(self, source: Segments, hypothesis: Hypothesis, replace_unknown: bool) -> Translation:
        target = self.tokenizers.target
        text = target.decode([*source.ids, *hypothesis.tokens])
        return Translation(text, hypothesis, source, target.segment_ids(hypothesis.tokens))

    def _batches(self, sources: Sequence[Segments], batch_size: int) -> Iterator[list[int]]:
        """Places of the texts that hold anything, in batches of one length each."""
        return by_equal_length([len(source.ids) for source in sources], batch_size)


def validator(writer: Translator, valid: Corpus, processes: Processes) -> Callable[[nn.Module], Mapping[str, float]]:
    """Loss, perplexity and accuracy of the model on the validation set, each process its share."""
    tokens = min(VALIDATION_TOKENS, writer.recipe.training.tokens_per_batch)
    order = valid.batches(tokens, seed=0).epoch(0)
    batches = [order[place] for place in range(len(order))[processes.rank :: processes.count]]
    return lambda model: validation_loss(model, batches, next_token_loss, processes.total)


def evaluate_writer(writer: Translator, pairs: Pairs) -> list[Score]:
    """Perplexity of each token of the texts, their ends included: the exponential of the mean loss in nats.

    Args:
        writer: what to judge.
        pairs: on what; their targets are read.

    Raises:
        DataError: no text holds a token.
    """
    corpus = encode(Pairs(pairs.target, pairs.target, {}, pairs.origin), writer.tokenizers)
    found = validation_loss(writer.model.eval(), corpus.batches(VALIDATION_TOKENS, seed=0).epoch(0), next_token_loss)
    return [Score("perplexity", found["perplexity"], perplexity_signature(writer.tokenizers.target))]


LANGUAGE_MODEL = Task(Writer, next_token_loss, validator, evaluate_writer)
