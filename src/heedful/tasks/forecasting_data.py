"""The series of a recipe: read, checked, put into one unit and cut into windows."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from heedful._errors import DataError
from heedful.data.files import find_files
from heedful.data.series import Series, Windows, read_series, split_rows

from .data_options import DataOptions
from .recipe import Recipe, expand_path

PARTS: tuple[str, ...] = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Unit:
    """Mean and deviation of each series, `[series]`, float32: what is taken out of numbers before a model sees them.

    >>> unit = Unit(torch.tensor([10.0]), torch.tensor([2.0]))
    >>> unit.into(np.array([[14.0]])).item(), unit.back(torch.tensor([[2.0]])).item()
    (2.0, 14.0)
    """

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, values: np.ndarray) -> "Unit":
        """Those of some rows."""
        return cls(*(torch.from_numpy(one).float() for one in (values.mean(0), values.std(0))))

    def into(self, values: np.ndarray) -> Tensor:
        """Numbers `[rows, series]` in this unit, float32."""
        return torch.from_numpy((values - self.mean.double().numpy()) / self.deviation.double().numpy()).float()

    def back(self, values: Tensor) -> np.ndarray:
        """Numbers in this unit as they were."""
        return (values.double() * self.deviation.double() + self.mean.double()).numpy()


def read_own(data: DataOptions) -> Series:
    """The series of the table that a recipe names.

    Raises:
        DataError: see `heedful.data.series.read_series`.
    """
    part, own = data.train_parts[0], data.series
    files = find_files(str(expand_path(part.csv or part.tsv or "")))
    if len(files) != 1:
        raise DataError(f"{part.csv or part.tsv} names {len(files)} files; series stand in one table, so name one.")
    return read_series(files[0], own.columns, own.time, own.gaps)


def parts_of(series: Series, recipe: Recipe) -> dict[str, slice]:
    """The rows to learn from, to choose by and to be judged on, by name.

    Raises:
        DataError: there are too few, or a series never moves in those that are learnt from.
    """
    try:
        rows = dict(zip(PARTS, split_rows(len(series.values), recipe.data.series.split), strict=True))
    except ValueError as error:
        raise DataError(f"{series.origin}: {error}; lower data.series.split.") from None
    own = recipe.model.forecast
    for name, part in rows.items():
        # what is forecast may look back into the part before
        least = own.horizon if name != "train" else own.window + own.horizon
        if part.stop - part.start < least:
            raise DataError(
                f"{series.origin} has {len(series.values):,} rows, of which {part.stop - part.start:,} are for {name}, "
                f"but a window of {own.window} and a horizon of {own.horizon} need {least:,} there; give more rows, or "
                "lower model.forecast.window or horizon."
            )
    moves = np.ptp(series.values[rows["train"]], axis=0) > 0
    if not moves.all():
        place = int(np.flatnonzero(~moves)[0])
        raise DataError(
            f"{series.origin}: column {series.names[place]!r} is {series.values[0, place]:g} in every row that is "
            "learnt from; leave it out of data.series.columns."
        )
    return rows


def windows_of(series: Series, rows: slice, unit: Unit, recipe: Recipe) -> Windows:
    """The windows whose steps to come lie in some rows; what they see may lie before, as it does in the literature."""
    own = recipe.model.forecast
    first = max(rows.start - own.window, 0)
    return Windows(unit.into(series.values[first : rows.stop]), own.window, own.horizon)


def in_order(series: Series, names: list[str]) -> Series:
    """Some of the series, in the order of their names.

    Raises:
        DataError: one is not there.
    """
    for name in names:
        if name not in series.names:
            raise DataError(
                f"{series.origin} has no column {name!r}, which the model reads; it needs {', '.join(names)}."
            )
    return replace(series, values=series.values[:, [series.names.index(name) for name in names]], names=names)
