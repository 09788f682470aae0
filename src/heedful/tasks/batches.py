"""From pairs to batches: vocabularies, ids within limits, and what the training loop asks for, epoch by epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from heedful._errors import DataError, RecipeError
from heedful.data.batching import BatchSampler
from heedful.data.ids import Ids
from heedful.data.readers import Pairs
from heedful.data.sampler import PairSampler
from heedful.data.subwords import SubwordSampler
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.data.vocabulary import read_entries
from heedful.training.batches import DatasetBatches

from .copying import encode_both
from .corpora import Material, Say
from .data_options import TokenizerOptions
from .recipe import Recipe, expand_path


@dataclass(frozen=True)
class Limits:
    """Which pairs are used, by their numbers of tokens; see `DataOptions`. Those without a token never are.

    And how sources are read: `cut_source` tokens of each, and its unknown words by numbers where a model `copies` them.
    """

    max_length: int | None = None
    max_ratio: float | None = None
    cut_source: int | None = None
    copies: bool = False

    def fits(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether pairs of such lengths are used: [pairs]."""
        shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
        fits = shorter > 0
        if self.max_length is not None:
            fits &= longer <= self.max_length
        if self.max_ratio is not None:
            fits &= longer <= self.max_ratio * shorter
        return fits

    def __str__(self) -> str:
        beyond = ["no token"]
        if self.max_length is not None:
            beyond.append(f"more than {self.max_length}")
        if self.max_ratio is not None:
            beyond.append(f"more than {self.max_ratio:g} times as many as the other")
        return " or ".join([", ".join(beyond[:-1]), beyond[-1]] if len(beyond) > 1 else beyond)


def reading(recipe: Recipe) -> Limits:
    """How the sources of pairs are read of which all are used, such as those of a validation set."""
    return Limits(cut_source=recipe.data.cut_source, copies=recipe.model.copies)


@dataclass(frozen=True)
class Corpus:
    """Pairs as text and as ids, in one order."""

    pairs: Pairs
    sources: Ids
    targets: Ids

    def batches(self, tokens_per_batch: int, seed: int) -> DatasetBatches:
        """Batches of these pairs, in an order that is a pure function of (seed, epoch)."""
        sampler = BatchSampler(self.sources.lengths, self.targets.lengths, tokens_per_batch, seed)
        return DatasetBatches(sampler, self.sources, self.targets)


@runtime_checkable
class Encoded(Protocol):
    """What pairs become before they are put into batches."""

    def batches(self, tokens_per_batch: int, seed: int) -> Any:
        """Batches, `heedful.training.Batches`, that know their `largest`."""
        ...


class SampledBatches:
    """Batches of what each epoch draws: from several corpora, from the disk, or cut into other subwords every time.

    An epoch is read, encoded and put into batches when it is asked for. It is a pure function of (seed, epoch), so a
    run goes on in the middle of one to the same numbers, and every process of a run can ask for the same one.

    Args:
        sampler: which pairs an epoch has.
        encode: the pairs of an epoch, given its number, as ids.
        tokens_per_batch, seed: of `BatchSampler`.
    """

    def __init__(self, sampler: PairSampler, encode: Callable[[Pairs, int], Encoded], tokens_per_batch: int, seed: int):
        self.sampler, self.encode, self.tokens_per_batch, self.seed = sampler, encode, tokens_per_batch, seed
        # the loop and a look at the largest batch both ask for the first epoch
        self._batches = lru_cache(maxsize=1)(self._read)

    def epoch(self, number: int) -> Sequence[Any]:
        """The batches of epoch `number`. Raises `DataError` if none of its pairs can be used."""
        return self._batches(number).epoch(number)

    def largest(self) -> Any:
        """The batch of the first epoch that needs most memory."""
        return self._batches(0).largest()

    def _read(self, number: int) -> Any:
        return self.encode(self.sampler.epoch(number), number).batches(self.tokens_per_batch, self.seed)


def make_batches(
    material: Material,
    tokenizers: TokenizerPair,
    recipe: Recipe,
    say: Say = lambda _: None,
    encode_pairs: "Callable[..., Encoded] | None" = None,
) -> Any:
    """The batches of a training; encoded once where every epoch has the same pairs and cuts them in the same way.

    Args:
        material: what to learn from.
        tokenizers: that cut it.
        recipe: says how long, in what order and how many tokens at once.
        say: takes what was left out.
        encode_pairs: pairs to what batches are made of, called as `encode`, which it is when left out.
    """
    encode_pairs = encode_pairs or encode
    limits = replace(reading(recipe), max_length=recipe.data.max_length, max_ratio=recipe.data.max_ratio)
    rate, seed, tokens = recipe.tokenizer.dropout, recipe.seed, recipe.training.tokens_per_batch
    if material.sampler.whole and not rate:
        return encode_pairs(material.sampler.epoch(0), tokenizers, limits, say).batches(tokens, seed)

    def encode_epoch(pairs: Pairs, number: int) -> Encoded:
        tell = say if number == 0 else lambda _: None
        return encode_pairs(pairs, tokenizers, limits, tell, rate, [seed, number])

    return SampledBatches(material.sampler, encode_epoch, tokens, seed)


def encode(
    pairs: Pairs,
    tokenizers: TokenizerPair,
    limits: Limits | None = None,
    say: Say = lambda _: None,
    dropout: float = 0.0,
    seed: Sequence[int] = (),
) -> Corpus:
    """Pairs as ids. Those without a token on one side, or beyond the limits, are left out and reported.

    With `dropout`, words are cut as `SubwordSampler` says, from that seed.
    """
    limits = limits or Limits()
    if limits.copies and tokenizers.target.whole_words:
        sources, targets, longer = encode_both(pairs, tokenizers.target, limits.cut_source)
    else:
        sources, longer = cut(encode_side(tokenizers.source, pairs.source, dropout, [*seed, 0]), limits.cut_source)
        targets = encode_side(tokenizers.target, pairs.target, dropout, [*seed, 1])
    if longer:
        say(f"Of {longer:,} texts of {pairs.origin} only the first {limits.cut_source:,} tokens are read.")
    fits = limits.fits(sources.lengths, targets.lengths)
    if not fits.any():
        way_out = "" if limits.max_length is None else "raise data.max_length or data.max_ratio, or "
        raise DataError(f"In every pair of {pairs.origin} a side has {limits}; {way_out}fix the data.")
    if fits.all():
        return Corpus(pairs, sources, targets)
    keep = np.flatnonzero(fits)
    say(f"Left out {len(fits) - len(keep):,} pairs of {pairs.origin}: a side has {limits}.")
    return Corpus(pairs.select(keep.tolist()), sources.take(keep), targets.take(keep))


def cut(texts: Ids, most: int | None) -> tuple[Ids, int]:
    """The first `most` ids of each text, and how many texts have more; all where it is None."""
    longer = 0 if most is None else int((texts.lengths > most).sum())
    return (Ids.pack([ids[:most] for ids in texts]) if longer else texts), longer


def encode_side(tokenizer: Tokenizer, texts: Sequence[str], dropout: float, seed: Sequence[int]) -> Ids:
    """The texts of one side as ids, see `encode`."""
    return SubwordSampler(tokenizer, dropout).encode_all(texts, seed) if dropout else tokenizer.encode_all(texts)


def make_tokenizers(pairs: Pairs, options: TokenizerOptions) -> TokenizerPair:
    """Vocabularies of files, or learned from the pairs, as the recipe wants them."""
    if options.joint:
        both = make_tokenizer("target", [*pairs.source, *pairs.target], options)
        return TokenizerPair(both, both, True)
    return TokenizerPair(
        make_tokenizer("source", pairs.source, options), make_tokenizer("target", pairs.target, options), False
    )


def make_tokenizer(side: Literal["source", "target"], texts: Sequence[str], options: TokenizerOptions) -> Tokenizer:
    """The vocabulary of one side, see `make_tokenizers`."""
    path = options.source_vocabulary if side == "source" else options.target_vocabulary
    lowercase = options.lowercase or (options.lowercase_source and side == "source")
    kind = options.target_kind or options.kind if side == "target" else options.kind
    unicode = options.unicode
    if path is None:
        return Tokenizer.train(texts, kind, options.vocab_size, lowercase, unicode=unicode)
    place = expand_path(path)
    if place.suffix == ".json":
        found: Tokenizer = getattr(TokenizerPair.load(place), side)
        if (found.kind, found.lowercase, found.unicode) != (kind, lowercase, unicode):
            raise RecipeError(
                f"{place} is of kind {found.kind}, lowercase {found.lowercase}, unicode {found.unicode}, but the "
                f"recipe's tokenizer of kind {kind}, lowercase {lowercase}, unicode {unicode}; set them alike."
            )
        return found
    try:
        return Tokenizer.from_entries(read_entries(place), kind, lowercase, unicode)
    except ValueError as error:
        raise RecipeError(f"{place}: {error}") from None
