"""`heedful demo`: from nothing to a translator, its score and its pictures, in under four minutes."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from ._shell import FAILED, say

EXAMPLES = ("heedful demo", "heedful demo --output tour --seconds 60", "heedful demo --model transformer")


def command(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the models, pictures and scores.")] = Path(
        "heedful-demo"
    ),
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of both models' first weights and batches.")] = 1,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="X", min=1, help="Most training time of each model; the recipe's own when left out."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Steps of each model; the recipe's own when left out."),
    ] = None,
    model: Annotated[
        Literal["none", "transformer"],
        typer.Option(help="What learns beside it: a twin without attention, or a Transformer of as many parameters."),
    ] = "none",
) -> None:
    """Train a translator with attention and a twin without, on English-French pairs that ship with heedful.

    Both make equally many steps: the same numbers on every machine that makes them within the limit of time, and sooner
    on a fast one. The report says what was reached and what to expect.

    Prints BLEU and chrF of both by sentence length, translates a few sentences, and leaves the model, the curves, the
    alignments as picture, animation and page, and all scores in the output folder. Ctrl-C stops it; the same command
    goes on.
    """
    from rich.console import Console

    from heedful.tasks.demo import RIVALS, demo_recipes, run_demo, threads_of_each
    from heedful.training.progress import clock

    from ._demo_screen import Screen, print_report

    started, rival = time.monotonic(), RIVALS[model].name
    training = demo_recipes(output, seed, seconds, steps, model)[0].training
    planned, longest, threads = training.max_steps or 0, training.max_seconds or 0.0, threads_of_each()
    say(
        f"Two models learn side by side, one with attention and a {rival}: {planned:,} steps each, or what they "
        f"make in {longest:.0f} s, on {threads} thread{'s' if threads > 1 else ''} each."
    )
    try:
        with Screen(planned, longest, rival) as screen:
            result = run_demo(output, seed, seconds, steps, screen.watch, model)
    except KeyboardInterrupt:
        say("Stopped; the same command goes on.")
        raise typer.Exit(FAILED) from None
    print_report(Console(highlight=False), result)
    for path, meaning in result.written.items():
        say(f"Wrote {path}: {meaning}")
    say(f"Done in {clock(time.monotonic() - started)}. Next: echo 'Where is my book?' | heedful translate {output}")
