"""From a recipe's `decoding` section, which knows words, to what the searches take, which know ids."""

from collections.abc import Sequence
from typing import Literal

import torch

from heedful._errors import DataError
from heedful.data.tokenizers import Tokenizer
from heedful.data.vocabulary import UNK
from heedful.decoding.constraints import Constraints
from heedful.decoding.options import Decoding, Sampling
from heedful.decoding.penalties import Penalties

from .decoding_options import DecodingOptions


def make_decoding(
    options: DecodingOptions,
    tokenizer: Tokenizer,
    nbest: int = 1,
    need_weights: bool | Literal["heads"] = False,
    generator: torch.Generator | None = None,
) -> Decoding:
    """What `heedful.decoding` takes, of what a recipe says.

    Args:
        options: the section.
        tokenizer: of the side that is written.
        nbest: how many to return; of sampling, to draw.
        need_weights: see `Decoding`.
        generator: the source of chance; torch's own when left out.

    Raises:
        DataError: the prefix or a required phrase that the tokenizer cannot write, or a phrase without a token.
        ValueError: options that contradict each other.
    """
    chance = (options.temperature, options.top_k, options.top_p, options.min_p)
    return Decoding(
        beam=options.beam,
        nbest=nbest,
        groups=options.groups,
        diversity=options.diversity,
        sampling=Sampling(*chance, generator=generator) if options.sample else None,
        constraints=make_constraints(options, tokenizer),
        penalties=Penalties(
            length=options.length_penalty,
            coverage=options.coverage_penalty,
            repetition=options.repetition_penalty,
            overcoverage=options.overcoverage_penalty,
        ),
        need_weights=need_weights,
    )


def make_constraints(options: DecodingOptions, tokenizer: Tokenizer) -> Constraints:
    """The constraints among them; a banned phrase that the tokenizer cannot write is never said anyway."""
    names = ("min_length", "max_length", "max_ratio", "max_extra", "no_repeat_ngram")
    banned = _phrases("banned", options.banned, tokenizer)
    return Constraints(
        **{name: getattr(options, name) for name in names},
        banned=tuple(phrase for phrase in banned if UNK not in phrase),
        prefix=tuple(_written("prefix", options.prefix, tokenizer)) if options.prefix.strip() else (),
        required=tuple(_written("required", text, tokenizer) for text in options.required),
    )


def _phrases(name: str, texts: Sequence[str], tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    phrases = [tuple(tokenizer.encode(text)) for text in texts]
    if not all(phrases):
        raise DataError(f"decoding.{name} holds {texts[phrases.index(())]!r}, which has no token; take it out.")
    return phrases


def _written(name: str, text: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens of a text that must be said."""
    (phrase,) = _phrases(name, [text], tokenizer)
    if UNK in phrase:
        pieces = tokenizer.segment(text)
        unknown = pieces.words[pieces.word_of[phrase.index(UNK)]]
        raise DataError(
            f"decoding.{name} holds {text!r}, but {unknown!r} cannot be written with the model's vocabulary; take it "
            "out, or spell it otherwise."
        )
    return phrase
