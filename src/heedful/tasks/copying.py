"""Words that a vocabulary lacks and a summary copies: their ids in a source, and back to text (See et al. 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heedful.data.ids import Ids
from heedful.data.readers import Pairs
from heedful.data.tokenizers import Segments, Tokenizer
from heedful.data.vocabulary import UNK


def shortened(text: Segments, most: int | None) -> Segments:
    """The first `most` pieces, and the words that begin in them; all where it is None.

    >>> shortened(Segments([7, 8, 9], ["a", "b", "c"], ["a", "b", "c"], [0, 1, 2]), 2).words
    ['a', 'b']
    """
    if most is None or len(text.ids) <= most:
        return text
    word_of = text.word_of[:most]
    return Segments(text.ids[:most], text.pieces[:most], text.words[: word_of[-1] + 1], word_of)


def numbered(source: Segments, tokenizer: Tokenizer) -> Segments:
    """The source with ids from `vocab_size` on for the words that the vocabulary lacks, in the order of their coming.

    Where pieces are parts of words, as of "bpe", it stays as it is: what is unknown there are characters.

    >>> tokenizer = Tokenizer.from_entries(["a", "met"])
    >>> numbered(tokenizer.segment("Ann met Bob met Ann"), tokenizer).ids
    [6, 5, 7, 5, 6]
    """
    if not tokenizer.whole_words or UNK not in source.ids:
        return source
    numbers: dict[str, int] = {}
    ids, pieces = list(source.ids), list(source.pieces)
    for place, word in enumerate(source.words[word] for word in source.word_of):
        if ids[place] == UNK:
            # as the vocabulary would see it: Ann and ann are one word where it is lower-cased
            number = numbers.setdefault(tokenizer.normalize(word), len(numbers))
            ids[place], pieces[place] = tokenizer.vocab_size + number, word
    return replace(source, ids=ids, pieces=pieces)


def matched(target: Segments, source: Segments, tokenizer: Tokenizer) -> Segments:
    """The target with the ids that `numbered` gave its unknown words in the source; what is not there stays unknown.

    >>> tokenizer = Tokenizer.from_entries(["a", "met"])
    >>> source = numbered(tokenizer.segment("Ann met Bob"), tokenizer)
    >>> matched(tokenizer.segment("Bob met Cid"), source, tokenizer).ids
    [7, 5, 1]
    """
    if UNK not in target.ids:
        return target
    known = {tokenizer.normalize(word): number for number, word in copied_words(source, tokenizer).items()}
    ids, pieces = list(target.ids), list(target.pieces)
    for place, number in enumerate(target.ids):
        word = target.words[target.word_of[place]]
        if number == UNK and (found := known.get(tokenizer.normalize(word))) is not None:
            ids[place], pieces[place] = found, word
    return replace(target, ids=ids, pieces=pieces)


def copied_words(source: Segments, tokenizer: Tokenizer) -> dict[int, str]:
    """The words of the ids that `numbered` gave, each as it first stands in the text."""
    found: dict[int, str] = {}
    for number, place in zip(source.ids, source.word_of, strict=True):
        if number >= tokenizer.vocab_size:
            found.setdefault(number, source.words[place])
    return found


def encode_both(pairs: Pairs, tokenizer: Tokenizer, most: int | None) -> tuple[Ids, Ids, int]:
    """The ids of sources, of which `most` tokens are read, and of targets, whose words may be copied from these.

    And how many sources are longer.
    """
    sources, targets, longer = [], [], 0
    for ours, theirs in zip(pairs.source, pairs.target, strict=True):
        whole = tokenizer.segment(ours)
        source = numbered(shortened(whole, most), tokenizer)
        longer += len(source.ids) < len(whole.ids)
        sources.append(source.ids)
        targets.append(matched(tokenizer.segment(theirs), source, tokenizer).ids)
    return Ids.pack(sources), Ids.pack(targets), longer


def written(
    ids: Sequence[int], words: Mapping[int, str], tokenizer: Tokenizer, unknown: Sequence[str]
) -> tuple[str, Segments]:
    """What a model said, as text and as words; copied ones read as in the source.

    Args:
        ids: that it said.
        words: that it may have copied, by their ids; see `copied_words`.
        tokenizer: of both.
        unknown: what the unknown tokens among them shall read; "<unk>" where these are more.
    """
    shown = [UNK if number in words else number for number in ids]
    rest = iter(unknown)
    gaps = [number for number in ids if number == UNK or number in words]
    said = tokenizer.segment_ids(shown)
    if words:
        copied = {place: words[number] for place, number in enumerate(ids) if number in words}
        sides = said.pieces, said.words
        pieces, texts = ([copied.get(place, one) for place, one in enumerate(side)] for side in sides)
        said = Segments(list(ids), pieces, texts, said.word_of)
    read = [words[number] if number in words else next(rest, "<unk>") for number in gaps]
    return tokenizer.decode(shown, read or None), said
