"""Rows of numbers as heat maps side by side: what a model looked at, and where it should have, example by example."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from heedful._files import write_whole

from .fonts import drawable, font_families
from .heatmap import save_figure
from .style import HEAT, INK, PAPER, QUIET


def draw_grids(
    panels: Mapping[str, np.ndarray], title: str = "", caption: str = "", scale: float | None = None
) -> Figure:
    """One heat map for each panel, side by side, all on one scale from 0 to `scale`, or to the largest number of all.

    panels: [rows, steps] each, by the name that stands above it ("attention", "argmax", "truth")

    Raises ValueError when there is no panel, or one is not a matrix of finite numbers from 0 up.

    >>> figure = draw_grids({"attention": np.full((3, 4), 0.25), "truth": np.eye(3, 4)})
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['attention', 'truth']
    """
    if not panels:
        raise ValueError("there are no panels; expected at least one")
    matrices = {name: _matrix(name, numbers) for name, numbers in panels.items()}
    families = font_families([*panels, title, caption])
    rows, steps = np.max([matrix.shape for matrix in matrices.values()], axis=0)
    cell = float(np.clip(4.0 / max(rows, steps), 0.02, 0.3))
    width, height = max(cell * steps, 1.4), max(cell * rows, 0.6)
    figure = Figure(figsize=(len(panels) * (width + 0.4) + 0.3, height + 1.1), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(figure)
    top = scale or max(float(matrix.max(initial=0)) for matrix in matrices.values()) or 1.0
    for place, (name, matrix) in enumerate(matrices.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place)
        axes.imshow(matrix, cmap=HEAT, vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        look = {"fontsize": 10.5, "color": INK, "family": families, "parse_math": False}
        axes.set_title(drawable(name, families), loc="left", **look)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(length=0, labelsize=8.5, labelcolor=QUIET)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("step", fontsize=9, color=QUIET)
    look = {"x": 0.01, "ha": "left", "family": families, "parse_math": False}
    if title:
        figure.suptitle(drawable(title, families), fontsize=12, color=INK, **look)
    if caption:
        figure.supxlabel(drawable(caption, families), fontsize=9.5, color=QUIET, **look)
    return figure


def write_grids(
    panels: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    title: str = "",
    caption: str = "",
    scale: float | None = None,
    dpi: int = 120,
) -> Path:
    """Write `draw_grids` to a .png or .svg file, whole or not at all, and return its path."""
    return save_figure(draw_grids(panels, title, caption, scale), path, dpi)


def join_frames(
    frames: Sequence[str | os.PathLike[str]], path: str | os.PathLike[str], seconds: float = 0.3, hold: float = 3.0
) -> Path:
    """Pictures of one size as a GIF that repeats for ever, each shown for `seconds`, the last for `hold` seconds.

    Written whole or not at all; returns the path. Raises ValueError when there are no frames.
    """
    if not frames:
        raise ValueError("there are no frames; expected at least one picture")
    pictures = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE, colors=128) for frame in frames]
    durations = [round(1000 * seconds)] * (len(pictures) - 1) + [round(1000 * hold)]
    buffer = io.BytesIO()
    look = {"save_all": True, "append_images": pictures[1:], "duration": durations, "loop": 0, "disposal": 1}
    pictures[0].save(buffer, format="GIF", optimize=False, **look)
    return write_whole(path, buffer.getvalue())


def _matrix(name: str, numbers: np.ndarray) -> np.ndarray:
    matrix = np.asarray(numbers, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all() or (matrix < 0).any():
        raise ValueError(
            f"panel {name!r} has shape {matrix.shape}; expected [rows, steps] of finite numbers from 0 up, one row for "
            "each example"
        )
    return matrix
