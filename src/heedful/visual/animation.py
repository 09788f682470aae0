"""The alignment of one sentence at successive moments of training, as an animated GIF."""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

from heedful._files import write_whole

from .alignment import Alignment, visible
from .fonts import font_families
from .heatmap import Layout, draw_on, measure
from .style import HEAT, INK, PAPER, QUIET, RULE, SERIES


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What the model looked at after `step` updates, and how good it was then ({"BLEU": 12.3, "loss": 2.9}).

    `unit` names what is counted, where it is not updates.
    """

    step: int
    alignment: Alignment
    scores: Mapping[str, float] = field(default_factory=dict)
    unit: str = "step"

    @property
    def caption(self) -> str:
        """The line under the frame.

        >>> Snapshot(1200, Alignment(["a"], ["b"], np.ones((1, 1))), {"BLEU": 12.34}).caption
        'step 1,200   ·   BLEU 12.3'
        """
        scores = [
            f"{name} {value:.1f}" if abs(value) >= 10 else f"{name} {value:.2f}" for name, value in self.scores.items()
        ]
        return "   ·   ".join([f"{self.unit} {self.step:,}", *scores])


def draw_frames(snapshots: Sequence[Snapshot], title: str = "", dpi: int = 100) -> list[Image.Image]:
    """One RGB picture per snapshot, all of one size, weights on one scale, with a bar that shows how far training is.

    The translations may differ in length; the canvas fits the longest. Raises ValueError when there are no snapshots.
    """
    if not snapshots:
        raise ValueError("there are no snapshots; expected at least one")
    # the caption also makes room for itself in the layout
    shown = [Alignment(s.alignment.source, s.alignment.target, s.alignment.weights, s.caption) for s in snapshots]
    texts = [visible(token) for alignment in shown for token in (*alignment.source, *alignment.target)]
    families = font_families([*texts, title, *(alignment.caption for alignment in shown)])
    layout = measure(shown, title, families)
    scale = max(1.0, *(float(alignment.weights.max()) for alignment in shown))
    last = max(snapshot.step for snapshot in snapshots)
    progress = [snapshot.step / last if last > 0 else 1.0 for snapshot in snapshots]
    return [
        _frame(layout, alignment, title, scale, families, done, dpi)
        for alignment, done in zip(shown, progress, strict=True)
    ]


def write_animation(
    snapshots: Sequence[Snapshot],
    path: str | os.PathLike[str],
    title: str = "",
    seconds: float = 0.6,
    hold: float = 3.0,
    dpi: int = 100,
) -> Path:
    """Write the frames as a GIF that repeats for ever, each shown for `seconds`, the last for `hold` seconds.

    Written whole or not at all; returns the path. Raises ValueError when there are no snapshots.
    """
    frames = _indexed(draw_frames(snapshots, title, dpi))
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(1000 * hold)]
    buffer = io.BytesIO()
    look = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0, "disposal": 1}
    frames[0].save(buffer, format="GIF", optimize=False, **look)
    return write_whole(path, buffer.getvalue())


def _frame(
    layout: Layout, alignment: Alignment, title: str, scale: float, families: list[str], progress: float, dpi: int
) -> Image.Image:
    figure = draw_on(layout, alignment, title, scale, families)
    for width, color in ((1.0, RULE), (progress, SERIES[0])):
        figure.add_artist(Rectangle((0, 0), width, 0.05 / layout.height, color=color, linewidth=0))
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _indexed(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """The frames in one palette made of the colours they are drawn with, so that still parts do not flicker."""
    heat = HEAT(np.linspace(0, 1, 160))[:, :3]
    mixes = [np.linspace(to_rgb(color), to_rgb(PAPER), 47) for color in (INK, QUIET)]
    palette = (np.concatenate([heat, *mixes, [to_rgb(RULE), to_rgb(SERIES[0])]]) * 255).round().astype(np.int64)
    return [_nearest(np.asarray(frame, dtype=np.int64), palette) for frame in frames]


def _nearest(pixels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Each pixel [height, width, 3] as the nearest entry of the palette [colors, 3]; Pillow's own search is rougher."""
    known, places = np.unique(pixels @ np.array((65536, 256, 1), dtype=np.int64), return_inverse=True)
    colors = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1)
    nearest = np.square(colors[:, None] - palette).sum(axis=-1).argmin(axis=1)
    image = Image.fromarray(nearest.astype(np.uint8)[places].reshape(pixels.shape[:2]))
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image
