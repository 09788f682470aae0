"""What embeddings begin with: a matrix for the vocabulary, or a published file of word vectors."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from heedful._errors import DataError, RecipeError, brief
from heedful.data.tokenizers import Tokenizer, TokenizerPair
from heedful.data.vocabulary import SPECIAL_TOKENS
from heedful.data.word_vectors import read_word_vectors

from .model_options import ModelOptions
from .recipe import expand_path
from .weights import read_weights


class Pretrained(NamedTuple):
    """Matrices `[ids, embedding_dim]` that the embeddings begin with; `None` where they begin at random."""

    source: Tensor | None = None
    target: Tensor | None = None


def read_pretrained(options: ModelOptions, tokenizers: TokenizerPair, say: Callable[[str], None]) -> Pretrained:
    """What the files of a recipe's `model` section hold for its vocabularies.

    Args:
        options: the section.
        tokenizers: whose ids the rows are for.
        say: told how many of the words have a vector.

    Raises:
        RecipeError: a file cannot be read, does not fit, or has a vector for none of the words.
    """
    sides = {"source_embeddings": tokenizers.source, "target_embeddings": tokenizers.target}
    return Pretrained(*(_read(name, getattr(options, name), options, side, say) for name, side in sides.items()))


def _read(
    name: str, path: str | None, options: ModelOptions, tokenizer: Tokenizer, say: Callable[[str], None]
) -> Tensor | None:
    if path is None:
        return None
    place = expand_path(path)
    try:
        if place.suffix == ".safetensors":
            return _matrix(place, tokenizer.vocab_size, options.embedding_dim)
        matrix, known = _of_words(place, tokenizer, options.embedding_dim)
    except OSError as error:
        raise RecipeError(f"model.{name}: {path} cannot be read: {error.strerror}; check the path.") from None
    except (ValueError, DataError) as error:
        # a line end within would begin another fault
        raise RecipeError(f"model.{name}: {' '.join(str(error).split())}") from None
    say(f"{place} has vectors for {known:,} of {tokenizer.vocab_size:,} {name.partition('_')[0]} tokens.")
    return matrix


def _matrix(path: Path, ids: int, dim: int) -> Tensor:
    """The one matrix of a safetensors file."""
    try:
        tensors = read_weights(path)
    except ValueError as error:
        raise ValueError(f"{error}; give a .safetensors file with a matrix.") from None
    if len(tensors) != 1 or next(iter(tensors.values())).dim() != 2:
        raise ValueError(
            f"{path} holds tensors of shapes {brief([tuple(one.shape) for one in tensors.values()])}; "
            "expected a single matrix [ids, features]."
        )
    matrix = next(iter(tensors.values())).to(torch.float32)
    if tuple(matrix.shape) != (ids, dim):
        raise ValueError(
            f"the matrix has shape {tuple(matrix.shape)}; expected [ids, embedding_dim] = [{ids}, {dim}]. "
            "Give one row for each id of the tokeniser, in its order."
        )
    return matrix


def _of_words(path: Path, tokenizer: Tokenizer, dim: int) -> tuple[Tensor, int]:
    """Published vectors by the words of a vocabulary, and how many it found; others as spread as those, at random."""
    words = tokenizer.tokens(range(tokenizer.vocab_size))
    vectors, known = (torch.from_numpy(part) for part in read_word_vectors(path, words, dim))
    known[: len(SPECIAL_TOKENS)] = False
    if not known.any():
        raise ValueError(
            f"{path} has a vector for none of the {len(words)} tokens; expected words of the vocabulary, as "
            "tokenizer.kind: word has them."
        )
    drawn = torch.randn(vectors.shape) * vectors[known].std()
    return torch.where(known.unsqueeze(1), vectors, drawn), int(known.sum())
