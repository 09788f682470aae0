"""Translations as lines of text: what `heedful translate` writes for each sentence."""

import json
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from heedful._errors import DataError

from ._shell import one_line

if TYPE_CHECKING:
    from heedful.tasks.translated import Translation

Format = Callable[[int, "Sequence[Translation]"], Iterator[str]]


class Alignments(StrEnum):
    """How to write what each word looked at."""

    PHARAOH = "pharaoh"
    JSON = "json"
    HEADS = "heads"

    @classmethod
    def of(cls, text: str) -> "Alignments":
        """The format of that name; an unknown one is refused in one sentence."""
        if text not in list(cls):
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(cls)}")
        return cls(text)


def formatter(nbest: bool, alignments: Alignments | None) -> Format:
    """What turns the number of a sentence and its translations, best first, into lines.

    Args:
        nbest: write every translation with the sentence's number and its score.
        alignments: what to add of them.
    """
    if alignments in (Alignments.JSON, Alignments.HEADS):
        return as_json
    links = alignments == Alignments.PHARAOH
    return (lambda index, found: as_nbest(index, found, links)) if nbest else (lambda _, found: as_text(found, links))


def as_text(found: "Sequence[Translation]", links: bool) -> Iterator[str]:
    """The best translation; with links, a tab and its links follow: `Je t'aime.<TAB>0-0 2-1`."""
    best = found[0]
    yield f"{one_line(best.text)}\t{pharaoh(best)}" if links else one_line(best.text)


def as_nbest(index: int, found: "Sequence[Translation]", links: bool) -> Iterator[str]:
    """One line per translation, as Moses does: `0 ||| Je t'aime. ||| -0.4321`, links as a fourth field."""
    for one in found:
        fields = [str(index), one_line(one.text), f"{one.hypothesis.score:.4f}"]
        yield " ||| ".join(fields + ([pharaoh(one)] if links else []))


def as_json(index: int, found: "Sequence[Translation]") -> Iterator[str]:
    """One JSON object per translation: the `index` of the sentence, and what `as_record` says of it."""
    from heedful.tasks.translated import as_record

    for one in found:
        yield json.dumps({"index": index, **as_record(one)}, ensure_ascii=False)


def pharaoh(one: "Translation") -> str:
    """The link of each word to the source word it looked at most, `source-target`, both counted from 0.

    Raises:
        DataError: the model has no attention.
    """
    from heedful.metrics.alignment import hard_links, to_pharaoh

    weights = one.word_weights
    if weights is None and one.target.ids:
        raise DataError("The model has no attention, so it aligns nothing; leave --alignments out, or ask for json.")
    return "" if weights is None else to_pharaoh(hard_links(weights))
