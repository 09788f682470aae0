"""A trained translator: text in, text out, and what it looked at."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from heedful._errors import DataError
from heedful.data.batching import pad
from heedful.data.tokenizers import Segments
from heedful.data.vocabulary import BOS, UNK
from heedful.decoding.beam import beam_search
from heedful.decoding.constraints import Constraints
from heedful.decoding.greedy import greedy
from heedful.decoding.hypothesis import Hypothesis
from heedful.decoding.minimum_bayes_risk import expected_utilities
from heedful.decoding.sampling import sample
from heedful.metrics.alignment import merge_pieces
from heedful.metrics.evidence import attention_rollout
from heedful.visual.alignment import Alignment

from .recipe import DecodingOptions
from .trained import TrainedModel

# sentences decoded side by side; more is faster until the beams of a batch fill the cache
SENTENCES_PER_BATCH = 64


@dataclass(frozen=True)
class Translation:
    """One translation of one sentence.

    Attributes:
        text: what a person reads.
        hypothesis: tokens, log-probabilities, score and, if asked for, weights `[target pieces, source pieces]`.
        source: the sentence's pieces and the words they belong to.
        target: likewise of the translation.
        heads: weights `[target words, source words]` of every layer and head by name, where `explain` found some.
        own: what the words of each side looked at among themselves, where `explain` found self-attention.
    """

    text: str
    hypothesis: Hypothesis
    source: Segments
    target: Segments
    heads: Mapping[str, np.ndarray] = field(default_factory=dict)
    own: Sequence[Alignment] = ()

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
        return Alignment(self.source.words, self.target.words, weights, heads=self.heads)


@dataclass(frozen=True)
class Sampling:
    """Draw translations at random instead of searching for the best; see `heedful.decoding.sampling.sample`.

    Attributes:
        temperature: above 1 flatter, below 1 sharper.
        top_k: how many tokens may be drawn; None is all.
        top_p: the probability that the tokens to draw from hold together; None is 1.
        generator: the source of chance; torch's own when left out.
        min_p: the share of the best token's probability that a token needs; None is 0.
        risk_draws: draw so many, and return those most like all of them (minimum Bayes risk, chrF), the most alike
            first; None returns every draw, the most probable first.

    Raises:
        ValueError: `risk_draws` is below 1.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    generator: torch.Generator | None = None
    min_p: float | None = None
    risk_draws: int | None = None

    def __post_init__(self) -> None:
        if self.risk_draws is not None and self.risk_draws < 1:
            raise ValueError(f"risk_draws is {self.risk_draws}; draw at least 1, or pass None to return every draw")


Decode = Callable[[Sequence[Segments], bool], list[list[Hypothesis]]]


class Translator(TrainedModel):
    """A translator: a model, its tokenisers and the recipe, which says how to decode when nothing else is asked for."""

    task = "translation"

    def translate(
        self,
        sentences: Sequence[str],
        *,
        decoding: DecodingOptions | None = None,
        nbest: int = 1,
        need_weights: bool = False,
        sampling: Sampling | None = None,
        batch_size: int = SENTENCES_PER_BATCH,
    ) -> list[list[Translation]]:
        """The `nbest` translations of each sentence, best first; an empty sentence has an empty one.

        Args:
            sentences: text as people write it.
            decoding: how to search; the recipe's own when left out.
            nbest: how many of each sentence, up to the beam.
            need_weights: keep what each token looked at.
            batch_size: sentences decoded side by side; changes speed and memory, and nothing else.
            sampling: draw them at random instead; then `nbest` counts the draws, and the beam has no say.

        Raises:
            ValueError: `nbest` is more than the beam, or than `sampling.risk_draws`.
        """
        risk_draws = sampling.risk_draws if sampling else None
        if risk_draws and nbest > risk_draws:
            raise ValueError(f"nbest is {nbest}, more than risk_draws, {risk_draws}; draw more, or ask for less")
        decoding = decoding or self.recipe.decoding
        sources = [self.tokenizers.source.segment(sentence) for sentence in sentences]
        decode = partial(self._decode, decoding, risk_draws or nbest, sampling)
        # a second draw would say something else, so an unknown word's look is kept at the first
        keep = need_weights or (sampling is not None and decoding.replace_unknown)
        found: list[list[Translation]] = [[self._empty(source)] for source in sources]
        for places in self._by_length(sources, batch_size):
            batch = [sources[place] for place in places]
            for place, hypotheses in zip(
                places, self._search(batch, decode, keep, decoding.replace_unknown), strict=True
            ):
                written = [self._write(sources[place], one, decoding.replace_unknown) for one in hypotheses]
                found[place] = least_risk(written)[:nbest] if risk_draws else written
        return found

    def explain(self, sentence: str) -> Translation:
        """The best translation with the weights that made it.

        Raises:
            DataError: the sentence is empty.
        """
        if not self.tokenizers.source.encode(sentence):
            raise DataError("The sentence is empty; give at least one word to translate.")
        found = self.translate([sentence], need_weights=True)[0][0]
        return self._with_heads(found) if found.target.ids else found

    @torch.inference_mode()
    def _with_heads(self, found: Translation) -> Translation:
        """With what each layer and head looked at, in the other side and in its own.

        Over the source, also all of them, followed back through the encoder's own layers.
        """
        device = next(self.model.parameters()).device
        ids, lengths = pad([found.source.ids])
        fed, _ = pad([[BOS, *found.target.ids[:-1]]])
        training = self.model.training
        looks = self.model.eval().align_heads(ids.to(device), lengths.to(device), fed.to(device))
        self.model.train(training)
        cross, source, back = (None if one is None else one[0].double().cpu().numpy() for one in looks)
        heads, own = {}, []
        if cross is not None:
            heads = named_heads(cross, found.source.word_of, found.target.word_of)
            if source is not None:
                rollout = cross.mean((0, 1)) @ attention_rollout(list(source))[-1]
                words = found.source.word_of, found.target.word_of
                heads["all, through the encoder (rollout)"] = merge_pieces(rollout, *words)
        if source is not None:
            own.append(_self_alignment(source, found.source, found.source, "the source in itself (encoder)"))
        if back is not None:
            own.append(_self_alignment(back, fed_words(found.target), found.target, "the words said before (decoder)"))
        return replace(found, heads=heads, own=own)

    @torch.inference_mode()
    def align(self, source: str, target: str) -> Alignment:
        """The attention of each word when the model is fed a given translation.

        Raises:
            DataError: a side is empty, or the model has no attention.
        """
        sides = self.tokenizers.source.segment(source), self.tokenizers.target.segment(target)
        if not (sides[0].ids and sides[1].ids):
            raise DataError("One side of the pair is empty; give at least one word on each.")
        device = next(self.model.parameters()).device
        ids, lengths = pad([sides[0].ids])
        fed, _ = pad([[BOS, *sides[1].ids[:-1]]])
        training = self.model.training
        weights = self.model.eval().align(ids.to(device), lengths.to(device), fed.to(device))
        self.model.train(training)
        if weights is None:
            raise DataError("The model has no attention to show.")
        merged = merge_pieces(weights[0].double().cpu().numpy(), sides[0].word_of, sides[1].word_of)
        return Alignment(sides[0].words, sides[1].words, merged)

    def _search(
        self, sources: Sequence[Segments], decode: Decode, need_weights: bool, replace_unknown: bool
    ) -> list[list[Hypothesis]]:
        found = decode(sources, need_weights)
        if need_weights or not replace_unknown:
            return found
        # what an unknown word looked at is needed to replace it: those few sentences are decoded again
        unknown = [place for place, best in enumerate(found) if any(UNK in one.tokens for one in best)]
        again = decode([sources[place] for place in unknown], True) if unknown else []
        for place, hypotheses in zip(unknown, again, strict=True):
            found[place] = hypotheses
        return found

    def _decode(
        self,
        decoding: DecodingOptions,
        nbest: int,
        sampling: Sampling | None,
        sources: Sequence[Segments],
        need_weights: bool,
    ) -> list[list[Hypothesis]]:
        ids, lengths = pad([source.ids for source in sources])
        device = next(self.model.parameters()).device
        ids, lengths, limits = ids.to(device), lengths.to(device), constraints_of(decoding)
        if sampling:
            drawn = sample(
                self.model,
                ids.repeat_interleave(nbest, 0),
                lengths.repeat_interleave(nbest),
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                min_p=sampling.min_p,
                generator=sampling.generator,
                constraints=limits,
                need_weights=need_weights,
            )
            groups = [drawn[first : first + nbest] for first in range(0, len(drawn), nbest)]
            return [sorted(group, key=lambda one: -one.score) for group in groups]
        if decoding.beam == nbest == 1:
            return [[best] for best in greedy(self.model, ids, lengths, limits, need_weights)]
        return beam_search(
            self.model,
            ids,
            lengths,
            beam=decoding.beam,
            length_penalty=decoding.length_penalty,
            coverage_penalty=decoding.coverage_penalty,
            nbest=nbest,
            constraints=limits,
            need_weights=need_weights,
        )

    def _write(self, source: Segments, hypothesis: Hypothesis, replace_unknown: bool) -> Translation:
        target = self.tokenizers.target
        unknown: list[str] = []
        if hypothesis.weights is not None and replace_unknown:
            rows = [row for row, token in enumerate(hypothesis.tokens) if token == UNK]
            unknown = [source.words[source.word_of[int(hypothesis.weights[row].argmax())]] for row in rows]
        segments = target.segment_ids(hypothesis.tokens)
        return Translation(target.decode(hypothesis.tokens, unknown or None), hypothesis, source, segments)

    def _empty(self, source: Segments) -> Translation:
        return Translation("", Hypothesis([], [], 0.0), source, Segments([], [], [], []))

    @staticmethod
    def _by_length(sources: Sequence[Segments], batch_size: int) -> Iterator[list[int]]:
        """Places of the sentences that hold anything, the longest first, in batches."""
        places = [place for place, source in enumerate(sources) if source.ids]
        places.sort(key=lambda place: -len(sources[place].ids))
        for first in range(0, len(places), batch_size):
            yield places[first : first + batch_size]


def named_heads(
    layers: np.ndarray, source_word_of: Sequence[int], target_word_of: Sequence[int]
) -> dict[str, np.ndarray]:
    """Weights of words by "layer 1, mean", "layer 1, head 1" and so on, of `[layers, heads, target, source]` pieces."""
    named = {}
    for number, heads in enumerate(layers, start=1):
        named[f"layer {number}, mean"] = heads.mean(0)
        named |= {f"layer {number}, head {head}": weights for head, weights in enumerate(heads, start=1)}
    return {name: merge_pieces(weights, source_word_of, target_word_of) for name, weights in named.items()}


def fed_words(said: Segments) -> Segments:
    """What stands before each piece that is said: `<s>` and the pieces but the last."""
    word_of = [0, *(1 + word for word in said.word_of[:-1])]
    words = ["<s>", *said.words[: word_of[-1]]]
    return Segments([BOS, *said.ids[:-1]], ["<s>", *said.pieces[:-1]], words, word_of)


def _self_alignment(layers: np.ndarray, seen: Segments, seeing: Segments, caption: str) -> Alignment:
    words = seen.word_of, seeing.word_of
    mean = merge_pieces(layers.mean((0, 1)), *words)
    return Alignment(seen.words, seeing.words, mean, caption, named_heads(layers, *words))


def least_risk(translations: Sequence[Translation]) -> list[Translation]:
    """The translations of one sentence, those first that are most like all of them."""
    utilities = expected_utilities([one.text for one in translations])
    order = sorted(range(len(utilities)), key=lambda place: -utilities[place])
    return [translations[place] for place in order]


def constraints_of(decoding: DecodingOptions) -> Constraints:
    """The search limits that a recipe's `decoding` section describes."""
    names = ("min_length", "max_length", "max_ratio", "max_extra", "no_repeat_ngram")
    return Constraints(**{name: getattr(decoding, name) for name in names})
