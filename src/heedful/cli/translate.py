"""`heedful translate`: a file, standard input or a conversation, line by line."""

import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heedful._errors import DataError

from ._decoding import Changes, changed_decoding, with_ensemble
from ._formats import Alignments, formatter
from ._shell import (
    MAX_CHARS,
    Beam,
    Model,
    check_sentence,
    count,
    load_translator,
    one_line,
    say,
    say_longer,
    skipped_lines,
)
from ._stream import growing, nothing_or_progress, opened, read_stream, regrouped

if TYPE_CHECKING:
    import torch

    from heedful.tasks.decoding_options import DecodingOptions
    from heedful.tasks.translator import Translator

EXAMPLES = (
    'echo "I love you." | heedful translate heedful-demo',
    "heedful translate heedful-demo english.txt --output french.txt --beam 8",
    "heedful translate heedful-demo english.txt --nbest 3 --alignments pharaoh",
    "heedful translate heedful-demo --interactive",
    "heedful translate heedful-demo in.txt --set 'decoding.required=[Madame]'",
    "heedful translate runs/a english.txt --set decoding.ensemble=[runs/b,runs/c]",
)
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
    changes: Changes = None,
) -> None:
    """Translate, one sentence a line, in the order of the input.

    Only translations go to standard output, as soon as they are there; a line that cannot be used (empty, not UTF-8,
    with a NUL character, above the recipe's data.max_chars, 5,000 if not told) gives an empty line and is counted on
    standard error, as is a picture that cannot. Text in UTF-16 or UTF-32 is read where it begins with a byte-order
    mark.

    --alignments pharaoh adds a tab and the links of words, SOURCE-TARGET counted from 0 (with --nbest: a fourth field);
    punctuation marks are words. --alignments json writes one object per translation, with words, weights, tokens and
    their log-probabilities; --alignments heads also the weights of every layer and head.

    --set changes any key of decoding in the model's recipe, for this call: groups of beams, penalties, a prefix, words
    that are required or banned, an ensemble.
    """
    draws = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "risk_draws": risk_draws}
    check_use(source, output, beam, interactive, sample)
    translator = load_translator(model)
    short = draws | {"beam": beam, "sample": wants_draws(sample, beam)}
    decoding = changed_decoding(translator, changes or [], short)
    check_draws(decoding, nbest, draws | {"seed": seed})
    translator = with_ensemble(translator, decoding)
    write = formatter(nbest is not None, alignments)
    need_weights = "heads" if alignments == Alignments.HEADS else alignments is not None
    options: dict[str, Any] = {"nbest": nbest or 1, "need_weights": need_weights, "generator": seeded(seed)}
    options |= {"batch_size": batch_size} if batch_size else {}
    translate, longer, faults = answering(translator, decoding, write, options)
    if interactive:
        converse(lambda sentence: "\n".join(translate([sentence])))
    else:
        translate_all(source, output, translate, decoding.sample, translator.recipe.data.max_chars)
    say_longer(sum(longer), translator)
    for fault, paths in faults.items():
        say(f"Left empty {len(paths):,} that {fault}, such as {one_line(paths[0])}.")


def answering(
    translator: "Translator", decoding: "DecodingOptions", write: Callable[..., Iterable[str]], options: dict[str, Any]
) -> tuple[Callable[..., Iterator[str]], list[int], dict[str, list[str]]]:
    """What gives the lines of sentences; of each call, how many were longer than what is read; pictures by fault."""
    longer: list[int] = []
    faults: dict[str, list[str]] = {}

    def translate(sentences: list[str], first: int = 0) -> Iterator[str]:
        for place, fault in enumerate(map(translator.fault, sentences)):
            if fault:
                faults.setdefault(fault, []).append(sentences[place])
                sentences[place] = ""
        longer.append(translator.num_longer(sentences))
        for index, found in enumerate(translator.translate(sentences, decoding=decoding, **options), start=first):
            yield from write(index, found)

    return translate, longer, faults


def check_use(source: str, output: Path | None, beam: int | None, interactive: bool, sample: bool) -> None:
    """Refuse options that do not go together."""
    if interactive and (output or source != "-"):
        raise typer.BadParameter("--interactive takes neither a file to read nor one to write")
    if sample and beam:
        raise typer.BadParameter("--sample draws and --beam searches; choose one")


def wants_draws(sample: bool, beam: int | None) -> bool | None:
    """Whether to sample: who asks for a beam does not, whatever the recipe says; None leaves it to the recipe."""
    return True if sample else False if beam else None


def check_draws(decoding: "DecodingOptions", nbest: int | None, draws: Mapping[str, float | None]) -> None:
    """Refuse what is of use in sampling alone, and more translations than there will be."""
    given = [f"--{name.replace('_', '-')}" for name, value in draws.items() if value is not None]
    if given and not decoding.sample:
        raise typer.BadParameter(f"{given[0]} is of use with --sample only; add it")
    if nbest and not decoding.sample and nbest > decoding.beam:
        raise typer.BadParameter(f"--nbest {nbest} is more than the beam, {decoding.beam}; add --beam {nbest}")
    if nbest and decoding.sample and decoding.risk_draws and nbest > decoding.risk_draws:
        raise typer.BadParameter(f"--nbest {nbest} is more than --risk-draws {decoding.risk_draws}; draw more")


def seeded(seed: int | None) -> "torch.Generator":
    """A source of chance; without a seed another one every time."""
    import torch

    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    return generator


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
