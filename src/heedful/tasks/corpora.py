"""From a recipe's data to what a training needs: pairs, vocabularies, ids and batches."""

from collections.abc import Callable
from dataclasses import dataclass

from heedful._errors import DataError, RecipeError
from heedful.data.batching import BatchSampler
from heedful.data.bundled import load_pairs
from heedful.data.readers import Pairs, read_pairs
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.training import Feed

from .data_options import DataPart, TokenizerOptions
from .recipe import expand_path

Say = Callable[[str], None]


@dataclass(frozen=True)
class Corpus:
    """Pairs as text and as ids, in one order."""

    pairs: Pairs
    sources: list[list[int]]
    targets: list[list[int]]

    def feed(self, tokens_per_batch: int, seed: int) -> Feed:
        """Batches of these pairs, in an order that is a pure function of (seed, epoch)."""
        sources, targets = (list(map(len, side)) for side in (self.sources, self.targets))
        return Feed(BatchSampler(sources, targets, tokens_per_batch, seed), self.sources, self.targets)


def read_part(part: DataPart, say: Say = lambda _: None) -> Pairs:
    """The pairs that one part of a recipe's `data` section names; what was left out is counted aloud."""
    if part.bundled:
        try:
            pairs = load_pairs(part.bundled, part.split or "train")
        except ValueError as error:
            raise RecipeError(f"data: {error}") from None
    elif part.tsv:
        pairs = read_pairs(expand_path(part.tsv), columns=(part.columns[0], part.columns[1]))
    else:
        pairs = read_pairs(expand_path(part.source or ""), expand_path(part.target or ""))
    left_out = "".join(f"; left out {count:,} ({reason})" for reason, count in pairs.skipped.items())
    say(f"Read {len(pairs.source):,} pairs from {pairs.origin}{left_out}.")
    return pairs


def train_tokenizers(pairs: Pairs, options: TokenizerOptions) -> TokenizerPair:
    """Vocabularies of the training text, as the recipe wants them."""
    numbers = {"kind": options.kind, "vocab_size": options.vocab_size}
    if options.joint:
        return TokenizerPair.train(pairs.source, pairs.target, joint=True, lowercase=options.lowercase, **numbers)
    lower = options.lowercase or options.lowercase_source
    source = Tokenizer.train(pairs.source, lowercase=lower, **numbers)
    return TokenizerPair(source, Tokenizer.train(pairs.target, lowercase=options.lowercase, **numbers), False)


def encode(pairs: Pairs, tokenizers: TokenizerPair, max_length: int | None, say: Say = lambda _: None) -> Corpus:
    """Pairs as ids. Those without a token on one side, or with more than `max_length` on either, are left out."""
    sources, targets = tokenizers.source.encode_batch(pairs.source), tokenizers.target.encode_batch(pairs.target)
    limit = max_length or float("inf")
    fits = [0 < len(s) <= limit and 0 < len(t) <= limit for s, t in zip(sources, targets, strict=True)]
    if not any(fits):
        wanted, way_out = (
            ("a token", "") if max_length is None else (f"1 to {limit} tokens", "raise data.max_length or ")
        )
        raise DataError(f"No pair of {pairs.origin} has {wanted} on each side; {way_out}mend the data.")
    if not all(fits):
        too_long = "" if max_length is None else f" or more than {limit}"
        say(f"Left out {fits.count(False):,} pairs of {pairs.origin} with no token{too_long} on a side.")
    keep = [place for place, fit in enumerate(fits) if fit]
    kept = Pairs([pairs.source[i] for i in keep], [pairs.target[i] for i in keep], pairs.skipped, pairs.origin)
    return Corpus(kept, [sources[i] for i in keep], [targets[i] for i in keep])
