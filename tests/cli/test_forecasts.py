"""What a terminal shows of a forecast: every number whole, however narrow it is."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from heedful.cli._forecasts import forecast_report
from heedful.data.series import Series
from heedful.tasks.forecasting import ForecastResult

NAMES = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT", "a name that is longer than any number"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_number_and_no_time_is_broken(width):
    times = [f"2018-06-26 {hour:02}:00:00" for hour in range(16)]
    values = np.random.default_rng(1).normal(size=(4, 8)) * 1000
    weights = np.full((4, 12), 1 / 12)
    found = ForecastResult(Series(np.zeros((12, 8)), NAMES, times[:12], "a.csv"), times[12:], values, weights=weights)
    console = Console(file=io.StringIO(), width=width)
    for part in forecast_report(found, console.width):
        console.print(part)
    text = console.file.getvalue()
    for number in values.flat:
        assert re.search(rf"(^|\s){re.escape(f'{number:.4g}')}(\s|$)", text, re.MULTILINE), number
    assert text.count("2018-06-26 15:00:00") >= 1
    assert "2018-06-26 00:00:00, 8.3%" in " ".join(text.split()) or width == 40
