"""What a translation is: text, hypothesis, and the weights of its words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heedful._errors import DataError
from heedful.data.tokenizers import Segments
from heedful.data.vocabulary import BOS
from heedful.decoding.hypothesis import Hypothesis
from heedful.decoding.minimum_bayes_risk import expected_utilities
from heedful.metrics.alignment import merge_pieces
from heedful.visual.alignment import Alignment


@dataclass(frozen=True)
class Translation:
    """One translation of one sentence.

    Attributes:
        text: what a person reads.
        hypothesis: tokens, log-probabilities, score and, if asked for, weights `[target pieces, source pieces]`.
        source: the sentence's pieces and the words they belong to.
        target: likewise of the translation.
        heads: weights `[target words, source words]` of every layer and head by name, where they were asked for; "model
            2, layer 1, head 1" of the second model of an ensemble.
        own: what the words of each side looked at among themselves, where `explain` found self-attention.
        generate: of each word the chance that the model would say one of its vocabulary, and not copy; where `explain`
            found that it copies.
        copied: how much of each word's own probability came from copying it; likewise.
    """

    text: str
    hypothesis: Hypothesis
    source: Segments
    target: Segments
    heads: Mapping[str, np.ndarray] = field(default_factory=dict)
    own: Sequence[Alignment] = ()
    generate: Sequence[float] = ()
    copied: Sequence[float] = ()

    @property
    def word_weights(self) -> np.ndarray | None:
        """Weights `[target words, source words]`: summed over source pieces, averaged over target pieces."""
        if self.hypothesis.weights is None or not self.target.ids:
            return None
        weights = self.hypothesis.weights.double().numpy()
        return merge_pieces(weights, self.source.word_of, self.target.word_of)

    @property
    def alignment(self) -> Alignment:
        """Words and weights, ready to be drawn.

        Raises:
            DataError: the model has no attention, or the translation is empty.
        """
        weights = self.word_weights
        if weights is None:
            why = "the translation is empty" if not self.target.ids else "the model has no attention to show"
            raise DataError(f"There is nothing to draw for {self.text!r}: {why}.")
        source, target = self.source.words, self.target.words
        return Alignment(source, target, weights, heads=self.heads, copied=self.copied)


def as_record(one: Translation, detailed: bool = True) -> dict[str, Any]:
    """A translation as values that JSON can hold.

    Its keys: `text`, `score`, `finished`; where `detailed`, also `tokens` (as pieces) with their `log_probs`, of which
    the last is that of the end; `source_words`, `words`, and `weights[word][source_word]`, None where there are none;
    `heads`, such weights of every layer and head by name, where they were asked for.
    """
    said = one.hypothesis
    record: dict[str, Any] = {"text": one.text, "score": round(said.score, 6), "finished": said.finished}
    if not detailed:
        return record
    weights = one.word_weights
    record |= {
        "tokens": one.target.pieces,
        "log_probs": [round(value, 6) for value in said.log_probs],
        "source_words": one.source.words,
        "words": one.target.words,
        "weights": None if weights is None else weights.round(6).tolist(),
    }
    if one.heads:
        record["heads"] = {name: heads.round(6).tolist() for name, heads in one.heads.items()}
    return record


def named_heads(
    layers: np.ndarray, source_word_of: Sequence[int], target_word_of: Sequence[int]
) -> dict[str, np.ndarray]:
    """Weights of words by "layer 1, mean", "layer 1, head 1" and so on, of `[layers, heads, target, source]` pieces."""
    named = {}
    for number, heads in enumerate(layers, start=1):
        named[f"layer {number}, mean"] = heads.mean(0)
        named |= {f"layer {number}, head {head}": weights for head, weights in enumerate(heads, start=1)}
    return {name: merge_pieces(weights, source_word_of, target_word_of) for name, weights in named.items()}


def heads_of(hypothesis: Hypothesis, source: Segments, target: Segments) -> dict[str, np.ndarray]:
    """The weights of words of every layer and head that a hypothesis has, by name; none of a single head."""
    models = [heads.double().numpy() for heads in hypothesis.heads]
    if not target.ids or sum(heads.shape[0] * heads.shape[1] for heads in models) < 2:
        return {}
    named = [named_heads(heads, source.word_of, target.word_of) for heads in models]
    if len(named) == 1:
        return named[0]
    return {f"model {number}, {name}": one for number, heads in enumerate(named, 1) for name, one in heads.items()}


def read_pieces(text: Segments) -> list[str]:
    """The pieces as a person reads them: without the mark of a space, and with "…" where one continues a word.

    >>> read_pieces(Segments([7, 8, 9], ["▁walk", "ed", "▁on"], ["walked", "on"], [0, 0, 1]))
    ['walk', '…ed', 'on']
    """
    before = [-1, *text.word_of]
    return [
        ("…" if word == last else "") + (piece.removeprefix("▁") or piece)
        for piece, word, last in zip(text.pieces, text.word_of, before, strict=False)
    ]


def fed_words(said: Segments) -> Segments:
    """What stands before each piece that is said: `<s>` and the pieces but the last."""
    word_of = [0, *(1 + word for word in said.word_of[:-1])]
    words = ["<s>", *said.words[: word_of[-1]]]
    return Segments([BOS, *said.ids[:-1]], ["<s>", *said.pieces[:-1]], words, word_of)


def self_alignment(layers: np.ndarray, seen: Segments, seeing: Segments, caption: str) -> Alignment:
    """The mean and every head of self-attention, `[layers, heads, seeing, seen]` pieces, word by word."""
    words = seen.word_of, seeing.word_of
    mean = merge_pieces(layers.mean((0, 1)), *words)
    return Alignment(seen.words, seeing.words, mean, caption, named_heads(layers, *words))


def least_risk(translations: Sequence[Translation]) -> list[Translation]:
    """The translations of one sentence, those first that are most like all of them."""
    utilities = expected_utilities([one.text for one in translations])
    order = sorted(range(len(utilities)), key=lambda place: -utilities[place])
    return [translations[place] for place in order]
