"""The pictures of docs/sine_attention.md, drawn from the mechanism itself and from the rows of `sine.py`."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Literal

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sine_tasks import SIDES
from torch import Tensor

from heedful.attention.scores import AdditiveScore, SineScore
from heedful.functional.harmonic import FARTHEST, sine_terms, tanh_sines
from heedful.visual.heatmap import save_figure
from heedful.visual.style import INK, PAPER, QUIET, RULE, SERIES

IMAGES = Path(__file__).parent.parent / "docs" / "images"


def panels(*titles: str) -> tuple[Figure, list[Axes]]:
    """A row of empty panels, each with its title."""
    figure = Figure(figsize=(4.6 * len(titles), 3.6), facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(figure)
    found = []
    for place, title in enumerate(titles, 1):
        axes = figure.add_subplot(1, len(titles), place)
        axes.set_title(title, loc="left", fontsize=10.5, color=INK)
        axes.grid(color=RULE, linewidth=0.8)
        axes.tick_params(colors=QUIET, labelsize=9)
        axes.spines[:].set_visible(False)
        found.append(axes)
    return figure, found


def finish(axes: Axes, x: str, y: str, place: Literal["best", "upper right", "lower center"] = "best") -> None:
    """Names of the axes, and the legend."""
    axes.set_xlabel(x, color=QUIET, fontsize=9.5)
    axes.set_ylabel(y, color=QUIET, fontsize=9.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, labelcolor=INK, handlelength=1.6, loc=place)


def query_gradient(score: SineScore | AdditiveScore, scale: float) -> float:
    """Root mean square slope of a unit, over queries and keys whose projections are `scale` wide."""
    query, key = (torch.randn(1, 256, 64) for _ in range(2))
    with torch.no_grad():
        a, b = query @ score.query_proj.T, key @ score.key_proj.T
        inner = scale * (a / a.std())[0, :, None], scale * (b / b.std())[0, None]
        total = (inner[0] + inner[1]) / math.sqrt(2)
        slope = torch.cos(total + score.bias) if isinstance(score, SineScore) else 1 - torch.tanh(total).square()
    return slope.square().mean().sqrt().item()


def draw_units(path: Path) -> None:
    """A unit, its slope, and what is left of the slope when the projections grow."""
    figure, (unit, slope, left) = panels("a unit", "its slope", "root mean square slope over random pairs")
    x = np.linspace(-8, 8, 801)
    for axes, lines in (
        (unit, (np.tanh(x), np.sin(x))),
        (slope, (1 - np.tanh(x) ** 2, np.cos(x))),
    ):
        for name, line, color in zip(("tanh", "sine"), lines, SERIES, strict=False):
            axes.plot(x, line, color=color, label=name if axes is unit else None, linewidth=1.8)
        finish(axes, "query part + key part", "")
    scales = np.logspace(-1, 2, 13)
    for name, score, color in (
        ("tanh", AdditiveScore(64, 64, 64), SERIES[0]),
        ("sine", SineScore(64, 64, 64), SERIES[1]),
    ):
        left.loglog(
            scales, [query_gradient(score, scale) for scale in scales], color=color, label=name, marker="o", ms=3
        )
    finish(left, "standard deviation of query part + key part", "")
    save_figure(figure, path, dpi=110)


def shift_kernel(units: int, distance: Tensor) -> Tensor:
    """Mean score of units of random frequency, `U = -W` and a bias of pi / 2, by the distance of query and key."""
    score = SineScore(1, 1, units)
    with torch.no_grad():
        score.query_proj.normal_()
        score.key_proj.copy_(-score.query_proj)
        score.bias.fill_(math.pi / 2)
        score.energy.fill_(1 / units)
        return score(distance[None, :, None], score.remember(torch.zeros(1, 1, 1)))[0][0, :, 0]


def draw_kernels(path: Path) -> None:
    """Random sine units approach a Gaussian kernel; units of small angle make a product."""
    figure, (kernel, product) = panels("random units of the distance", "two units make a product of query and key")
    distance = torch.linspace(-6, 6, 301)
    for units, color in zip((16, 128, 4096), SERIES[1:], strict=False):
        kernel.plot(distance, shift_kernel(units, distance), color=color, linewidth=1.4, label=f"{units} units")
    kernel.plot(distance, torch.exp(-distance.square() / 2), color=INK, linestyle=":", label="Gaussian")
    finish(kernel, "query - key", "score")
    x = torch.linspace(-3, 3, 301)
    for small, color in zip((1.0, 0.5, 0.2), SERIES[1:], strict=False):
        both = (torch.cos(small * (x - 2)) - torch.cos(small * (x + 2))) / (2 * small**2)
        product.plot(x, both, color=color, linewidth=1.4, label=f"angle {small}")
    product.plot(x, 2 * x, color=INK, linestyle=":", label="query x key")
    finish(product, "query, for a key of 2", "score")
    save_figure(figure, path, dpi=110)


def sum_of_sines(reach: float, tolerance: float, x: Tensor) -> tuple[int, Tensor]:
    """How many sines, and their sum."""
    counts, step = tanh_sines(torch.tensor([reach]), tolerance)
    frequency, weight = sine_terms(step, int(counts))
    return int(counts), torch.sin(x[:, None] * frequency) @ weight[0]


def draw_tanh(path: Path) -> None:
    """Tanh by sines: the sum outside its range, its error, and how many sines are needed."""
    figure, (wave, error, counts) = panels("three sines for |x| <= 2", "error", "sines for a range and a tolerance")
    x = torch.linspace(-12, 12, 2401, dtype=torch.float64)
    count, total = sum_of_sines(2.0, 0.01, x)
    wave.plot(x, torch.tanh(x), color=SERIES[0], label="tanh", linewidth=1.8)
    wave.plot(x, total, color=SERIES[1], label=f"{count} sines", linewidth=1.4)
    wave.axvspan(-2, 2, color=RULE, alpha=0.6)
    wave.set_ylim(-1.1, 1.7)
    finish(wave, "query part + key part", "", "upper right")
    x = torch.linspace(-4, 4, 1601, dtype=torch.float64)
    for tolerance, color in zip((1e-1, 1e-2, 1e-3, 1e-4), SERIES[1:], strict=False):
        count, total = sum_of_sines(4.0, tolerance, x)
        off = (total - torch.tanh(x)).abs()
        error.semilogy(x, off.clamp(min=1e-7), color=color, linewidth=1.2, label=f"{tolerance:g}: {count} sines")
        error.axhline(tolerance, color=color, linestyle=":", linewidth=0.9)
    error.set_ylim(1e-11, 1)
    finish(error, "query part + key part, |x| <= 4", "", "lower center")
    ranges = torch.linspace(0.1, FARTHEST, 160)
    for tolerance, color in zip((1e-1, 1e-2, 1e-3, 1e-4), SERIES[1:], strict=False):
        counts.plot(ranges, tanh_sines(ranges, tolerance)[0], color=color, label=f"{tolerance:g}")
    finish(counts, "range of |x|", "sines (two features each)")
    save_figure(figure, path, dpi=110)


def draw_results(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Error by length: the mean, and every seed as a dot."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure, found = panels(
        *(f"{task}: {measure}" for task, measure in zip(tasks, ("wrong tokens", "mean error"), strict=False))
    )
    for axes, task in zip(found, tasks, strict=True):
        for side, color in zip(SIDES, SERIES, strict=True):
            own = [row for row in rows if row["task"] == task and row["side"] == side]
            lengths = sorted({int(row["length"]) for row in own})
            errors = [[float(row["error"]) for row in own if int(row["length"]) == length] for length in lengths]
            middle = [mean(numbers) for numbers in errors]
            axes.plot(lengths, middle, color=color, marker="o", ms=4, label=side)
            every = [(length, error) for length, own in zip(lengths, errors, strict=True) for error in own]
            axes.scatter(*zip(*every, strict=True), color=color, s=9, alpha=0.6, linewidths=0)
        axes.set_xscale("log")
        finish(axes, "length", "")
    save_figure(figure, path, dpi=110)


def draw_all(rows: Sequence[dict[str, str]]) -> None:
    """All pictures, into docs/images."""
    torch.manual_seed(1)
    draw_units(IMAGES / "sine_units.png")
    draw_kernels(IMAGES / "sine_kernels.png")
    draw_tanh(IMAGES / "sine_tanh.png")
    if rows:
        draw_results(IMAGES / "sine_results.png", rows)
