"""The command line: `main` is what the shell runs, `app` holds the commands."""

from typing import Annotated

import typer

import heedful

from . import (
    classify,
    compare,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    forecast,
    inspect,
    listing,
    serve,
    shortlist,
    train,
    translate,
)
from ._shell import examples, told

app = typer.Typer(
    name="heedful",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "heedful demo",
        'echo "I love you." | heedful translate heedful-demo',
        'heedful explain heedful-demo "I love you." --output look.html',
    ),
)
for name, module in {
    "demo": demo,
    "train": train,
    "translate": translate,
    "serve": serve,
    "classify": classify,
    "forecast": forecast,
    "evaluate": evaluate,
    "explain": explain,
    "compare": compare,
    "export": export,
    "inspect": inspect,
    "list": listing,
    "shortlist": shortlist,
    "doctor": doctor,
}.items():
    # "`heedful demo`: from nothing to ..." is what its file says of itself
    summary = str(module.__doc__).partition(": ")[2]
    app.command(name, short_help=summary, epilog=examples(*module.EXAMPLES))(told(module.command))


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"heedful {heedful.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Train a translator with attention, translate, score it, and see what each word looks at."""


def main() -> None:
    """Run the command that the shell asked for."""
    app(prog_name="heedful")
