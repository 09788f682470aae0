"""Shared by all commands: output streams, exit codes, and how a model is found."""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heedful._errors import DataError, HeedfulError, ModelFolderError

if TYPE_CHECKING:
    from heedful.tasks.trained import TrainedModel

FAILED = 1
ON_HUB = "hf:"
SECONDS_BETWEEN_LINES = 30.0
# that a command takes for one sentence, as `heedful.data.readers` does
MAX_CHARS = 5000

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="A model folder, the folder of the run that holds it as `model`, or hf:NAME on the hub."
    ),
]


def count(meaning: str, least: int = 1) -> Any:
    """An option that takes a whole number."""
    return typer.Option(metavar="N", min=least, help=meaning)


Beam = Annotated[int | None, count("Hypotheses kept; 1 is greedy.")]
Columns = Annotated[
    str | None, typer.Option(metavar="SOURCE,TARGET", help="Columns of a table: names, or numbers from 0.")
]


def say(text: str) -> None:
    """Print a message to standard error, so that standard output holds results only."""
    typer.echo(text, err=True)


def say_longer(longer: int, translator: "TrainedModel") -> None:
    """How many texts were not read to their end, if any."""
    if longer:
        say(f"Of {longer:,} texts only the first {translator.recipe.data.cut_source:,} tokens were read.")


def told(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose failures end in one sentence on standard error and exit code 1, and never in a traceback.

    Wrong use (`typer.BadParameter`) keeps its exit code 2. When the reader of the output has closed it (`| head`), the
    exit code is 0. With HEEDFUL_DEBUG set, an error comes with its traceback.
    """

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        use_utf8()
        try:
            command(*args, **options)
            sys.stdout.flush()
        except (typer.Exit, typer.BadParameter):
            raise
        except BrokenPipeError:
            leave_quietly()
        except KeyboardInterrupt as interrupt:
            # a training that was interrupted has said how it goes on
            if not str(interrupt):
                say("Stopped.")
            raise typer.Exit(FAILED) from None
        except SystemExit:
            raise
        except BaseException as error:  # a panic of a Rust library is not an Exception
            if os.environ.get("HEEDFUL_DEBUG"):
                raise
            say(f"Error: {sentence_of(error)}")
            raise typer.Exit(FAILED) from None

    return run


def sentence_of(error: BaseException) -> str:
    """The message for an error.

    >>> sentence_of(FileNotFoundError(2, "No such file or directory", "pairs.tsv"))
    'pairs.tsv: No such file or directory'
    """
    if isinstance(error, HeedfulError | ValueError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "there is not enough memory; try smaller batches or a smaller beam"
    return f"unexpected {type(error).__name__}: {error}; put HEEDFUL_DEBUG=1 before the command to see where"


def use_utf8() -> None:
    """UTF-8 in pipes and files whatever the locale; a terminal keeps its own, and no character stops a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def leave_quietly() -> None:
    """After the reader of a pipe has closed it: discard buffered output without an error at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def load_translator(model: Path) -> Any:
    """The translator at a place, see `load_any`, or the writer of a language model, which continues a text.

    Raises:
        ModelFolderError: what is there gives no text.
    """
    found = load_any(model)
    others = {"classification": ("classifier", "labels", "classify"), "forecast": ("forecaster", "numbers", "forecast")}
    if found.task in others:
        name, answers, verb = others[found.task]
        raise ModelFolderError(
            f"{model} is a {name}, which gives {answers} and no text; use heedful {verb}, explain or evaluate."
        )
    return found


def load_any(model: Path) -> "TrainedModel":
    """What is in a model folder, in `model` within the folder of a run, or on the hub by its name, `hf:NAME`."""
    from heedful.tasks.dispatch import load_model
    from heedful.tasks.hub import fetch
    from heedful.tasks.model_folder import find_model

    name = str(model)
    if not name.startswith(ON_HUB):
        return load_model(find_model(model))
    name = name.removeprefix(ON_HUB).lstrip("/")
    return load_model(find_model(name) if Path(name).is_dir() else fetch(name))


def check_sentence(text: str, max_chars: int = MAX_CHARS) -> str:
    """A sentence that a person typed, on one line.

    Raises:
        DataError: it is empty, too long, or was not typed in UTF-8.
    """
    from heedful.data.readers import EMPTY, INVALID, NUL, TOO_LONG, read_cell

    sentence = " ".join(text.splitlines())
    _, fault = read_cell(sentence.encode("utf-8", "surrogateescape"), max_chars)
    why = {
        EMPTY: "is empty; give at least one word",
        INVALID: "is not UTF-8; set the terminal or the script to UTF-8",
        NUL: "holds a NUL character; take it out",
        TOO_LONG: f"has {len(text):,} characters; give at most {max_chars:,}",
    }
    if fault:
        raise DataError(f"The sentence {why[fault]}.")
    return sentence


def one_line(text: str) -> str:
    r"""Text without line ends and tabs, which separate what a command writes.

    >>> one_line("a\tb\nc")
    'a b c'
    """
    return " ".join(text.replace("\t", " ").splitlines()) if not text.isprintable() else text


def parse_columns(text: str | None) -> tuple[int | str, int | str] | None:
    """Two columns as a person types them.

    >>> parse_columns("en, fr"), parse_columns("2,0"), parse_columns(None)
    (('en', 'fr'), (2, 0), None)
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"--columns is {text!r}; give two, such as en,fr or 0,1")
    first, second = (int(name) if name.isdecimal() else name for name in names)
    return first, second


def skipped_lines(skipped: dict[str, int]) -> str:
    """How many lines were left out, and why.

    >>> skipped_lines({"empty line": 2, "invalid UTF-8": 1})
    '3 (2 empty line, 1 invalid UTF-8)'
    """
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in skipped.items())
    return f"{sum(skipped.values()):,} ({reasons})"


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Progress on standard error: a bar on a terminal, occasional lines otherwise.

    Args:
        what: is counted, such as "sentences".
        total: how many there will be; None if nobody knows.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn(what), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda count: bar.advance(task, count)
        return
    done, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if done != total and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{done:,}{f' of {total:,}' if total else ''} {what}")

    yield advance


def examples(*lines: str) -> str:
    """The end of a command's help, its lines kept as they are."""
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])
