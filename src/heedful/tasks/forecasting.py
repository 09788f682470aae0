"""Forecasts of time series from a recipe: a table in, the steps to come out (Qin et al. 2017), MSE and MAE."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from heedful._errors import DataError, RecipeError
from heedful.data.series import Series, Windows, read_series
from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.metrics.forecasts import Errors, measure_errors
from heedful.metrics.translation import Score
from heedful.models import fit_linear, last_value, linear_forecast
from heedful.training import squared_loss
from heedful.training.processes import Processes
from heedful.visual.forecast import ForecastPicture, write_forecast

from .classification_batches import labels_of
from .corpora import Say
from .forecasting_data import Unit, in_order, parts_of, read_own, windows_of
from .looking import evaluated
from .model_folder import find_model
from .recipe import Recipe, expand_path
from .trained import TrainedModel
from .translation import Material, Task, keep_tokenizers

# windows of a batch where nothing is learnt
BATCH = 256
MODEL, LAST, LINEAR = "", "the last value", "the linear model"


@dataclass(frozen=True, eq=False)
class ForecastResult:
    """What a forecaster says of the steps behind a stretch of rows, in the units of the table.

    Attributes:
        seen: the rows it was made from.
        times: of the steps to come.
        values: `[horizon, series]`.
        simple: the same by the last value and by the linear model.
        weights: `[horizon, window]`, at which rows each step to come looked, the mean of all heads; None of a model
            without attention.
        input_weights: `[window, series]`, at which series each row looked; likewise.
        came: `[horizon, series]`, what came, where it is known.
    """

    seen: Series
    times: list[str]
    values: np.ndarray
    simple: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: np.ndarray | None = None
    input_weights: np.ndarray | None = None
    came: np.ndarray | None = None

    def picture(self) -> ForecastPicture:
        """The same as it is drawn."""
        ends = self.seen.times[0], self.seen.times[-1], self.times[-1]
        return ForecastPicture(
            self.seen.names,
            self.seen.values,
            self.values,
            ends,
            self.simple,
            self.came,
            self.weights,
            self.input_weights,
        )


class Forecaster(TrainedModel):
    """A forecaster, the names of its series, and the recipe they were made by."""

    task = "forecast"

    @property
    def names(self) -> list[str]:
        """The series, in their order."""
        return labels_of(self.tokenizers)

    @property
    def unit(self) -> Unit:
        """What is taken out of numbers before the model sees them."""
        return Unit(self.model.mean.cpu(), self.model.deviation.cpu())

    def read(self, path: str | Path) -> Series:
        """The series of a table, as the recipe reads its own.

        Raises:
            DataError: see `heedful.data.series.read_series`.
        """
        own = self.recipe.data.series
        return read_series(path, self.names, own.time, own.gaps)

    def forecast(self, series: Series) -> ForecastResult:
        """The steps that come behind the last row.

        Raises:
            DataError: there are fewer rows than a window has, or a series is missing.
        """
        return self.forecast_at(series, len(series.values))

    def forecast_at(self, series: Series, place: int) -> ForecastResult:
        """The steps from a row on, forecast from those before it; beside what came, where the series goes so far.

        Args:
            series: with those of the model.
            place: of the first row that is forecast, from 0.

        Raises:
            DataError: as of `forecast`.
        """
        own, series = self.recipe.model.forecast, in_order(series, self.names)
        if place < own.window:
            raise DataError(
                f"{series.origin} has {place:,} rows to look at, but the model looks at {own.window:,}; give more rows."
            )
        window = slice(place - own.window, place)
        seen = Series(series.values[window], series.names, series.times[window], series.origin)
        inputs = self.unit.into(seen.values).unsqueeze(0)
        with evaluated(self.model):
            found = self.model(inputs.to(self.model.mean.device), need_weights=True)
        simple = {LAST: last_value(inputs, own.horizon), LINEAR: linear_forecast(inputs, self.model.linear.cpu())}
        ahead = slice(place, place + own.horizon)
        whole = len(series.values) >= place + own.horizon
        return ForecastResult(
            seen,
            series.times[ahead] if whole else seen.times_after(own.horizon),
            self.unit.back(found.answer[0].cpu()),
            {name: self.unit.back(one[0]) for name, one in simple.items()},
            None
            if found.weights is None
            else found.weights[0].reshape(-1, own.horizon, own.window).mean(0).cpu().numpy(),
            None if found.input_weights is None else found.input_weights[0].cpu().numpy(),
            series.values[ahead] if whole else None,
        )

    def test_rows(self) -> tuple[Series, slice]:
        """The table of the recipe, and the rows of it that are judged on."""
        series = read_own(self.recipe.data)
        return in_order(series, self.names), parts_of(series, self.recipe)["test"]

    def errors(self, windows: Windows) -> dict[str, Errors]:
        """Errors over all windows, in units of the deviation: of the model, of the last value, of the linear model.

        Args:
            windows: in the model's unit.

        Raises:
            DataError: there is none.
        """
        if not len(windows):
            raise DataError(
                f"there are {len(windows.values):,} rows, but a window of {windows.window} and a horizon of "
                f"{windows.horizon} need {windows.window + windows.horizon:,}; give more rows."
            )
        device = self.model.mean.device
        forecasts: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
            MODEL: lambda seen: self.model(seen.to(device)).answer,
            LAST: partial(last_value, horizon=windows.horizon),
            LINEAR: partial(linear_forecast, weight=self.model.linear.cpu()),
        }
        with evaluated(self.model):
            return {name: measure_errors(windows.apply(one, BATCH)) for name, one in forecasts.items()}

    def scores(self, windows: Windows) -> list[Score]:
        """The metrics of the recipe, of the model and of the two that it must beat, see `errors`."""
        facts = (
            f"unit:deviation in training|series:{len(self.names)}|window:{windows.window}|horizon:{windows.horizon}|"
        )
        found = self.errors(windows)
        return [one.score(metric, of, facts) for of, one in found.items() for metric in self.recipe.evaluation.metrics]


def prepare_series(recipe: Recipe, folder: Path, say: Say) -> Material:
    """Read the table, share out its rows and cut them into windows.

    Args:
        recipe: names the table.
        folder: of the training.
        say: takes what was read.
    """
    series, own = read_own(recipe.data), recipe.model.forecast
    rows = parts_of(series, recipe)
    tokenizers = keep_tokenizers(recipe, folder, lambda: name_series(series.names))
    if labels_of(tokenizers) != series.names:
        raise RecipeError(
            f"start_from, {recipe.start_from}, knows the series {', '.join(labels_of(tokenizers))}, but the table has "
            f"{', '.join(series.names)}; name those as data.series.columns"
        )
    unit = Unit.of(series.values[rows["train"]])
    if recipe.start_from:
        unit = Forecaster.load(find_model(expand_path(recipe.start_from))).unit
    say(
        f"Read {len(series.values):,} rows of {len(series.names)} series from {series.origin}: {_shared(series, rows)}."
    )
    windows = {name: windows_of(series, part, unit, recipe) for name, part in rows.items()}
    learn, choose = windows["train"], windows["valid"]

    def begin(model: Any) -> None:
        model.mean.copy_(unit.mean)
        model.deviation.copy_(unit.deviation)
        model.linear.copy_(fit_linear(learn.blocks(BATCH), [*choose.blocks(BATCH)]))

    batches = learn.examples(max(1, recipe.training.tokens_per_batch // (own.window + own.horizon)), recipe.seed)
    to_score = {name: windows[name] for name in ("valid", "test")}
    return Material(tokenizers, batches, len(learn), choose, to_score, begin=begin)


def name_series(names: Sequence[str]) -> TokenizerPair:
    """The names of series as the vocabulary that a model folder keeps."""
    named = Tokenizer.from_entries(names, LABEL)
    return TokenizerPair(named, named, joint=True)


def _shared(series: Series, rows: Mapping[str, slice]) -> str:
    return ", ".join(
        f"{part.stop - part.start:,} for {name} (to {series.times[part.stop - 1]})" for name, part in rows.items()
    )


def validator(_: Forecaster, valid: Windows, processes: Processes) -> Callable[[nn.Module], Mapping[str, float]]:
    """MSE, which is the loss, and MAE of the model on the validation windows, each process its share."""
    batches = [*valid.blocks(BATCH)][processes.rank :: processes.count]

    def validate(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        # squares, magnitudes, numbers
        sums = torch.zeros(3, dtype=torch.float64)
        for seen, answers in batches:
            gaps = model(seen.to(device)).answer.double().cpu() - answers
            sums += torch.stack([gaps.square().sum(), gaps.abs().sum(), torch.tensor(float(gaps.numel()))])
        squares, magnitudes, numbers = processes.total(sums).tolist()
        return {"loss": squares / numbers, "mse": squares / numbers, "mae": magnitudes / numbers}

    return validate


def draw_test(forecaster: Forecaster, _: Mapping[str, Windows], folder: Path) -> None:
    """Draw `forecast.png` of a run: the last window of the test rows, and what came."""
    series, rows = forecaster.test_rows()
    found = forecaster.forecast_at(series, rows.stop - forecaster.recipe.model.forecast.horizon)
    write_forecast(found.picture(), folder / "forecast.png", f"{forecaster.recipe.name}: the last test window")


FORECAST = Task(
    Forecaster,
    squared_loss,
    validator,
    Forecaster.scores,
    prepare_series,
    draw_test,
    {"loss": "mean squared error (series in units of their deviation)"},
    "windows",
)
