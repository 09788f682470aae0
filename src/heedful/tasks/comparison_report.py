"""The files that a comparison leaves: one table for machines, one page for people."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heedful._files import write_whole
from heedful.metrics.counts import METRICS
from heedful.visual.comparison import Axes, Quality, draw_quality, write_report

from .comparison import Comparison
from .comparison_results import Row, all_tables, conclusion, title_case, to_csv
from .recipe import LABEL_METRICS

# what the validations have in the place of a metric that they lack
INSTEAD = {"tokenized_bleu": "bleu", "calibration_error": "accuracy"}


def write_results(comparison: Comparison, rows: Sequence[Row]) -> dict[Path, str]:
    """Write `comparison.csv` and `report.html` into the comparison's folder.

    Returns:
        Each file and what it is.
    """
    folder, training, measured = comparison.folder, comparison.recipe.training, comparison.measurement
    work = f"{training.max_steps:,} updates" if training.max_steps else f"{training.max_seconds:g} seconds"
    nouns = measured.nouns
    told = [
        conclusion(rows, nouns),
        f"Recipe {comparison.recipe.name}; {work} of each training, on one thread; seeds "
        f"{', '.join(map(str, comparison.seeds))}; {measured.examples:,} {nouns.things} from {measured.origin}. Scores "
        f"are over the {nouns.answers} of all seeds together; intervals and p are of {nouns.units or nouns.things} "
        "drawn anew 1,000 times, in pairs, as sacreBLEU does it. Speed is that of trainings side by side on one "
        "machine; memory is the most that a training's process ever had.",
    ]
    runs = {row.contender.name: row.runs[0] for row in rows}
    tables = [*all_tables(rows, nouns), *measured.comparable.samples(measured.test, runs)]
    pictures = [draw_quality(*_qualities(comparison, rows))]
    return {
        write_whole(folder / "comparison.csv", to_csv(rows)): "every number, a line for each model",
        write_report(folder / "report.html", "Which attention?", told, tables, pictures): "the same to read, with "
        f"curves and {nouns.answers}",
    }


def _qualities(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[Quality], list[str], Axes]:
    metric, nouns = next(iter(rows[0].scores)), comparison.measurement.nouns
    column = INSTEAD.get(metric, metric)
    curves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {row.contender.name: [] for row in rows}
    # validations tell shares, scores per cent
    times = 100 if column in LABEL_METRICS else 1
    for contender, _, folder in comparison.runs():
        with (folder / "training" / "validations.csv").open(encoding="utf-8", newline="") as file:
            checks = [row for row in csv.DictReader(file) if row["weights"] == "step"]
        steps, values = (np.array([float(row[name]) for row in checks]) for name in ("step", column))
        curves[contender.name].append((steps, times * values))
    found = [
        Quality(
            row.contender.name,
            curves[row.contender.name],
            np.array([np.nan if part.value is None else part.value for part in row.parts]),
        )
        for row in rows
    ]
    validated, tested = (title_case(METRICS[name].label) for name in (column, metric))
    axes = Axes(f"{validated} in validation", f"{tested} on the {nouns.things}", nouns.sizes)
    return found, [part.label for part in rows[0].parts], axes
