"""`heedful translate`: a file, standard input or a conversation, line by line."""

import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heedful._errors import DataError
from heedful._files import whole_file

from ._formats import Alignments, formatter
from ._shell import MAX_CHARS, Beam, Model, check_sentence, count, load_translator, progress, say, skipped_lines

if TYPE_CHECKING:
    from heedful.data.readers import Lines
    from heedful.tasks.translator import Sampling

EXAMPLES = (
    'echo "I love you." | heedful translate heedful-demo',
    "heedful translate heedful-demo english.txt --output french.txt --beam 8",
    "heedful translate heedful-demo english.txt --nbest 3 --alignments pharaoh",
    "heedful translate heedful-demo --interactive",
)
# sentences at a time: few at first, so that the first results come early; then many, which is faster
FIRST_GROUP, LARGEST_GROUP = 8, 512
BYTES_PER_READ = 1 << 16
STANDARD_INPUT = "standard input"
# from this many lines on, the speed is reported
MANY_LINES = 1000


def number(text: str) -> Any:
    """An option that takes a real number."""
    return typer.Option(metavar="X", help=text)


def command(
    model: Model,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="A file, one sentence a line; - or nothing: standard input.")
    ] = "-",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, whole or not at all.")
    ] = None,
    beam: Beam = None,
    nbest: Annotated[int | None, count("Write so many of each sentence: INDEX ||| TRANSLATION ||| SCORE.")] = None,
    alignments: Annotated[
        Alignments | None,
        typer.Option(
            parser=Alignments.of, metavar=f"[{'|'.join(Alignments)}]", help="What each word looked at; see above."
        ),
    ] = None,
    batch_size: Annotated[int | None, count("Sentences decoded side by side: of speed and memory alone.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for one sentence after another.")] = False,
    sample: Annotated[bool, typer.Option("--sample", help="Draw at random instead of searching the best.")] = False,
    temperature: Annotated[float | None, number("Of --sample: above 1 flatter, below sharper.")] = None,
    top_k: Annotated[int | None, count("Of --sample: draw from so many tokens.")] = None,
    top_p: Annotated[float | None, number("Of --sample: draw from so much probability.")] = None,
    min_p: Annotated[float | None, number("Of --sample: from what has X times the best's probability.")] = None,
    risk_draws: Annotated[int | None, count("Of --sample: draw so many, write the most typical (MBR, chrF).")] = None,
    seed: Annotated[int | None, count("Of --sample: the same seed draws the same.", least=0)] = None,
) -> None:
    """Translate, one sentence a line, in the order of the input.

    Only translations go to standard output, as soon as they are there; a line that cannot be used (empty, not UTF-8,
    with a NUL character, above 5,000 characters) gives an empty line and is counted on standard error. Text in UTF-16
    or UTF-32 is read where it begins with a byte-order mark.

    --alignments pharaoh adds a tab and the links of words, SOURCE-TARGET counted from 0 (with --nbest: a fourth field);
    punctuation marks are words. --alignments json writes one object per translation, with words, weights, tokens and
    their log-probabilities.
    """
    draws = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    draws["risk_draws"] = risk_draws
    check_use(source, output, beam, interactive, sample, draws)
    translator = load_translator(model)
    decoding = translator.recipe.decoding.model_copy(update={"beam": beam} if beam else {})
    if nbest and not sample and nbest > decoding.beam:
        raise typer.BadParameter(f"--nbest {nbest} is more than the beam, {decoding.beam}; add --beam {nbest}")
    if nbest and risk_draws and nbest > risk_draws:
        raise typer.BadParameter(f"--nbest {nbest} is more than --risk-draws {risk_draws}; draw more")
    write, need_weights = formatter(nbest is not None, alignments), alignments is not None
    sampling = make_sampling(draws) if sample else None

    def translate(sentences: list[str], first: int = 0) -> Iterator[str]:
        options = {"decoding": decoding, "nbest": nbest or 1, "need_weights": need_weights, "sampling": sampling}
        options |= {"batch_size": batch_size} if batch_size else {}
        for index, found in enumerate(translator.translate(sentences, **options), start=first):
            yield from write(index, found)

    if interactive:
        converse(lambda sentence: "\n".join(translate([sentence])))
    else:
        translate_all(source, output, translate, in_order=sample)


def check_use(
    source: str, output: Path | None, beam: int | None, interactive: bool, sample: bool, draws: dict[str, float | None]
) -> None:
    """Refuse options that do not go together."""
    given = [f"--{name.replace('_', '-')}" for name, value in draws.items() if value is not None]
    if interactive and (output or source != "-"):
        raise typer.BadParameter("--interactive takes neither a file to read nor one to write")
    if sample and beam:
        raise typer.BadParameter("--sample draws and --beam searches; choose one")
    if given and not sample:
        raise typer.BadParameter(f"{given[0]} is of use with --sample only; add it")
    if draws["temperature"] is not None and not 0 < draws["temperature"] < float("inf"):
        raise typer.BadParameter(f"--temperature is {draws['temperature']}; give a number above 0")
    if draws["top_p"] is not None and not 0 < draws["top_p"] <= 1:
        raise typer.BadParameter(f"--top-p is {draws['top_p']}; give a probability above 0 and up to 1")
    if draws["min_p"] is not None and not 0 <= draws["min_p"] <= 1:
        raise typer.BadParameter(f"--min-p is {draws['min_p']}; give a share from 0 to 1")


def make_sampling(draws: dict[str, Any]) -> "Sampling":
    """The sampling options."""
    import torch

    from heedful.tasks.translator import Sampling

    seed, temperature = draws["seed"], draws["temperature"]
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    given = {name: draws[name] for name in ("top_k", "top_p", "min_p", "risk_draws")}
    return Sampling(1.0 if temperature is None else temperature, generator=generator, **given)


def translate_all(
    source: str,
    output: Path | None,
    translate: Callable[[list[str], int], Iterable[str]],
    in_order: bool = False,
    max_chars: int = MAX_CHARS,
    words: tuple[str, str] = ("translated", "translations"),
) -> None:
    """Every line of a file or of standard input.

    Args:
        source: the file, or "-".
        output: the file to write, or None.
        translate: sentences, and the number of the first, to lines.
        in_order: whether the groups must be the same however the input arrives: random draws depend on them.
        max_chars: most characters of a line that can be used.
        words: what is done to lines, and what comes of it.
    """
    from heedful.data.readers import stream_lines

    skipped: Counter[str] = Counter()
    if source == "-":
        if sys.stdin.isatty():
            say("Type sentences, one a line; Ctrl-D ends.")
        blocks = read_stream(sys.stdin.buffer.read1, max_chars)  # pyright: ignore[reportAttributeAccessIssue]: buffers have it
    else:
        blocks = stream_lines(source, max_chars=max_chars)
    groups = growing(blocks, skipped)
    done, started = 0, time.monotonic()
    with opened(output) as write, nothing_or_progress(output) as advance:
        for group in regrouped(groups) if in_order else groups:
            write(translate(group, done))
            done += len(group)
            advance(len(group))
    if done >= MANY_LINES:
        seconds = time.monotonic() - started
        say(f"{words[0].capitalize()} {done:,} lines in {seconds:,.0f} seconds, {done / seconds:,.0f} a second.")
    if skipped:
        say(f"Left empty what cannot be {words[0]}: {skipped_lines(skipped)}.")
    if output:
        say(f"Wrote the {words[1]} of {done:,} lines to {output}.")


def read_stream(read: Callable[[int], bytes], max_chars: int = MAX_CHARS) -> "Iterator[Lines]":
    """Whole lines, as many as have arrived: a program that writes one line gets its translation before the next.

    Args:
        read: gives at most so many bytes, as soon as there are any; none at the end.
        max_chars: most characters of a line that can be used.
    """
    from heedful.data.encodings import as_utf8
    from heedful.data.files import cut_lines
    from heedful.data.readers import check_lines

    text = as_utf8(read, STANDARD_INPUT)
    rest = bytearray()
    while data := text.read1(BYTES_PER_READ):
        rest += data
        if end := data.rfind(b"\n") + 1:
            cut = len(rest) - len(data) + end
            yield check_lines(cut_lines(io.BytesIO(rest[:cut])), STANDARD_INPUT, max_chars)
            del rest[:cut]
    if rest:
        yield check_lines(cut_lines(io.BytesIO(rest)), STANDARD_INPUT, max_chars)


def growing(blocks: "Iterable[Lines]", skipped: Counter[str]) -> Iterator[list[str]]:
    """Sentences in groups, small ones first; counts what was skipped on the way."""
    size = FIRST_GROUP
    for block in blocks:
        skipped.update(block.skipped)
        first = 0
        while first < len(block.text):
            yield block.text[first : first + size]
            first, size = first + size, min(2 * size, LARGEST_GROUP)


def regrouped(groups: Iterable[list[str]]) -> Iterator[list[str]]:
    """The same sentences in groups of one size."""
    sentences = chain.from_iterable(groups)
    while group := list(islice(sentences, FIRST_GROUP)):
        yield group


@contextmanager
def opened(output: Path | None) -> Iterator[Callable[[Iterable[str]], None]]:
    """What writes lines: to a file, which appears whole at the end, or to standard output, at once."""
    if output is None:

        def write(lines: Iterable[str]) -> None:
            sys.stdout.writelines(f"{line}\n" for line in lines)
            sys.stdout.flush()

        yield write
    else:
        with whole_file(output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda lines: file.writelines(f"{line}\n" for line in lines)


def nothing_or_progress(output: Path | None) -> AbstractContextManager[Callable[[int], None]]:
    """Progress, unless the translations themselves show it."""
    if output is None and sys.stdout.isatty():
        return nullcontext(lambda _: None)
    return progress("sentences", None)


def converse(answer: Callable[[str], str]) -> None:
    """Ask for sentences and answer each until an empty line, Ctrl-D or Ctrl-C."""
    with suppress(ImportError):
        # gives `input` a history and arrow keys
        import readline  # noqa: F401

    if isinstance(sys.stdin, io.TextIOWrapper):
        # bytes that are not UTF-8 arrive as surrogates, and are reported like any other fault
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    if sys.stdin.isatty():
        say("One sentence a line; an empty line ends.")
    with suppress(EOFError, KeyboardInterrupt):
        while sentence := ask():
            try:
                typer.echo(answer(check_sentence(sentence)))
            except DataError as error:
                say(str(error))


def ask() -> str:
    """The next line that a person types."""
    prompt = "> " if sys.stdin.isatty() and sys.stdout.isatty() else ""
    return input(prompt).strip()
