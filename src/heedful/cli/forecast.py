"""`heedful forecast`: the steps that come behind the last row of a table, as a table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from heedful._errors import ModelFolderError

from ._shell import Model, load_any

EXAMPLES = (
    "heedful forecast runs/etth1 ETTh1.csv",
    "heedful forecast runs/etth1 ETTh1.csv.xz --output next.csv",
)


def command(
    model: Model,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A table with the columns that the model reads; .csv or .tsv.")
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file, whole or not at all.")
    ] = None,
) -> None:
    """Forecast the steps behind the last row of a table: their times and a number for each series, as CSV.

    As many rows are looked at as the recipe's window has; the table may be .gz or .xz.
    """
    forecaster: Any = load_any(model)
    if forecaster.task != "forecast":
        raise ModelFolderError(
            f"{model} is no forecaster but for {forecaster.task}; use heedful translate or classify."
        )
    from ._forecasts import as_table

    text = as_table(forecaster.forecast(forecaster.read(table)))
    if output is None:
        typer.echo(text, nl=False)
        return
    from heedful._files import write_whole

    write_whole(output, text)
