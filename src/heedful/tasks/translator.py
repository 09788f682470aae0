"""A trained translator: text in, text out, and what it looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from heedful._errors import DataError
from heedful.data.batching import pad
from heedful.data.tokenizers import Segments
from heedful.data.vocabulary import UNK
from heedful.decoding import Decoding, Ensemble, Hypothesis, decode
from heedful.models import Seq2Seq
from heedful.models.shortlisted import Shortlisted
from heedful.visual.alignment import Alignment
from heedful.visual.explorer import Looks

from .batches import cut
from .copying import copied_words, matched, numbered, shortened, written
from .decoding import make_decoding
from .decoding_batches import SENTENCES_PER_BATCH, by_length
from .decoding_options import DecodingOptions
from .decoding_threads import side_by_side
from .looking import align, looks_of, with_copies, with_heads
from .shortlist import needed_ids, original, renumbered
from .trained import TrainedModel
from .translated import Translation, heads_of, least_risk


class Translator(TrainedModel):
    """A translator: a model, its tokenisers and the recipe, which says how to decode when nothing else is asked for."""

    task = "translation"

    def translate(
        self,
        sentences: Sequence[str],
        *,
        decoding: DecodingOptions | None = None,
        nbest: int = 1,
        need_weights: bool | Literal["heads"] = False,
        generator: torch.Generator | None = None,
        batch_size: int = SENTENCES_PER_BATCH,
    ) -> list[list[Translation]]:
        """The `nbest` translations of each sentence, best first; an empty sentence has an empty one.

        Args:
            sentences: text as people write it.
            decoding: how to decode; the recipe's own when left out.
            nbest: how many of each sentence, up to the beam; of sampling, how many draws.
            need_weights: keep what each token looked at; "heads" of every layer and head, too.
            generator: the source of chance of sampling; torch's own when left out.
            batch_size: most sentences decoded side by side; changes speed and memory, and, of sampling, the draws; of a
                shortlist, which the sentences of a batch have together, what may be said.

        Raises:
            ValueError: `nbest` is more than the beam, or than `risk_draws`.
            DataError: the tokenizer cannot write what the options ask for, or `decoding.precision` cannot be had here.
        """
        options = decoding or self.recipe.decoding
        how = self.search(options, nbest, need_weights, generator)
        sources = [self._segment(sentence) for sentence in sentences]
        found: list[list[Translation]] = [[self._empty(source)] for source in sources]
        model, most = self.model_in(options.precision), options.shortlist or 0
        batches = list(self._batches(sources, batch_size))

        def search(places: Sequence[int]) -> list[list[Hypothesis]]:
            return self._decode(model, [sources[place] for place in places], how, options.replace_unknown, most)

        # draws depend on those before
        hypotheses = map(search, batches) if how.sampling else side_by_side(search, batches, self.workers)
        for places, several in zip(batches, hypotheses, strict=True):
            for place, best in zip(places, several, strict=True):
                written = [self._write(sources[place], one, options.replace_unknown) for one in best]
                found[place] = least_risk(written)[:nbest] if options.sample and options.risk_draws else written
        return found

    def search(
        self,
        options: DecodingOptions,
        nbest: int = 1,
        need_weights: bool | Literal["heads"] = False,
        generator: torch.Generator | None = None,
    ) -> Decoding:
        """How `translate` decodes with these options; raises what it does, but of `precision`, before it runs."""
        self._check_shortlist(options)
        self._check_penalties(options)
        draws = options.risk_draws if options.sample else None
        if draws and nbest > draws:
            raise ValueError(f"nbest is {nbest}, more than risk_draws, {draws}; draw more, or ask for less")
        # a second draw would say something else, so an unknown word's look is kept at the first
        keep = need_weights or (options.sample and options.replace_unknown)
        return make_decoding(options, self.tokenizers.target, draws or nbest, keep, generator)

    def explain(self, sentence: str) -> Translation:
        """The best translation with the weights that made it.

        Raises:
            DataError: the sentence is empty.
        """
        if not self.tokenizers.source.encode(sentence):
            raise DataError("The sentence is empty; give at least one word to translate.")
        together = isinstance(self.model, Ensemble)
        found = self.translate([sentence], need_weights="heads" if together else True)[0][0]
        if together or not found.target.ids:
            return found
        found = with_heads(self.model, found)
        return with_copies(self.model, found) if self.recipe.model.copies else found

    def align(self, source: str, target: str) -> Alignment:
        """The attention of each word when the model is fed a given translation.

        Raises:
            DataError: a side is empty, or the model has no attention.
        """
        read, said = self.segment_pair(source, target)
        if not (read.ids and said.ids):
            raise DataError("One side of the pair is empty; give at least one word on each.")
        return align(self.model, read, said)

    def segment_pair(self, source: str, target: str) -> tuple[Segments, Segments]:
        """A source as it is read, and a target of it as the model is fed it: of copied words, by their ids there."""
        read, said = self._segment(source), self.tokenizers.target.segment(target)
        return read, matched(said, read, self.tokenizers.target) if self.recipe.model.copies else said

    def looks(self, found: Translation) -> list[Looks]:
        """What each layer and head looks at, piece by piece, when the model is fed what `explain` found.

        Raises:
            DataError: there is nothing to feed, or the model has no attention.
        """
        if not found.target.ids:
            raise DataError(f"There is nothing to show for {found.text!r}: the translation is empty.")
        return looks_of(self.model, found.source, found.target)

    @property
    def workers(self) -> int:
        """How many batches are decoded side by side: on a CPU one for each of torch's threads."""
        return torch.get_num_threads() if next(self.model.parameters()).is_cpu else 1

    def _segment(self, sentence: str) -> Segments:
        """What is read, cut into pieces."""
        read = shortened(self.tokenizers.source.segment(sentence), self.recipe.data.cut_source)
        return numbered(read, self.tokenizers.source) if self.recipe.model.copies else read

    def fault(self, sentence: str) -> str | None:
        """Why what is named cannot be used, as it is said of several, such as "cannot be read"; None where it can."""
        return None

    def num_longer(self, sentences: Sequence[str]) -> int:
        """Of how many texts only the first `data.cut_source` tokens of the recipe are read."""
        most = self.recipe.data.cut_source
        return cut(self.tokenizers.source.encode_all(sentences), most)[1] if most else 0

    def _decode(
        self, model: Any, sources: Sequence[Segments], how: Decoding, replace_unknown: bool, most: int = 0
    ) -> list[list[Hypothesis]]:
        ids, lengths = pad([source.ids for source in sources])
        device = next(self.model.parameters()).device
        if most and self.shortlist:
            tokens = (token for source in sources for token in source.ids)
            said = self.shortlist.ids(tokens, most, needed_ids(how.constraints))
            short = replace(how, constraints=renumbered(how.constraints, said))
            numbered = decode(Shortlisted(model, said), ids.to(device), lengths.to(device), short)
            found = [[original(one, said) for one in best] for best in numbered]
        else:
            found = decode(model, ids.to(device), lengths.to(device), how)
        if not replace_unknown or how.need_weights:
            return found
        # what an unknown word looked at is needed to replace it: those few sentences are decoded again
        unknown = [place for place, best in enumerate(found) if any(UNK in one.tokens for one in best)]
        if unknown:
            again = self._decode(
                model, [sources[place] for place in unknown], replace(how, need_weights=True), True, most
            )
            for place, hypotheses in zip(unknown, again, strict=True):
                found[place] = hypotheses
        return found

    def _check_shortlist(self, options: DecodingOptions) -> None:
        """Refuse a shortlist where there is none, or the model has no use for one."""
        if options.shortlist and self.recipe.model.copies:
            raise DataError(
                f"decoding.shortlist is {options.shortlist}, but the model copies words, of which no list is short; "
                "set it to null."
            )
        if options.shortlist and (self.shortlist is None or not isinstance(self.model, Seq2Seq)):
            why = "an ensemble has none" if isinstance(self.model, Ensemble) else "the model has none"
            raise DataError(
                f"decoding.shortlist is {options.shortlist}, but {why}; learn one by `heedful shortlist MODEL`, or "
                "set it to null."
            )

    def _check_penalties(self, options: DecodingOptions) -> None:
        """Refuse to count what was read where nothing tells."""
        for name in ("coverage_penalty", "overcoverage_penalty"):
            if getattr(options, name) and self.recipe.model.attention == "none":
                raise DataError(
                    f"decoding.{name} is {getattr(options, name)}, but the model has no attention, which tells what "
                    "was read; set it to 0."
                )

    def _write(self, source: Segments, hypothesis: Hypothesis, replace_unknown: bool) -> Translation:
        target = self.tokenizers.target
        unknown: list[str] = []
        if hypothesis.weights is not None and replace_unknown:
            rows = [row for row, token in enumerate(hypothesis.tokens) if token == UNK]
            unknown = [source.words[source.word_of[int(hypothesis.weights[row].argmax())]] for row in rows]
        words = copied_words(source, target) if self.recipe.model.copies else {}
        text, segments = written(hypothesis.tokens, words, target, unknown)
        return Translation(text, hypothesis, source, segments, heads_of(hypothesis, source, segments))

    def _empty(self, source: Segments) -> Translation:
        return Translation("", Hypothesis([], [], 0.0), source, Segments([], [], [], []))

    def _batches(self, sources: Sequence[Segments], batch_size: int) -> Iterator[list[int]]:
        """Places of the sentences that hold anything, the longest first, in batches of about equal work."""
        return by_length([len(source.ids) for source in sources], batch_size)
