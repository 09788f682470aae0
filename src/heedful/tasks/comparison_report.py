"""The files that a comparison leaves: one table for machines, one page for people."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heedful._files import write_whole
from heedful.visual.comparison import Quality, Table, draw_quality, write_report

from .comparison import Comparison
from .comparison_results import (
    METRICS,
    Row,
    all_tables,
    conclusion,
    to_csv,
)

# sentences that the page shows in every model's words
SHOWN = 6


def write_results(comparison: Comparison, rows: Sequence[Row]) -> dict[Path, str]:
    """Write `comparison.csv` and `report.html` into the comparison's folder.

    Returns:
        Each file and what it is.
    """
    folder, training = comparison.folder, comparison.recipe.training
    work = f"{training.max_steps:,} updates" if training.max_steps else f"{training.max_seconds:g} seconds"
    told = [
        conclusion(rows),
        f"Recipe {comparison.recipe.name}; {work} of each training, on one thread; seeds "
        f"{', '.join(map(str, comparison.seeds))}; {len(comparison.measurement.test):,} test pairs from "
        f"{comparison.measurement.test.origin}. Scores are over the translations of all seeds together; intervals and "
        "p are of sentences drawn anew 1,000 times, in pairs, as sacreBLEU does it. Speed is that of trainings side by "
        "side on one machine; memory is the most that a training's process ever had.",
    ]
    tables = [*all_tables(rows), *sample_tables(comparison, rows)]
    pictures = [draw_quality(*_qualities(comparison, rows))]
    return {
        write_whole(folder / "comparison.csv", to_csv(rows)): "every number, a line for each model",
        write_report(folder / "report.html", "Which attention?", told, tables, pictures): "the same to read, with "
        "curves and translations",
    }


def sample_tables(comparison: Comparison, rows: Sequence[Row]) -> list[Table]:
    """A few test sentences, from short to long, as each model translated them with the first seed."""
    test = comparison.measurement.test
    order = sorted(range(len(test)), key=lambda place: len(test.source[place]))
    places = [order[int(rank)] for rank in np.linspace(0, len(order) - 1, min(SHOWN, len(order)))]
    tables = []
    for place in dict.fromkeys(places):
        said = [[row.contender.name, row.runs[0]["translations"][place]] for row in rows]
        tables.append(Table(test.source[place], ["", "translation"], [["by a person", test.target[place]], *said]))
    return tables


def _qualities(comparison: Comparison, rows: Sequence[Row]) -> tuple[list[Quality], list[str], str]:
    metric = next(iter(rows[0].scores))
    # validation knows the detokenised metrics
    column = "chrf" if metric == "chrf" else "bleu"
    curves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {row.contender.name: [] for row in rows}
    for contender, _, folder in comparison.runs():
        with (folder / "training" / "validations.csv").open(encoding="utf-8", newline="") as file:
            checks = [row for row in csv.DictReader(file) if row["weights"] == "step"]
        steps, values = (np.array([float(row[name]) for row in checks]) for name in ("step", column))
        curves[contender.name].append((steps, values))
    found = [
        Quality(
            row.contender.name,
            curves[row.contender.name],
            np.array([part.score.value if part.score else np.nan for part in row.by_length]),
        )
        for row in rows
    ]
    return found, [part.label for part in rows[0].by_length], METRICS[metric]
