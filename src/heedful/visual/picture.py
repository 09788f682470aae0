"""The attention of each word of a caption, drawn over the picture."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .alignment import visible
from .fonts import drawable, font_families
from .heatmap import save_figure, spread
from .style import INK, PAPER

_COLUMNS = 5


def draw_looks(picture: np.ndarray, words: Sequence[str], weights: np.ndarray, title: str = "") -> Figure:
    """The picture once for each word, light where that word looked and dark where it did not.

    picture: [height, width, 3] or [height, width], from 0 to 255 (integers) or from 0 to 1
    weights: [words, rows, columns], a grid of any fineness over the whole picture, finite and from 0 up

    Raises ValueError for another shape, other numbers, or words of another number.

    >>> figure = draw_looks(np.zeros((8, 12, 3)), ["a", "dog"], np.full((2, 2, 3), 1 / 6))
    >>> [axes.get_title() for axes in figure.axes]
    ['a', 'dog']
    """
    picture, weights = checked_looks(picture, words, weights)
    shown = [visible(word, 24) for word in words]
    families = font_families([*shown, title])
    columns = min(_COLUMNS, len(words))
    rows = math.ceil(len(words) / columns)
    height = 2.4 * picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(2.5 * columns + 0.2, (height + 0.5) * rows + (0.5 if title else 0.1)), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
    FigureCanvasAgg(figure)
    look = {"family": families, "parse_math": False, "color": INK}
    for place, (word, grid) in enumerate(zip(shown, weights, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(_lit(picture, grid), interpolation="nearest")
        axes.set_title(drawable(word, families), fontsize=10.5, **look)
        axes.set_axis_off()
    if title:
        figure.suptitle(drawable(visible(title), families), x=0.01, ha="left", fontsize=12, **look)
    return figure


def write_looks(
    picture: np.ndarray,
    words: Sequence[str],
    weights: np.ndarray,
    path: str | os.PathLike[str],
    title: str = "",
    dpi: int = 120,
) -> Path:
    """Write `draw_looks` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_looks(picture, words, weights, title), path, dpi)


def _lit(picture: np.ndarray, grid: np.ndarray) -> np.ndarray:
    light = spread(grid, *picture.shape[:2])
    top = light.max()
    # brightness left where no attention falls, so that the picture stays visible
    return picture * (0.25 + 0.75 * (light / top if top > 0 else light))[..., None]


def checked_looks(picture: np.ndarray, words: Sequence[str], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture as [height, width, 3] from 0 to 1, and the weights; raises ValueError as `draw_looks` says."""
    picture, weights = np.asarray(picture), np.asarray(weights, dtype=np.float64)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"the picture has shape {picture.shape}; expected [height, width, 3] or [height, width]")
    picture = picture / 255 if np.issubdtype(picture.dtype, np.integer) else picture.astype(np.float64)
    if not np.isfinite(picture).all() or picture.min() < 0 or picture.max() > 1:
        raise ValueError("the picture holds numbers outside 0 to 1; expected 0 to 1, or integers from 0 to 255")
    if weights.ndim != 3 or weights.shape[0] != len(words) or not weights.size:
        raise ValueError(
            f"weights have shape {weights.shape} for {len(words)} words; expected [words, rows, columns], a grid for "
            "each word: weights.reshape(len(words), rows, columns)"
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights hold negative numbers, NaN or infinity; expected finite numbers from 0 up")
    return picture, weights
