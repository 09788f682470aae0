"""Errors that heedful raises for invalid input."""

import reprlib

# characters of a line that tell enough of a file of somebody else's making
LONGEST_LINE = 900


class HeedfulError(Exception):
    r"""Any fault a user can cause and fix: the message says what came, where, and the way out.

    What came may be of somebody else's making, so the message is made fit for a terminal: it is one line, what does not
    print is escaped, and the middle of what is too long is left out.

    >>> str(HeedfulError("the name is \x1b[2Jnone"))
    'the name is \\x1b[2Jnone'
    """

    def __str__(self) -> str:
        return _readable(super().__str__().replace("\n", " "))


class DataError(HeedfulError, ValueError):
    """A data file that is missing, malformed or does not fit its partner."""


class RecipeError(HeedfulError, ValueError):
    """A recipe with a misspelt key, a wrong type or a value out of range; each fault has a line of its own."""

    def __str__(self) -> str:
        return "\n".join(map(_readable, Exception.__str__(self).split("\n")))


class ModelFolderError(HeedfulError, ValueError):
    """A model folder that lacks a file, was cut off or belongs to another version."""


class ExportError(HeedfulError, ValueError):
    """A model that is not written for another runtime, or a package that the form needs and that is not installed."""


class OutputError(HeedfulError, OSError):
    """An output folder that cannot be written."""


def brief(value: object) -> str:
    """A short representation of an untrusted value, however large it is.

    >>> brief([[["deep"]], "x" * 100, *range(9)])
    "[[[...]], 'xxxxxxxxxxxx...xxxxxxxxxxxxx', 0, 1, ...]"
    """
    return _BRIEF.repr(value)


_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxdict = 2, 4, 4


def _readable(line: str) -> str:
    if not line.isprintable():
        line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
    if len(line) > LONGEST_LINE:
        half = LONGEST_LINE // 2
        line = f"{line[:half]} [...] {line[-half:]}"
    return line
