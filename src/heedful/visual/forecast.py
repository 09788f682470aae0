"""A forecast as a picture: history and steps to come of each series, and below what was looked at."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .alignment import visible
from .curves import furnish
from .fonts import drawable, font_families
from .heatmap import save_figure
from .style import HEAT, INK, PAPER, QUIET, SERIES

# series that have a panel; the others are in the heat map alone
PANELS = 8
COLUMNS = 2


@dataclass(frozen=True, eq=False)
class ForecastPicture:
    """What is drawn.

    names: of the series
    seen: [window, series]
    forecast: [horizon, series]
    times: of the first and last row that is seen, and of the last that is forecast
    others: further forecasts by name, [horizon, series] each
    came: [horizon, series], where it is known
    weights: [horizon, window], at which rows each step to come looked
    input_weights: [window, series], at which series each row looked

    Raises ValueError when a shape does not fit.
    """

    names: Sequence[str]
    seen: np.ndarray
    forecast: np.ndarray
    times: tuple[str, str, str]
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    came: np.ndarray | None = None
    weights: np.ndarray | None = None
    input_weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        window, series, horizon = len(self.seen), len(self.names), len(self.forecast)
        expected = {
            "seen": (self.seen, (window, series)),
            "forecast": (self.forecast, (horizon, series)),
            "came": (self.came, (horizon, series)),
            "weights": (self.weights, (horizon, window)),
            "input_weights": (self.input_weights, (window, series)),
            **{name: (values, (horizon, series)) for name, values in self.others.items()},
        }
        for name, (values, shape) in expected.items():
            if values is not None and np.shape(values) != shape:
                raise ValueError(f"{name} has shape {np.shape(values)}; expected {shape}")


def draw_forecast(picture: ForecastPicture, title: str = "") -> Figure:
    """A panel for each series, then the looks: steps to come over the rows that were seen, and series over these rows.

    >>> rows, looks = np.arange(6.0)[:, None], np.full((2, 4), 0.25)
    >>> figure = draw_forecast(ForecastPicture(["OT"], rows[:4], rows[4:], ("0", "3", "5"), weights=looks))
    >>> len(figure.axes[0].lines), figure.axes[1].get_ylabel()
    (3, 'step to come')
    """
    shown = min(len(picture.names), PANELS)
    columns = min(shown, COLUMNS)
    panel_rows = -(-shown // columns)
    looks = [one for one in (picture.weights, picture.input_weights) if one is not None]
    families = font_families([title, *picture.names, *picture.others, *picture.times])
    heights = [1.7 * panel_rows, *(2.4 for _ in looks)]
    figure = Figure(figsize=(6.2 * columns if columns > 1 else 8.4, sum(heights) + 1.0), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    panels = grid[0].subgridspec(panel_rows, columns)
    for place in range(shown):
        axes = figure.add_subplot(panels[place // columns, place % columns])
        _draw_series(axes, picture, place, families)
    lines = [line for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    look = {"family": families, "size": 9}
    figure.legend(handles=lines, frameon=False, labelcolor=INK, prop=look, loc="outside upper right", ncols=len(lines))
    if picture.weights is not None:
        axes = figure.add_subplot(grid[1])
        _draw_looks(axes, picture, picture.weights, "where each step to come looked (temporal attention)", families)
        axes.set_ylabel("step to come", fontsize=9, color=QUIET)
    if picture.input_weights is not None:
        axes = figure.add_subplot(grid[len(looks)])
        heat = picture.input_weights.T
        _draw_looks(axes, picture, heat, "which series each step read (input attention)", families)
        axes.set_yticks(
            range(len(picture.names)),
            labels=[drawable(visible(name, 16), families) for name in picture.names],
            family=families,
            parse_math=False,
        )
    if title:
        look = {"x": 0.01, "ha": "left", "family": families, "parse_math": False}
        figure.suptitle(drawable(visible(title, 200), families), fontsize=12, color=INK, **look)
    return figure


def write_forecast(picture: ForecastPicture, path: str | os.PathLike[str], title: str = "", dpi: int = 120) -> Path:
    """Write `draw_forecast` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_forecast(picture, title), path, dpi)


def _draw_series(axes: Axes, picture: ForecastPicture, place: int, families: list[str]) -> None:
    window, horizon = len(picture.seen), len(picture.forecast)
    furnish(axes, drawable(visible(picture.names[place], 40), families), "", families)
    past, ahead = np.arange(-window + 1, 1), np.arange(1, horizon + 1)
    axes.axvline(0.5, color=QUIET, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.plot(past, picture.seen[:, place], color=INK, linewidth=1.1)
    if picture.came is not None:
        axes.plot(ahead, picture.came[:, place], color=INK, linewidth=1.1, alpha=0.45, label="what came")
    for colour, (name, values) in zip(reversed(SERIES), picture.others.items(), strict=False):
        axes.plot(ahead, values[:, place], color=colour, linewidth=1.0, linestyle=(0, (4, 2)), label=name)
    axes.plot(ahead, picture.forecast[:, place], color=SERIES[1], linewidth=1.8, label="forecast")


def _draw_looks(axes: Axes, picture: ForecastPicture, heat: np.ndarray, name: str, families: list[str]) -> None:
    window, rows = len(picture.seen), len(heat)
    image = axes.imshow(
        heat,
        cmap=HEAT,
        vmin=0,
        vmax=float(heat.max()) or 1.0,
        aspect="auto",
        interpolation="nearest",
        extent=(-window + 0.5, 0.5, rows - 0.5, -0.5),
    )
    axes.set_title(name, loc="left", fontsize=10.5, color=INK)
    first, last, _ = (drawable(visible(one, 32), families) for one in picture.times)
    axes.set_xlabel(f"row that was seen: {first} to {last}", fontsize=9, color=QUIET, family=families, parse_math=False)
    ticks = np.unique(np.linspace(0, rows - 1, min(rows, 7)).round().astype(int))
    axes.set_yticks(ticks, labels=[str(one + 1) for one in ticks])
    axes.tick_params(length=0, labelsize=8.5, labelcolor=QUIET)
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=QUIET)
