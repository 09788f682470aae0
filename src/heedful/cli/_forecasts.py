"""What `heedful forecast`, `evaluate`, `explain` and `inspect` show of series."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ._shell import one_line, say

if TYPE_CHECKING:
    from heedful.data.series import Series
    from heedful.tasks.forecasting import Forecaster, ForecastResult
    from heedful.tasks.recipe import Recipe

# steps and series of a forecast that a terminal shows
STEPS_SHOWN, SERIES_SHOWN = 12, 8
BARS = "▁▂▃▄▅▆▇█"
BARS_SHOWN = 16
# columns of a terminal: between the columns of a table, and of a name that need not be broken
GAP, LONGEST_NAME = 2, 12
# name and cells
Column = tuple[str, Sequence[str]]


def as_table(found: "ForecastResult") -> str:
    """A forecast as CSV: the times, then a column for each series."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *found.seen.names])
    for time, row in zip(found.times, found.values, strict=True):
        writer.writerow([time, *(f"{value:.6g}" for value in row)])
    return text.getvalue()


def evaluate_series(forecaster: "Forecaster", model: Path, source: Path | None, as_json: bool, unused: object) -> None:
    """The errors on the test rows of the recipe, or on all windows of a table, beside the two simple forecasts."""
    if unused:
        raise typer.BadParameter(f"{unused} is of no use to a forecaster; give a table of series, or nothing")
    from heedful.data.series import Series
    from heedful.tasks.forecasting_data import in_order, windows_of

    if source:
        series: Series = in_order(forecaster.read(source), forecaster.names)
        rows = slice(0, len(series.values))
    else:
        series, rows = forecaster.test_rows()
    windows = windows_of(series, rows, forecaster.unit, forecaster.recipe)
    say(f"Read {len(series.values):,} rows from {series.origin}; {max(len(windows), 0):,} windows.")
    scores = forecaster.scores(windows)
    if as_json:
        content = {"model": str(model), "data": series.origin, "windows": len(windows)}
        typer.echo(json.dumps({**content, "scores": [vars(one) for one in scores]}, ensure_ascii=False))
        return
    for one in scores:
        typer.echo(str(one))


def show_forecast(forecaster: "Forecaster", table: str, output: Path | None, faithful: bool = False) -> None:
    """The forecast of a table, and what it looked at, in the terminal or in a file; and whether it needed that."""
    found = forecaster.forecast(forecaster.read(table))
    numbers = _measure(forecaster, found) if faithful else {}
    if output is None:
        console = Console(highlight=False)
        for part in forecast_report(found, console.width):
            console.print(part, soft_wrap=isinstance(part, Text))
    if numbers:
        from heedful.tasks.series_faithfulness import OF_FORECASTS

        from ._tables import print_measures

        print_measures(numbers, OF_FORECASTS)
    if output:
        _draw(forecaster, found, output, numbers)
        say(f"Wrote the forecast and what it looked at to {output}.")


def _measure(forecaster: "Forecaster", found: "ForecastResult") -> dict[str, dict[str, float | None]]:
    """How faithful what was looked at is to the forecast, by name of the scores."""
    from heedful.tasks.series_faithfulness import forecaster_faithfulness

    measured = forecaster_faithfulness(forecaster, forecaster.unit.into(found.seen.values))
    return {name: one.numbers() for name, one in measured.items()}


def _draw(forecaster: "Forecaster", found: "ForecastResult", output: Path, numbers: dict[str, Any]) -> None:
    """A file by its ending: numbers, a page to hover over, or the picture."""
    from heedful._files import write_whole

    title = f"{forecaster.recipe.name}: {found.times[0]} to {found.times[-1]}"
    if output.suffix.lower() == ".json":
        content = _as_values(found) | ({"faithfulness": numbers} if numbers else {})
        write_whole(output, json.dumps(content, ensure_ascii=False) + "\n")
    elif output.suffix.lower() == ".html":
        from heedful.visual.alignment import Alignment
        from heedful.visual.html import write_page

        looks = []
        if found.weights is not None:
            caption = "where each step to come looked"
            looks.append(Alignment(found.seen.times, found.times, found.weights, caption))
        if found.input_weights is not None:
            caption = "which series each step read"
            looks.append(Alignment(found.seen.times, found.seen.names, found.input_weights.T, caption))
        if not looks:
            raise typer.BadParameter(f"--output {output}: this model looks at nothing; write .png or .json")
        write_page(looks, output, title=title)
    else:
        from heedful.visual.forecast import write_forecast

        write_forecast(found.picture(), output, title)


def _as_values(found: "ForecastResult") -> dict[str, Any]:
    """A forecast as plain values."""
    weights = {"weights": found.weights, "input_weights": found.input_weights}
    return {
        "series": found.seen.names,
        "seen": {"times": found.seen.times, "values": found.seen.values.tolist()},
        "forecast": {"times": found.times, "values": found.values.tolist()},
        **{name: values.tolist() for name, values in found.simple.items()},
        **{name: None if values is None else values.tolist() for name, values in weights.items()},
    }


def forecast_report(found: "ForecastResult", width: int) -> Iterator[RenderableType]:
    """What a terminal of that many columns shows of a forecast, one part under the other; no number is broken."""
    names, weights = [one_line(name) for name in found.seen.names[:SERIES_SHOWN]], found.weights
    shown = np.unique(np.linspace(0, len(found.times) - 1, min(STEPS_SHOWN, len(found.times))).round().astype(int))
    columns = [(name, [f"{value:.4g}" for value in found.values[shown, place]]) for place, name in enumerate(names)]
    if weights is not None:
        bars, most = zip(*(_look(found, weights[step]) for step in shown), strict=True)
        columns += [("looked at", [*bars]), ("most at", [*most])]
    yield from _in_width(("time", [found.times[step] for step in shown]), columns, width)
    if len(found.seen.names) > len(names):
        yield Text(f"{len(found.seen.names) - len(names)} more series; write them to a file with --output.\n")
    if found.input_weights is not None:
        table = _table("series", "read", "")
        mean = found.input_weights.mean(0)
        for place in np.argsort(-mean, kind="stable")[:SERIES_SHOWN]:
            table.add_row(one_line(found.seen.names[place]), f"{mean[place]:.0%}", _bars(found.input_weights[:, place]))
        yield table


def _in_width(first: Column, columns: Sequence[Column], width: int) -> Iterator[Table]:
    """The columns in as many tables as it takes to break no cell, each behind the first column."""
    tables, room = [[first]], width - _width(first)
    for column in columns:
        if len(tables[-1]) > 1 and _width(column) > room:
            tables.append([first])
            room = width - _width(first)
        tables[-1].append(column)
        room -= _width(column)
    for parts in tables:
        table = _table(*(name for name, _ in parts))
        for row in zip(*(cells for _, cells in parts), strict=True):
            table.add_row(*row)
        yield table


def _width(column: Column) -> int:
    """Columns of the terminal that a column of a table takes, with the gap beside it; a long name is broken."""
    name, cells = column
    return max(min(cell_len(name), LONGEST_NAME), *map(cell_len, cells)) + GAP


def _look(found: "ForecastResult", weights: np.ndarray) -> tuple[str, str]:
    """The rows from the first to the last in bars, and the one looked at most."""
    top = int(weights.argmax())
    return _bars(weights), f"{found.seen.times[top]}, {weights[top]:.1%}"


def _bars(values: np.ndarray) -> str:
    """Numbers in a row of bars from the smallest to the largest, means where there are more than have room.

    >>> _bars(np.array([0.0, 1.0, 0.5]))
    '▁█▅'
    """
    parts = [float(part.mean()) for part in np.array_split(values, min(len(values), BARS_SHOWN))]
    low, span = min(parts), max(parts) - min(parts)
    places = [round((part - low) / span * (len(BARS) - 1) + 1e-9) if span else 0 for part in parts]
    return "".join(BARS[place] for place in places)


def inspect_series(recipe: "Recipe | None", table: str) -> None:
    """Count and measure the series of a table, or those of a recipe with the rows it learns from."""
    from heedful.data.series import read_series
    from heedful.tasks.forecasting_data import parts_of, read_own

    series = read_own(recipe.data) if recipe else read_series(table)
    rows = parts_of(series, recipe) if recipe else {}
    console = Console(highlight=False)
    for part in series_report(series, rows):
        console.print(part, soft_wrap=isinstance(part, Text))


def series_report(series: "Series", rows: dict[str, slice]) -> Iterator[RenderableType]:
    """What `heedful inspect` shows of series, one part under the other.

    Args:
        series: of a table.
        rows: what they are for, by name; the means of the others are told in deviations of the first.
    """
    values = series.values
    span = f"from {series.times[0]} to {series.times[-1]}"
    yield Text(f"{len(values):,} rows of {len(series.names):,} series, {span}, from {series.origin}.\n")
    for name, part in rows.items():
        yield Text(
            f"{name}: {part.stop - part.start:,} rows, {series.times[part.start]} to {series.times[part.stop - 1]}"
        )
    others = [name for name in rows if name != "train"]
    table = _table("series", "mean", "deviation", "least", "most", "step", *others, "")
    learn = values[rows["train"]] if rows else values
    for place, name in enumerate(series.names):
        own, known = values[:, place], learn[:, place]
        scale = float(known.std()) or 1.0
        moved = (f"{(own[rows[one]].mean() - known.mean()) / scale:+.2f}" for one in others)
        step = f"{np.abs(np.diff(own)).mean() / scale:.2f}" if len(own) > 1 else "-"
        numbers = (f"{value:.4g}" for value in (known.mean(), known.std(), own.min(), own.max()))
        table.add_row(one_line(name), *numbers, step, *moved, _bars(own))
    yield table
    apart = f" and how far {' and '.join(others)} have moved are" if others else " is"
    whose = "of the rows that are learnt from" if rows else "of all rows"
    yield Text(f"The mean size of a step{apart} in deviations {whose}.\n")
    if still := [name for name, moves in zip(series.names, np.ptp(learn, axis=0) > 0, strict=True) if not moves]:
        yield Text(f"Never move: {', '.join(map(one_line, still))}; leave them out of data.series.columns.\n")


def _table(*headers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for header in headers:
        left = header in ("series", "time", "", "looked at", "most at")
        bars = header in ("", "looked at")
        table.add_column(header, justify="left" if left else "right", overflow="fold", no_wrap=bars)
    return table
