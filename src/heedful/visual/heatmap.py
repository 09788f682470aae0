"""An alignment as a heat map: source tokens along the top, target tokens down the side; weights over a grid as one."""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from heedful._files import write_whole

from .alignment import Alignment, visible
from .fonts import drawable, font_families
from .style import HEAT, INK, PAPER, QUIET

_LONGEST_LABEL = 24
_LONGEST_LINE = 110
_TITLE_SIZE, _CAPTION_SIZE = 13.0, 10.5  # points
_PAD = 0.16  # inches, around everything


@dataclass(frozen=True)
class Layout:
    """Sizes in inches of one heat map, so that several can share one canvas."""

    cell: float
    font: float  # points
    slanted: bool
    left: float
    top: float
    bottom: float
    width: float  # of the whole figure
    height: float


def draw_heatmap(alignment: Alignment, title: str = "", scale: float | None = None) -> Figure:
    """Draw the weights as a grid of cells with a colour bar; the figure grows with the sentence.

    `scale` is the weight of the darkest colour; None takes 1, or less when no weight reaches a half.

    >>> figure = draw_heatmap(Alignment(["the", "cat"], ["le", "chat"], np.eye(2)))
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['le', 'chat']
    """
    families = font_families([*map(visible, [*alignment.source, *alignment.target]), title, alignment.caption])
    layout = measure([alignment], title, families)
    return draw_on(layout, alignment, title, scale or _scale(alignment.weights), families)


def write_heatmap(
    alignment: Alignment, path: str | os.PathLike[str], title: str = "", scale: float | None = None, dpi: int = 160
) -> Path:
    """Write `draw_heatmap` to a .png or .svg file, whole or not at all, and return its path.

    Raises ValueError for another ending and OutputError when the file cannot be written.
    """
    return save_figure(draw_heatmap(alignment, title, scale), path, dpi)


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = 160) -> Path:
    """Write a figure as .png or .svg, by the ending of `path`; the same figure always gives the same bytes."""
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise ValueError(f"{path} ends in {Path(path).suffix!r}; figures are written as .png or .svg")
    metadata = {"Date": None} if kind == "svg" else {"Software": "heedful"}
    return write_whole(path, figure_bytes(figure, kind, metadata, dpi))


def figure_bytes(figure: Figure, kind: str, metadata: Mapping[str, str | None], dpi: int = 160) -> bytes:
    """The content of such a file, with what `metadata` says of it."""
    buffer = io.BytesIO()
    # text stays text in SVG: it can be searched and read aloud, and the reader's fonts know its script
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "heedful"}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=dict(metadata))
    return buffer.getvalue()


def grid_heat(
    weights: np.ndarray,
    grid: tuple[int, int],
    size: tuple[int, int],
    smooth: bool = False,
    keep_sum: bool = False,
) -> np.ndarray:
    """Weights over the regions of a picture, `[..., regions]`, as a picture `[..., height, width]`.

    grid: rows and columns of the regions, which follow each other row after row
    size: height and width of the picture
    smooth: straight lines between the middles of the regions, instead of squares of one colour each
    keep_sum: scale so that the picture sums to what the weights sum to

    Raises ValueError when the regions are not as many as the grid has, or a size is not positive.

    Source: Xu et al.: Show, Attend and Tell: Neural Image Caption Generation with Visual Attention, 2015, section 5.4.

    Cost: time height * width; memory height * width.

    >>> grid_heat(np.array([0.0, 1.0]), grid=(1, 2), size=(1, 4)).tolist()
    [[0.0, 0.0, 1.0, 1.0]]
    """
    weights = np.asarray(weights, dtype=np.float64)
    if min(*grid, *size) < 1:
        raise ValueError(f"grid is {grid} and size {size}; expected (rows, columns) and (height, width), all from 1 up")
    if weights.ndim < 1 or weights.shape[-1] != grid[0] * grid[1]:
        raise ValueError(
            f"weights have shape {weights.shape} for a grid of {grid[0]} x {grid[1]}; expected [..., "
            f"{grid[0] * grid[1]}], one weight for each region, row after row"
        )
    cells = weights.reshape(-1, *grid)
    if smooth:
        heat = np.array([spread(cell, *size) for cell in cells]).reshape(len(cells), *size)
    else:
        rows, columns = ((2 * np.arange(many) + 1) * few // (2 * many) for few, many in zip(grid, size, strict=True))
        heat = cells[:, rows[:, None], columns]
    if keep_sum:
        total = heat.sum(axis=(1, 2), keepdims=True)
        # shares first: the total may be too small to divide by
        shares = np.divide(heat, total, out=np.zeros_like(heat), where=total > 0)
        heat = shares * cells.sum(axis=(1, 2), keepdims=True)
    return heat.reshape(*weights.shape[:-1], *size)


def spread(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """A grid [rows, columns] as [height, width], in straight lines between the middles of its cells.

    >>> spread(np.array([[0.0, 1.0]]), 1, 4)[0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    for axis, size in ((0, height), (1, width)):
        cells = grid.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
        low = np.floor(at).astype(int)
        part = np.expand_dims(at - low, 1 - axis)
        near, far = np.take(grid, low, axis), np.take(grid, np.minimum(low + 1, cells - 1), axis)
        grid = near * (1 - part) + far * part
    return grid


def measure(alignments: list[Alignment], title: str, families: list[str]) -> Layout:
    """One layout in which each of `alignments` fits."""
    rows = max(len(alignment.target) for alignment in alignments)
    columns = max(len(alignment.source) for alignment in alignments)
    cell = float(np.clip(6.4 / max(rows, columns), 0.26, 0.62))
    font = float(np.clip(cell * 28, 8.5, 12))
    sources = [_widths(_shown(alignment.source, families), font, families) for alignment in alignments]
    source = max(map(max, sources))
    target = max(max(_widths(_shown(alignment.target, families), font, families)) for alignment in alignments)
    slanted = bool(source > cell * 0.92)
    # a slanted label begins over the middle of its cell and may reach beyond the last column
    reach = max((i + 0.5) * cell + 0.71 * width for widths in sources for i, width in enumerate(widths))
    line = font / 72
    left = target + _PAD + 0.12
    top = (source * 0.71 + line * 0.8 if slanted else line * 1.2) + 0.1 + (0.46 if title else _PAD)
    right = max(0.82, reach - columns * cell + 2 * _PAD if slanted else 0.0)
    bottom = _PAD + (0.38 if any(alignment.caption for alignment in alignments) else 0.06)
    captions = _shown([alignment.caption for alignment in alignments], families, _LONGEST_LINE)
    lines = _widths(_shown([title], families, _LONGEST_LINE), _TITLE_SIZE, families)
    lines += _widths(captions, _CAPTION_SIZE, families)
    width = max(left + columns * cell + right, max(lines) + 2 * _PAD)
    return Layout(cell, font, slanted, left, top, bottom, width, top + rows * cell + bottom)


def draw_on(layout: Layout, alignment: Alignment, title: str, scale: float, families: list[str]) -> Figure:
    """Draw one alignment on a canvas of the size of `layout`."""
    rows, columns = alignment.weights.shape
    width, height = layout.width, layout.height
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    FigureCanvasAgg(figure)
    bottom = height - layout.top - rows * layout.cell
    box = (layout.left / width, bottom / height, columns * layout.cell / width, rows * layout.cell / height)
    axes = figure.add_axes(box)
    gap = float(np.clip(layout.cell * 3, 0.6, 1.6))
    mesh = axes.pcolormesh(alignment.weights, cmap=HEAT, vmin=0, vmax=scale, edgecolors=PAPER, linewidth=gap)
    axes.invert_yaxis()
    _label(axes, layout, alignment, families)
    if layout.cell >= 0.44:
        _write_values(axes, alignment.weights, scale)
    _color_bar(figure, mesh, layout, columns)
    for text, y, size, color, align in (
        (title, 1 - 0.17 / height, _TITLE_SIZE, INK, "top"),
        (alignment.caption, 0.15 / height, _CAPTION_SIZE, QUIET, "bottom"),
    ):
        (label,) = _shown([text], families, _LONGEST_LINE) if text else [""]
        figure.text(_PAD / width, y, label, fontsize=size, color=color, va=align, family=families, parse_math=False)
    return figure


def _label(axes: Axes, layout: Layout, alignment: Alignment, families: list[str]) -> None:
    rows, columns = alignment.weights.shape
    look = {"fontsize": layout.font, "color": INK, "family": families, "parse_math": False}
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(columns) + 0.5, labels=_shown(alignment.source, families), **look)
    axes.set_yticks(np.arange(rows) + 0.5, labels=_shown(alignment.target, families), **look)
    for label, copied in zip(axes.get_yticklabels(), alignment.copies, strict=True):
        if copied:
            label.set_fontweight("bold")
    if layout.slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="left", va="bottom", rotation_mode="anchor")
    axes.tick_params(length=0, pad=4)
    axes.spines[:].set_visible(False)


def _write_values(axes: Axes, weights: np.ndarray, scale: float) -> None:
    """Percentages into the cells that matter, in a colour that stands out from the cell's."""
    for (row, column), weight in np.ndenumerate(weights):
        if weight >= 0.05 * scale:
            luminance = np.dot(to_rgb(HEAT(weight / scale)), (0.3, 0.59, 0.11))
            color = INK if luminance > 0.52 else PAPER
            look = {"color": color, "fontsize": 8.5, "ha": "center", "va": "center"}
            axes.text(column + 0.5, row + 0.52, f"{100 * weight:.0f}", **look)


def _color_bar(figure: Figure, mesh: QuadMesh, layout: Layout, columns: int) -> None:
    width, height = layout.width, layout.height
    left = layout.left + columns * layout.cell + 0.16
    tall = min(height - layout.top - layout.bottom, 2.6)
    bottom = height - layout.top - tall
    axes = figure.add_axes((left / width, bottom / height, 0.11 / width, tall / height))
    bar = figure.colorbar(mesh, cax=axes)
    bar.outline.set_visible(False)
    top = mesh.get_clim()[1]
    # a single short row has no room for three numbers
    ticks = [0, top / 2, top] if tall > 0.5 else [0, top]
    bar.set_ticks(ticks, labels=[f"{value:.3g}" for value in ticks])
    bar.ax.tick_params(length=0, labelsize=8.5, labelcolor=QUIET, pad=3)


def _widths(texts: Sequence[str], font: float, families: list[str]) -> list[float]:
    """Width in inches of each text as drawn."""
    figure = Figure(dpi=72)
    renderer = FigureCanvasAgg(figure).get_renderer()
    look = {"fontsize": font, "family": families, "parse_math": False}
    drawn = [figure.text(0, 0, text, **look) for text in texts]
    return [float(text.get_window_extent(renderer).width) / 72 for text in drawn]


def _shown(texts: Sequence[str], families: list[str], longest: int = _LONGEST_LABEL) -> list[str]:
    return [drawable(visible(text, longest), families) for text in texts]


def _scale(weights: np.ndarray) -> float:
    """1 for ordinary attention; for weights that all stay small, or grow above 1, their own maximum."""
    top = float(weights.max())
    return 1.0 if 0.5 <= top <= 1.0 or top == 0 else top
