"""A confusion matrix as a picture: right labels down the side, answers along the top, and how sure the answers were."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .alignment import visible
from .fonts import drawable, font_families
from .heatmap import save_figure
from .style import HEAT, INK, PAPER, QUIET, RULE, SERIES

# labels up to which every cell says its number
_NUMBERED = 30
_LONGEST_LABEL = 28


def draw_confusion(
    matrix: np.ndarray,
    labels: Sequence[str],
    title: str = "",
    calibration: Sequence[tuple[float, float, int]] = (),
) -> Figure:
    """Each row in shares of its texts, the numbers of texts written into the cells; beside it the calibration.

    matrix: [labels, labels], texts with the label of the row that were given that of the column
    calibration: confidence, accuracy and count of each bin; without any, the matrix stands alone

    Raises ValueError for a matrix that is not square, holds other than numbers from 0 up, or does not fit the labels.

    >>> figure = draw_confusion(np.array([[3, 1], [0, 2]]), ["bad", "good"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3', '1', '2']
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)) or not counts.size:
        raise ValueError(
            f"the matrix has shape {counts.shape} for {len(labels)} labels; expected a row and a column each"
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("the matrix holds negative numbers, NaN or infinity; expected counts from 0 up")
    shown = [visible(label, _LONGEST_LABEL) for label in labels]
    families = font_families([*shown, title])
    cell = float(np.clip(9.0 / len(labels), 0.09, 0.75))
    side = max(cell * len(labels), 1.6)
    margin = 0.5 + 0.085 * max(map(len, shown))
    widths = [side + margin, 3.6] if calibration else [side + margin]
    height = max(side + margin + 0.6, 3.4)
    figure = Figure(figsize=(sum(widths) + 0.4 * len(widths), height), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.14)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    _draw_matrix(panels[0], counts, [drawable(label, families) for label in shown], families)
    if calibration:
        _draw_calibration(panels[1], calibration)
    if title:
        look = {"x": 0.01, "ha": "left", "family": families, "parse_math": False}
        figure.suptitle(drawable(visible(title, 200), families), fontsize=12, color=INK, **look)
    return figure


def write_confusion(
    matrix: np.ndarray,
    labels: Sequence[str],
    path: str | os.PathLike[str],
    title: str = "",
    calibration: Sequence[tuple[float, float, int]] = (),
    dpi: int = 120,
) -> Path:
    """Write `draw_confusion` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_confusion(matrix, labels, title, calibration), path, dpi)


def _draw_matrix(axes: Axes, counts: np.ndarray, names: Sequence[str], families: Sequence[str]) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
    size = 10.0 if len(names) <= 12 else 8.0 if len(names) <= _NUMBERED else 6.0
    look = {"family": families, "parse_math": False, "fontsize": size}
    every = max(1, len(names) // 60)
    places = range(0, len(names), every)
    axes.set_xticks(places, labels=[names[place] for place in places], rotation=60, ha="left", **look)
    axes.set_yticks(places, labels=[names[place] for place in places], **look)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("given label", fontsize=9.5, color=QUIET)
    axes.set_ylabel("right label", fontsize=9.5, color=QUIET)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    if len(names) > _NUMBERED:
        return
    font = float(np.clip(9.0 - 0.13 * len(names), 5.0, 9.0))
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = PAPER if shares[row, column] > 0.45 else INK
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=font, color=colour)


def _draw_calibration(axes: Axes, bins: Sequence[tuple[float, float, int]]) -> None:
    """Points on the line where the model is as often right as it says."""
    confidence, accuracy, count = np.asarray(bins, dtype=np.float64).T
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(confidence, accuracy, color=SERIES[0], linewidth=1.2)
    axes.scatter(
        confidence, accuracy, s=15 + 150 * count / count.max(), color=SERIES[0], alpha=0.75, linewidth=0, clip_on=False
    )
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal", anchor="N")
    axes.set_title("calibration", loc="left", fontsize=10.5, color=INK)
    axes.set_xlabel("said probability (size: texts)", fontsize=9.5, color=QUIET)
    axes.set_ylabel("part that is right", fontsize=9.5, color=QUIET)
    axes.grid(color=RULE, linewidth=1)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=QUIET)
