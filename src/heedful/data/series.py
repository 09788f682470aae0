"""Time series from tables: columns of numbers, a row for each point in time, and windows of consecutive rows."""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
from jaxtyping import Float
from torch import Tensor

from heedful._errors import DataError, brief
from heedful.data.vocabulary import SPECIAL_TOKENS

from .examples import Examples
from .files import open_text
from .times import check_times, parse_time, times_after

Column = int | str

# separators of cells, the first that the first line holds
SEPARATORS = ("\t", ";", ",")
SHOWN = 12
TIME_NAMES = ("date", "time", "datetime", "timestamp", "day")


@dataclass(frozen=True, eq=False)
class Series:
    """Several series over the same points in time.

    - `values` [rows, series], float64, all finite.
    - `names`: of the series.
    - `times`: of the rows as they stand in the table; numbers from 0 where it has none.
    - `origin`: what to call the table.
    """

    values: np.ndarray
    names: list[str]
    times: list[str]
    origin: str

    def times_after(self, count: int) -> list[str]:
        """The times of so many rows behind the last, as `heedful.data.times.times_after` says.

        >>> Series(np.zeros((2, 1)), ["a"], ["2016-07-01 22:00", "2016-07-01 23:00"], "").times_after(2)
        ['2016-07-02 00:00:00', '2016-07-02 01:00:00']
        >>> Series(np.zeros((2, 1)), ["a"], ["0", "1"], "").times_after(1)
        ['2']
        """
        return times_after(self.times, count, self.origin)


def read_series(
    path: str | PathLike[str],
    columns: Sequence[Column] | None = None,
    time: Column | None = None,
    gaps: bool = False,
) -> Series:
    """The series of a table whose cells are separated by commas, semicolons or tabs; it may be .gz or .xz.

    The first row names the columns, unless it holds a number; then they are called "0", "1" and so on.

    - `columns`: names, or numbers from 0; all but the time when left out.
    - `time`: column of the times, as ISO 8601 writes them, or months such as 2016-07, rising; the first one when left
      out and it holds such; of plain digits only where it is called date, time or the like.
    - `gaps`: take rows as neighbours however far apart their times are.

    Raises `DataError`: the file cannot be read, a column is missing, a cell is empty or holds no number, or times are
    no times, do not rise or have gaps; the message names the line.
    """
    names, rows = _read_table(path)
    if not rows:
        raise DataError(f"{path} has no row of numbers; give a table with a row for each point in time.")
    when = _time_column(names, rows, time, str(path))
    wanted = [_place(column, names, str(path)) for column in columns or ()]
    wanted = wanted or [place for place in range(len(names)) if place != when]
    if (odd := next((place for place in wanted if names[place] in ("", *SPECIAL_TOKENS)), None)) is not None:
        raise DataError(
            f"{path}: column {odd} is called {names[odd]!r}, which is no name of a series; give it another, or choose "
            "others as data.series.columns."
        )
    if not wanted:
        raise DataError(f"{path} has no column besides the time; give a column of numbers for each series.")
    values = np.array([[_number(cells[place], names[place], line, path) for place in wanted] for line, cells in rows])
    times = [str(number) for number in range(len(rows))] if when is None else [cells[when] for _, cells in rows]
    if when is not None:
        check_times(times, [line for line, _ in rows], gaps, str(path))
    return Series(values, [names[place] for place in wanted], times, str(path))


def _read_table(path: str | PathLike[str]) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the columns, and the rows with their lines."""
    with open_text(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        first = text.readline()
        separator = next((one for one in SEPARATORS if one in first), ",")
        try:
            header = [_name(cell) for cell in next(csv.reader([first], delimiter=separator, strict=True), [])]
            reader = csv.reader(text, delimiter=separator, strict=True)
            rows = [(reader.line_num + 1, [cell.strip() for cell in cells]) for cells in reader if cells]
        except csv.Error as error:
            raise DataError(f"{path} is no table of cells ({error}); fix its quotes, or save it anew as CSV.") from None
    if any(_as_number(cell) is not None for cell in header):
        rows, header = [(1, header), *rows], [str(place) for place in range(len(header))]
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise DataError(f"{path} has several columns {brief(twice)}; give each a name of its own.")
    if odd := next(((line, cells) for line, cells in rows if len(cells) != len(header)), None):
        raise DataError(
            f"{path}, line {odd[0]} has {len(odd[1])} cells, but the first has {len(header)}; fix the line, or leave "
            "it out."
        )
    return header, rows


def _name(cell: str) -> str:
    """The name of a column as a vocabulary keeps it: composed characters, single spaces."""
    return unicodedata.normalize("NFC", " ".join(cell.split()))


def _time_column(names: list[str], rows: list[tuple[int, list[str]]], time: Column | None, path: str) -> int | None:
    if time is not None:
        return _place(time, names, path)
    first = rows[0][1][0]
    # 20160701 is a number as well
    digits = _as_number(first) is not None and names[0].strip().lower() not in TIME_NAMES
    return 0 if parse_time(first) and not digits else None


def _place(column: Column, names: list[str], path: str) -> int:
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, int) and 0 <= column < len(names):
        return column
    shown = ", ".join(brief(name).strip("'") for name in names[:SHOWN])
    raise DataError(f"{path} has no column {brief(column)}; it has {shown}{', ...' if len(names) > SHOWN else ''}.")


def _as_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _number(cell: str, name: str, line: int, path: str | PathLike[str]) -> float:
    value = _as_number(cell)
    if value is not None and np.isfinite(value):
        return value
    if value is not None or cell == "" or cell.lower() in ("na", "null", "none", "-"):
        came = f"holds {cell!r}" if cell else "is empty"
        name = brief(name)
        raise DataError(
            f"{path}, line {line}: column {name} {came}; fill the gap in, or leave the column out of "
            "data.series.columns."
        )
    raise DataError(
        f"{path}, line {line}: column {brief(name)} holds {brief(cell)}, which is no number such as 1.5; correct it, "
        "or leave the column out of data.series.columns."
    )


@dataclass(frozen=True, eq=False)
class Windows:
    """Every stretch of `window + horizon` consecutive rows: what is seen, and what is to be forecast.

    - `values` [rows, series].
    - `window`, `horizon`: rows that are seen, and rows behind them.

    >>> import torch
    >>> windows = Windows(torch.arange(6.0).unsqueeze(1), window=3, horizon=2)
    >>> len(windows), windows.inputs[1, :, 0].tolist(), windows.answers[1, :, 0].tolist()
    (2, [1.0, 2.0, 3.0], [4.0, 5.0])
    """

    values: Float[Tensor, "rows series"]
    window: int
    horizon: int

    def __len__(self) -> int:
        return max(len(self.values) - self.window - self.horizon + 1, 0)

    @property
    def inputs(self) -> Float[Tensor, "windows window series"]:
        """What is seen, as a view of the rows."""
        return self.values[: len(self.values) - self.horizon].unfold(0, self.window, 1).transpose(1, 2)

    @property
    def answers(self) -> Float[Tensor, "windows horizon series"]:
        """What follows, likewise."""
        return self.values[self.window :].unfold(0, self.horizon, 1).transpose(1, 2)

    def examples(self, batch_size: int, seed: int = 0) -> Examples:
        """Batches of them for the training loop."""
        return Examples(self.inputs, self.answers, batch_size, seed=seed)

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and answers of so many windows at a time, in order."""
        for first in range(0, len(self), size):
            yield self.inputs[first : first + size], self.answers[first : first + size]

    def apply(self, model: Callable[[Tensor], Tensor], size: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
        """Forecasts and answers of so many windows at a time, in order."""
        for seen, answers in self.blocks(size):
            yield model(seen), answers


def split_rows(rows: int, split: Sequence[float | int]) -> tuple[slice, slice, slice]:
    """The rows to learn from, to choose by and to be judged on, one behind the other.

    - `split`: of each, its rows (whole numbers), or its share of them.

    Raises `ValueError` where there are not so many rows.

    >>> [one.stop for one in split_rows(7588, [0.7, 0.1, 0.2])]  # the share of validation is what is left
    [5311, 6071, 7588]
    >>> [one.stop for one in split_rows(17420, [8640, 2880, 2880])]
    [8640, 11520, 14400]
    """
    if all(float(part).is_integer() for part in split):
        learn, choose, judge = (int(part) for part in split)
        last = learn + choose + judge
    else:
        last = rows if sum(split) > 1 - 1e-9 else int(sum(split) * rows)
        learn, judge = int(split[0] * rows), int(split[2] * rows)
        choose = last - learn - judge
    if last > rows:
        raise ValueError(f"there are {rows:,} rows, but the split takes {last:,}")
    return slice(0, learn), slice(learn, learn + choose), slice(learn + choose, last)
