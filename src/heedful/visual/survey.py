"""Pairs as pictures before any training: how long they are, how the sides compare, how few words make most text."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .heatmap import save_figure
from .style import INK, PAPER, QUIET, RULE, SERIES

# longer ones share one last bar, so that a few very long sentences do not squeeze the others
WHOLE = 99.5


def draw_survey(lengths: Mapping[str, np.ndarray], ratios: np.ndarray, coverage: Mapping[str, np.ndarray]) -> Figure:
    """Three panels side by side.

    lengths: words of each sentence, [sentences], by the name of the side
    ratios: target words for each source word, [pairs]
    coverage: the part of all words that the n most frequent are, n from 1, [different words], by the name of the side

    Raises ValueError when there is nothing to draw.

    >>> lengths = {"source": np.array([3, 4, 4]), "target": np.array([4, 4, 6])}
    >>> len(draw_survey(lengths, np.array([1.3, 1.0, 1.5]), {"source": np.array([0.5, 1.0])}).axes)
    3
    """
    if not lengths or not all(len(values) for values in lengths.values()) or not len(ratios):
        raise ValueError("there is nothing to draw; expected at least one sentence on each side")
    figure = Figure(figsize=(16.5, 4.2), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14)
    FigureCanvasAgg(figure)
    left, middle, right = (figure.add_subplot(1, 3, place) for place in (1, 2, 3))
    _furnish(left, "words of a sentence", "sentences", grid="y")
    top = int(max(np.percentile(values, WHOLE) for values in lengths.values())) + 1
    edges = np.arange(0.5, top + 1.5, max(1, -(-top // 60)))
    for color, (name, values) in zip(SERIES, lengths.items(), strict=False):
        _draw_bars(left, np.minimum(values, edges[-1] - 0.1), edges, color, name)
    _furnish(middle, "target words for each source word", "pairs", grid="y")
    limit = max(float(np.percentile(ratios, WHOLE)), 1.5)
    _draw_bars(middle, np.minimum(ratios, limit), np.linspace(0, limit * 1.0001, 41), SERIES[0], "")
    middle.axvline(float(np.median(ratios)), color=SERIES[1], linewidth=1.6)
    middle.annotate(
        f"median {np.median(ratios):.2f}", (float(np.median(ratios)), 0.97), (6, 0), ("data", "axes fraction"),
        "offset points", color=SERIES[1], fontsize=10, va="top",
    )  # fmt: skip
    _furnish(right, "most frequent words", "part of the text they are", grid="both")
    for color, (name, values) in zip(SERIES, coverage.items(), strict=False):
        if len(values):
            right.plot(np.arange(1, len(values) + 1), 100 * values, color=color, linewidth=2, label=name)
    right.set_xscale("log")
    right.set_ylim(0, 102)
    right.yaxis.set_major_formatter("{x:.0f} %")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    for axes in (left, right):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, labelcolor=INK, fontsize=10)
    return figure


def write_survey(
    lengths: Mapping[str, np.ndarray],
    ratios: np.ndarray,
    coverage: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    dpi: int = 160,
) -> Path:
    """Write `draw_survey` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_survey(lengths, ratios, coverage), path, dpi)


def _draw_bars(axes: Axes, values: np.ndarray, edges: np.ndarray, color: str, label: str) -> None:
    axes.hist(values, edges.tolist(), color=color, alpha=0.35, histtype="stepfilled")
    axes.hist(values, edges.tolist(), color=color, linewidth=1.6, histtype="step", label=label or None)


def _furnish(axes: Axes, x_label: str, title: str, grid: str) -> None:
    axes.set_title(title, loc="left", fontsize=11.5, color=INK, pad=10)
    axes.set_xlabel(x_label, fontsize=10, color=QUIET)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.grid(axis=grid, color=RULE, linewidth=1)  # pyright: ignore[reportArgumentType]: "x", "y" or "both"
    axes.set_axisbelow(True)
    axes.tick_params(length=0, which="both", labelsize=9.5, labelcolor=QUIET, pad=5)
    axes.yaxis.set_major_formatter("{x:,.0f}")
