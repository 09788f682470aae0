"""Texts and labels as batches of a classifier: vocabularies, ids as far as they are read, and what a label counts."""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch

from heedful._errors import DataError, brief
from heedful.data.ids import Ids
from heedful.data.labelled import LabelledBatches
from heedful.data.readers import Pairs
from heedful.data.sentences import join_sentences, split_sentences, with_ends
from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.data.vocabulary import EOS, SPECIAL_TOKENS, UNK

from .batches import Limits, cut, encode_side, make_tokenizer
from .corpora import Say
from .data_options import TokenizerOptions
from .recipe import Recipe

FIRST_LABEL = len(SPECIAL_TOKENS)
# labels that a message names
NAMED = 5


@dataclass(frozen=True)
class Documents:
    """Texts as ids, and the place of each one's label."""

    texts: Ids
    answers: np.ndarray

    def batches(self, tokens_per_batch: int, seed: int) -> LabelledBatches:
        """Batches of them, in an order that is a pure function of (seed, epoch)."""
        return LabelledBatches(self.texts, self.answers, tokens_per_batch, seed)


def has_sentences(recipe: Recipe) -> bool:
    """Whether texts are cut into sentences."""
    return recipe.model.encoder == "hierarchical"


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[str], nested: bool, dropout: float = 0.0, seed: Sequence[int] = ()
) -> Ids:
    """Texts as ids, with an end after each sentence where they are `nested`."""
    if not nested:
        return encode_side(tokenizer, texts, dropout, seed)
    cut_texts = [split_sentences(text) for text in texts]
    sentences = [sentence for parts in cut_texts for sentence in parts]
    return join_sentences(encode_side(tokenizer, sentences, dropout, seed), [*map(len, cut_texts)])


@dataclass(frozen=True)
class Words:
    """A text as a model reads it and as a person does.

    Attributes:
        ids: as `encode_texts` gives them.
        words: as they stand in the text.
        word_of: for each id, the place of its word; an end of a sentence belongs to the word before.
        lines: words of each sentence, in their order; of a text that is not nested, none.
    """

    ids: list[int]
    words: list[str]
    word_of: list[int]
    lines: list[int]

    def kept(self, words: Set[int]) -> list[int]:
        """The ids of some of the words, and the ends of all sentences."""
        return [one for one, own in zip(self.ids, self.word_of, strict=True) if own in words or one == EOS]


def words_of(tokenizer: Tokenizer, text: str, nested: bool, max_length: int) -> Words:
    """The words of a text, as far as they are read."""
    found = Words([], [], [], [])
    for sentence in split_sentences(text) if nested else [text]:
        segments, first = tokenizer.segment(sentence), len(found.words)
        places = range(len(segments.ids))
        order = with_ends(np.array(places, dtype=np.int64), end=-1) if nested else np.array(places, dtype=np.int64)
        for place in order.tolist():
            if len(found.ids) == max_length:
                break
            if place >= 0:
                word = first + segments.word_of[place]
                found.words.extend(segments.words[len(found.words) - first : word - first + 1])
            found.ids.append(segments.ids[place] if place >= 0 else EOS)
            found.word_of.append(len(found.words) - 1)
        if nested and len(found.words) > first:
            found.lines.append(len(found.words) - first)
    return found


def labels_of(tokenizers: TokenizerPair) -> list[str]:
    """The labels that the target side of a classifier holds, in their order."""
    return [tokenizers.target.decode([number]) for number in range(FIRST_LABEL, tokenizers.target.vocab_size)]


def places_of(labels: Sequence[str], tokenizers: TokenizerPair) -> np.ndarray:
    """The place of each label among those that training saw, below 0 where it did not: `[texts]`."""
    return np.array([(ids or [UNK])[0] for ids in tokenizers.target.encode_batch(labels)]) - FIRST_LABEL


def encode_documents(
    pairs: Pairs,
    tokenizers: TokenizerPair,
    limits: Limits,
    say: Say = lambda _: None,
    dropout: float = 0.0,
    seed: Sequence[int] = (),
    nested: bool = False,
) -> Documents:
    """Texts and labels as numbers; what has no token, or a label that is not known, is left out and reported.

    Args:
        pairs: texts, and their labels as targets.
        tokenizers: of a classifier.
        limits: of which `max_length` says how many tokens of a text are read.
        say: takes what was left out, and how many texts are cut.
        dropout: of merges, see `SubwordSampler`.
        seed: of that dropout.
        nested: cut them into sentences.

    Raises:
        DataError: nothing is left.
    """
    texts = encode_texts(tokenizers.source, pairs.source, nested, dropout, [*seed, 0])
    answers = places_of(pairs.target, tokenizers)
    unseen = Counter(pairs.target[place] for place in np.flatnonzero(answers < 0))
    keep = np.flatnonzero((answers >= 0) & (texts.lengths > 0))
    if not len(keep):
        raise DataError(
            f"No text of {pairs.origin} has a token and a label that training saw, {name_some(labels_of(tokenizers))}"
            f"; its labels are {name_some([*unseen])}. See that the columns are the text, then the label."
        )
    if unseen:
        say(
            f"Left out {unseen.total():,} texts of {pairs.origin}: training never saw their labels, "
            f"{name_some([label for label, _ in unseen.most_common()])}."
        )
    if empty := int((texts.lengths == 0).sum()):
        say(f"Left out {empty:,} texts of {pairs.origin}: no token.")
    texts, longer = cut(texts.take(keep), limits.max_length or texts.lengths.max())
    if longer:
        say(f"Of {longer:,} texts of {pairs.origin} only the first {limits.max_length:,} tokens are read.")
    return Documents(texts, answers[keep])


def name_some(labels: Sequence[str]) -> str:
    """Labels as a message has them, the first few of many.

    >>> name_some(["a", "b", "c", "d", "e", "f", "g"])
    "'a', 'b', 'c', 'd', 'e' and 2 more"
    """
    named = ", ".join(map(brief, labels[:NAMED])) or "none"
    return named if len(labels) <= NAMED else f"{named} and {len(labels) - NAMED:,} more"


def make_vocabularies(pairs: Pairs, options: TokenizerOptions) -> TokenizerPair:
    """The tokeniser of the texts and the labels, in the order of the alphabet, numbers in theirs.

    Raises:
        DataError: there is one label alone, or as many as texts.
    """
    counts = Counter(pairs.target)
    if len(counts) == 1:
        raise DataError(f"All texts of {pairs.origin} have the label {brief(pairs.target[0])}; a classifier needs two.")
    if len(counts) == len(pairs) > 2:
        raise DataError(
            f"No label of {pairs.origin} occurs twice, such as {name_some([*counts])}; see that data.train.columns "
            "names the column of the text, then that of the label."
        )
    ordered = sorted(counts, key=lambda label: (len(label) if label.isdecimal() else 0, label))
    return TokenizerPair(
        make_tokenizer("source", pairs.source, options), Tokenizer.from_entries(ordered, LABEL), joint=False
    )


def label_weights(counts: np.ndarray) -> torch.Tensor:
    """What a text counts by its label, so that every label counts the same and a text 1 in the mean: `[labels]`.

    >>> label_weights(np.array([3, 1])).tolist()
    [0.6666666865348816, 2.0]
    """
    weights = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.tensor(np.where(counts > 0, weights, 1.0), dtype=torch.float32)
