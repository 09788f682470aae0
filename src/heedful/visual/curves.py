"""Curves of training: every batch faintly, their smoothed course, and the validation points on top."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .alignment import visible
from .fonts import drawable, font_families
from .heatmap import save_figure
from .style import INK, PAPER, QUIET, RULE, SERIES


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity of one model while it learned.

    label: whose curve it is ("attention")
    steps, values: of every batch, [points] each; NaN and infinity leave a gap
    validation_steps, validation_values: [checks] each, empty when there were none

    Raises ValueError when steps and values are not two vectors of one length.
    """

    label: str
    steps: np.ndarray
    values: np.ndarray
    validation_steps: np.ndarray = field(default_factory=lambda: np.zeros(0))
    validation_values: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        for names in (("steps", "values"), ("validation_steps", "validation_values")):
            steps, values = (np.asarray(getattr(self, name), dtype=np.float64) for name in names)
            if steps.ndim != 1 or steps.shape != values.shape:
                raise ValueError(
                    f"curve {self.label!r}: {names[0]} has shape {steps.shape} and {names[1]} {values.shape}; "
                    "expected two vectors of one length"
                )
            object.__setattr__(self, names[0], steps)
            object.__setattr__(self, names[1], values)


def draw_curves(panels: Mapping[str, Sequence[Curve]], title: str = "", x_label: str = "training step") -> Figure:
    """One panel per quantity ("loss per token", "accuracy"), one colour per model, side by side.

    Raises ValueError when there is nothing to draw.

    >>> loss = Curve("attention", np.arange(5), np.array([5.0, 4.0, 3.5, 3.2, 3.1]))
    >>> len(draw_curves({"loss per token": [loss]}).axes)
    1
    """
    if not panels or not all(panels.values()):
        raise ValueError("there is nothing to draw; expected at least one panel with at least one Curve")
    families = font_families(
        [title, x_label, *panels, *(curve.label for curves in panels.values() for curve in curves)]
    )
    figure = Figure(figsize=(6.4 * len(panels), 4.2), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14)
    FigureCanvasAgg(figure)
    for i, (name, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), i)
        furnish(axes, _plain(name, families), _plain(x_label, families), families)
        for color, curve in zip(_cycle(len(curves)), curves, strict=True):
            _draw_curve(axes, curve, color, _plain(curve.label, families))
        _fit(axes, curves)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, labelcolor=INK, prop={"family": families, "size": 10}, handlelength=1.6)
    if title:
        figure.suptitle(_plain(title, families), x=0.01, ha="left", fontsize=13, color=INK, family=families)
    return figure


def write_curves(
    panels: Mapping[str, Sequence[Curve]],
    path: str | os.PathLike[str],
    title: str = "",
    x_label: str = "training step",
    dpi: int = 160,
) -> Path:
    """Write `draw_curves` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_curves(panels, title, x_label), path, dpi)


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Gaussian running mean of [points] values with a standard deviation of `width` points; gaps (NaN) weigh nothing.

    At the ends the mean is over what is there, so a constant stays a constant.

    >>> smooth(np.array([2.0, 2.0, np.nan, 2.0]), 1.0)
    array([2., 2., 2., 2.])
    """
    reach = max(1, int(np.ceil(3 * width)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(width, 1e-9)) ** 2)
    known = np.isfinite(values)

    def convolve(signal: np.ndarray) -> np.ndarray:
        return np.convolve(signal, kernel)[reach : reach + len(values)]

    total, weight = convolve(np.where(known, values, 0.0)), convolve(known.astype(np.float64))
    return np.divide(total, weight, out=np.full(len(values), np.nan), where=weight > 0)


def _draw_curve(axes: Axes, curve: Curve, color: str, label: str) -> None:
    if curve.steps.size:
        axes.plot(curve.steps, curve.values, color=color, alpha=0.18, linewidth=0.7, zorder=1)
        course = smooth(curve.values, width=max(1.0, curve.values.size / 80))
        axes.plot(curve.steps, course, color=color, linewidth=2, label=f"{label}, training", zorder=2)
    if curve.validation_steps.size:
        look = {"marker": "o", "markersize": 5.5, "markerfacecolor": PAPER, "markeredgewidth": 1.6}
        axes.plot(
            curve.validation_steps,
            curve.validation_values,
            color=color,
            linewidth=1,
            linestyle=(0, (2, 2)),
            label=f"{label}, validation",
            zorder=3,
            **look,
        )


def furnish(axes: Axes, name: str, x_label: str, families: list[str]) -> None:
    """A panel's title, label, lines and numbers, as all curves have them."""
    axes.set_title(name, loc="left", fontsize=11.5, color=INK, family=families, pad=10, parse_math=False)
    axes.set_xlabel(x_label, fontsize=10, color=QUIET, family=families, parse_math=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.grid(axis="y", color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9.5, labelcolor=QUIET, pad=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value == round(value) else f"{value:g}")
    axes.margins(x=0.02)


def _fit(axes: Axes, curves: Sequence[Curve]) -> None:
    """Let the courses fill the panel: a few wild batches may leave it, the validation points may not."""
    shown = [curve.validation_values for curve in curves]
    shown += [np.percentile(known, [0.5, 99.5]) for curve in curves if (known := _finite(curve.values)).size]
    known = _finite(np.concatenate(shown))
    if known.size and known.min() < known.max():
        room = 0.05 * (known.max() - known.min())
        axes.set_ylim(known.min() - room, known.max() + room)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _cycle(count: int) -> list[str]:
    return [SERIES[i % len(SERIES)] for i in range(count)]


def _plain(text: str, families: list[str]) -> str:
    # a legend offers no other way to keep a dollar sign from beginning mathematics, or to show what begins with "_"
    return drawable(visible(text), families).replace("$", r"\$").lstrip("_") if text else ""
