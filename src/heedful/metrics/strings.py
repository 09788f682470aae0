"""Scores of short outputs that are right or wrong as a whole, against any of several references.

Word error rate as in the shared tasks of SIGMORPHON on pronunciation (Ashby et al. 2021), and the phone error rate
reported beside it; where a word has several pronunciations, the closest counts, as is usual with the CMU dictionary.
Here "word" is the whole output, not a word of a sentence as in speech recognition.
"""

from collections.abc import Callable, Sequence

import heedful

from .translation import Score


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """The least number of insertions, deletions and substitutions that make one sequence the other.

    Levenshtein (1966), by the algorithm of Wagner and Fischer (1974): time `len(first) * len(second)`.

    >>> edit_distance("kitten", "sitting"), edit_distance(["L", "AY", "T"], [])
    (3, 3)
    """
    row = list(range(len(second) + 1))
    for place, one in enumerate(first, start=1):
        above, row[0] = row[0], place
        for column, other in enumerate(second, start=1):
            above, row[column] = row[column], min(above + (one != other), row[column] + 1, row[column - 1] + 1)
    return row[-1]


def word_error_rate(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Per cent of the outputs that equal none of their references; lower is better. How spaces are laid is no matter.

    Args:
        outputs: one for each word.
        references: for each word all that count as right, one at least.

    Raises:
        ValueError: the two sides differ in number, are empty, or a word has no reference.

    >>> word_error_rate(["L AY T", "R AE D"], [["L AY T"], ["R EH D", "R IY D"]]).value
    50.0
    """
    wrong = sum(not _matches(*one) for one in _checked(outputs, references))
    return _score("WER", 100 * wrong / len(outputs), references)


def exact_match(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Per cent of the outputs that equal one of their references: 100 less `word_error_rate`, whose arguments it takes.

    >>> exact_match(["went", "goed"], [["went"], ["went"]]).value
    50.0
    """
    right = sum(_matches(*one) for one in _checked(outputs, references))
    return _score("exact match", 100 * right / len(outputs), references)


def phone_error_rate(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Edits that make the outputs their closest references, per cent of the symbols of these; lower is better.

    Symbols are what stands between spaces. The closest reference needs the fewest edits; of several, the longest is
    taken. Arguments and errors as of `word_error_rate`; besides, a `ValueError` where the closest references are all
    empty.

    >>> round(phone_error_rate(["R IY", "L AY T"], [["R EH D", "R IY D"], ["L AY T"]]).value, 2)
    16.67
    """
    found = [closest_edits(*one) for one in _checked(outputs, references)]
    edits, symbols = (sum(part) for part in zip(*found, strict=True))
    if not symbols:
        raise ValueError("the references have no symbols to count errors by; give some that are not empty")
    return _score("PER", 100 * edits / symbols, references)


def closest_edits(output: str, known: Sequence[str]) -> tuple[int, int]:
    """The fewest edits that make an output one of its references, and the symbols of that reference.

    >>> closest_edits("R IY", ["R EH D", "R IY D"])
    (1, 3)
    """
    edits, longest = min((edit_distance(output.split(), one.split()), -len(one.split())) for one in known)
    return edits, -longest


METRICS: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]]], Score]] = {
    "wer": word_error_rate,
    "per": phone_error_rate,
    "exact_match": exact_match,
}


def gathered(
    sources: Sequence[str], outputs: Sequence[str], references: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """One row for each source: its first output, and the references of all rows that have this source.

    >>> gathered(["READ", "LIGHT", "READ"], ["R EH D", "L AY T", "R EH D"], ["R EH D", "L AY T", "R IY D"])
    (['R EH D', 'L AY T'], [['R EH D', 'R IY D'], ['L AY T']])
    """
    first: dict[str, str] = {}
    known: dict[str, list[str]] = {}
    for source, output, reference in zip(sources, outputs, references, strict=True):
        first.setdefault(source, output)
        known.setdefault(source, []).append(reference)
    return list(first.values()), list(known.values())


def _matches(output: str, known: Sequence[str]) -> bool:
    return output.split() in [one.split() for one in known]


def _checked(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    """Each output with its references."""
    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs came with {len(references)} lists of references; give one each")
    if not outputs:
        raise ValueError("there are no outputs to score; give at least one")
    for place, known in enumerate(references):
        if isinstance(known, str) or not known:
            raise ValueError(f"references[{place}] is {known!r}; give a list with at least one text")
    return list(zip(outputs, references, strict=True))


def _score(name: str, value: float, references: Sequence[Sequence[str]]) -> Score:
    count = sum(len(known) for known in references)
    return Score(name, value, f"words:{len(references)}|references:{count}|closest:yes|version:{heedful.__version__}")
