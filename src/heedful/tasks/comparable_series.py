"""Forecasters in a comparison: errors over windows, which overlap and are therefore drawn in blocks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from heedful._errors import RecipeError
from heedful.data.series import Windows
from heedful.data.tokenizers import TokenizerPair
from heedful.metrics.counts import Counted, count_errors
from heedful.visual.comparison import Table

from .comparable import LOOKED_AT, SHOWN, Comparable, Ground, Nouns, refuse_no_attention, sharpness_of, timed
from .corpora import Say
from .equal_sizes import NAMES, TRANSFORMER, with_attention
from .faithfulness import Faithful, mean_faithful
from .forecasting import BATCH, Forecaster, name_series
from .forecasting_data import Unit, parts_of, read_own, windows_of
from .looking import evaluated
from .model_options import ModelOptions
from .recipe import Recipe
from .series_faithfulness import OF_FORECASTS, forecaster_faithfulness


class ComparableSeries(Comparable):
    """Forecasts, by `model.attention`; see `heedful.tasks.comparable.Comparable`.

    Windows that begin less than a window and a horizon apart share rows, and their errors are alike. So that many
    consecutive windows are one block, and blocks are drawn anew (Carlstein 1986, section 2), not windows.
    """

    key: str = "model.attention"
    names: Sequence[str] = tuple(name for name in NAMES if name != TRANSFORMER)

    def refuse(self, recipe: Recipe) -> None:
        refuse_no_attention(recipe.model)

    def change(self, model: ModelOptions, name: str) -> ModelOptions:
        return with_attention(model, name)

    def prepare(self, recipe: Recipe, make: Callable[[Callable[[], TokenizerPair]], TokenizerPair], say: Say) -> Ground:
        series = read_own(recipe.data)
        rows = parts_of(series, recipe)
        test = windows_of(series, rows["test"], Unit.of(series.values[rows["train"]]), recipe)
        span = test.window + test.horizon
        if len(test) <= span:
            raise RecipeError(
                f"{series.origin} has {len(test):,} windows for test, in one block of {span:,} that share rows; give "
                "more rows, or lower model.forecast.window or horizon"
            )
        blocks = f"blocks of {span:,} windows"
        nouns = Nouns("test windows", "forecasts", "the step ahead", blocks, "windows", OF_FORECASTS)
        tokenizers = make(lambda: name_series(series.names))
        return Ground(test, tokenizers, recipe.model, nouns, series.origin, len(test))

    def content(self, test: Windows) -> list[Any]:
        return [test.values.tolist(), test.window, test.horizon]

    def measure(self, trained: Forecaster, test: Windows) -> dict[str, Any]:
        with evaluated(trained.model):
            found, seconds = timed(lambda places: _forecasts(trained, test, places), range(len(test)))
        gaps = found - test.answers.double().numpy()
        blocks = np.arange(len(test)) // (test.window + test.horizon)
        # for each block and step ahead: squares, magnitudes, how many
        sums = np.zeros((blocks.max() + 1, test.horizon, 3))
        parts = np.square(gaps).sum(2), np.abs(gaps).sum(2), np.full(gaps.shape[:2], float(gaps.shape[2]))
        np.add.at(sums, blocks, np.stack(parts, axis=2))
        return {
            "decoding_windows_per_second": round(len(test) / seconds, 1),
            "errors": sums.round(8).tolist(),
            "answers": {str(place): found[place, :, 0].round(4).tolist() for place in _shown(test)},
        }

    def look(self, trained: Forecaster, test: Windows, gold: Sequence[str] | None) -> dict[str, Any]:
        with evaluated(trained.model):
            device = next(trained.model.parameters()).device
            found = trained.model(test.inputs[:LOOKED_AT].to(device), need_weights=True).weights
        if found is None:
            return {}
        weights = found.double().cpu().numpy().reshape(-1, test.horizon, test.window)
        return {"sharpness": sharpness_of(weights)}

    def faithfulness(self, trained: Forecaster, test: Windows, count: int) -> Mapping[str, Faithful]:
        if trained.recipe.model.attention == "none":
            return {}
        # neighbours are alike
        places = np.linspace(0, len(test) - 1, count).round().astype(int)
        found = [forecaster_faithfulness(trained, test.inputs[place]) for place in places]
        return {name: mean_faithful([one[name] for one in found]) for name in found[0]}

    def count(self, metric: str, run: Mapping[str, Any], test: Windows, recipe: Recipe) -> Counted:
        sums = np.array(run["errors"])
        blocks, horizon, _ = sums.shape
        units, steps = np.repeat(np.arange(blocks), horizon), np.tile(np.arange(1, horizon + 1), blocks)
        squares, magnitudes, counts = sums.reshape(-1, 3).T
        return count_errors(squares if metric == "mse" else magnitudes, counts, units, steps)

    def samples(self, test: Windows, runs: Mapping[str, Mapping[str, Any]]) -> list[Table]:
        steps = np.unique(np.linspace(0, test.horizon - 1, min(SHOWN, test.horizon)).round().astype(int))
        header = ["model", *(f"step {step + 1}" for step in steps)]
        tables = []
        for place in _shown(test):
            came = test.answers[place, :, 0].tolist()
            said = {"what came": came, **{name: run["answers"][str(place)] for name, run in runs.items()}}
            rows = [[name, *(f"{values[step]:.2f}" for step in steps)] for name, values in said.items()]
            title = f"The first series behind test window {place + 1:,}, in units of its deviation"
            tables.append(Table(title, header, rows))
        return tables


def _forecasts(forecaster: Forecaster, test: Windows, places: Sequence[int]) -> np.ndarray:
    """The forecasts of consecutive windows, [windows, horizon, series]."""
    device = next(forecaster.model.parameters()).device
    inputs = test.inputs[places[0] : places[-1] + 1]
    return np.concatenate(
        [forecaster.model(part.to(device)).answer.double().cpu().numpy() for part in inputs.split(BATCH)]
    )


def _shown(test: Windows) -> list[int]:
    return np.unique(np.linspace(0, len(test) - 1, min(SHOWN, len(test))).round().astype(int)).tolist()
