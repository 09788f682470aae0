"""Weights as bars: one look, or the mean of many."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .alignment import visible
from .fonts import drawable, font_families
from .heatmap import save_figure
from .style import INK, PAPER, QUIET, RULE, SERIES


def draw_bars(weights: np.ndarray, labels: Sequence[str] | None = None, title: str = "") -> Figure:
    """One bar for each weight; labels stand below, or the numbers of the places where there are none.

    weights: [places], finite and from 0 up

    Raises ValueError for other weights, or labels of another number.

    >>> len(draw_bars(np.array([0.1, 0.7, 0.2]), ["a", "b", "c"]).axes[0].patches)
    3
    """
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1 or not weights.size or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"weights have shape {weights.shape}; expected [places] of finite numbers from 0 up")
    if labels is not None and len(labels) != len(weights):
        raise ValueError(f"there are {len(labels)} labels for {len(weights)} weights; expected one for each")
    shown = [visible(label, 24) for label in labels or map(str, range(len(weights)))]
    families = font_families([*shown, title])
    figure = Figure(figsize=(max(3.2, 0.32 * len(weights) + 1.2), 3.2), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.bar(np.arange(len(weights)), weights, color=SERIES[0], width=0.8)
    look = {"family": families, "parse_math": False}
    axes.set_title(drawable(title, families), loc="left", fontsize=11.5, color=INK, pad=10, **look)
    names = [drawable(label, families) for label in shown]
    axes.set_xticks(np.arange(len(weights)), labels=names, rotation=0 if labels is None else 60, **look)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(QUIET)
    axes.grid(axis="y", color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=QUIET)
    return figure


def write_bars(
    weights: np.ndarray,
    path: str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    title: str = "",
    dpi: int = 120,
) -> Path:
    """Write `draw_bars` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_bars(weights, labels, title), path, dpi)
