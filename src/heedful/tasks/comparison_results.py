"""What a comparison found: a row for each model, the tables they make, and what may be said of them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from heedful.metrics.counts import METRICS, Counted, Metric
from heedful.metrics.significance import SystemScore, bootstrap_counts, corrected
from heedful.visual.comparison import Table

from .comparable import NOTHING, Nouns, speed_key
from .comparison import Comparison, Contender
from .comparison_run import read_measured
from .equal_sizes import TOLERANCE, width_of
from .faithfulness import MEASURES, faithfulness_table

LIKELY = 0.05
FAITHFULNESS = (
    "Faithfulness: what changes when the parts with the largest scores are hidden (erased: large where they were "
    "needed), and when all others are (kept: small where these were enough), each beside the same for random and for "
    "reversed orders; tau is Kendall's agreement with what each part changes when it is left out alone."
)
# things drawn anew below which that tells little
FEW = 100


@dataclass(frozen=True)
class Part:
    """The first metric on a part of the test set, by size.

    Attributes:
        label: the sizes, such as "1-5" or "10+".
        count: examples of one run.
        value: the score; None where there is no example.
    """

    label: str
    count: int
    value: float | None


@dataclass(frozen=True)
class Row:
    """One model over all its trainings.

    Attributes:
        contender: which.
        runs: what was measured, by seed, see `heedful.tasks.comparison_run`.
        scores: by metric of the recipe.
        parts: the first metric by size of the examples.
        p_value: of the difference to the first model in the first metric, corrected for the number of comparisons.
        units: how many things were drawn anew.
        width: that its size was found by, in words.
    """

    contender: Contender
    runs: list[dict[str, Any]]
    scores: dict[str, SystemScore]
    parts: list[Part]
    p_value: float | None
    units: int
    width: str = ""

    def average(self, name: str) -> float | None:
        """The mean of a measured number over the trainings; None where there is none."""
        values = [run[name] for run in self.runs if name in run]
        return mean(values) if values else None


def read_rows(comparison: Comparison) -> list[Row]:
    """Score what the models answered; every training must be measured.

    Raises:
        ValueError: there are fewer than two examples to draw from.
    """
    runs: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in comparison.contenders}
    for contender, _, folder in comparison.runs():
        runs[contender.name].append(read_measured(folder, comparison.measurement) or {})
    one, recipe = comparison.measurement, comparison.recipe
    counted = {
        metric: {
            name: [one.comparable.count(metric, run, one.test, recipe) for run in found] for name, found in runs.items()
        }
        for metric in recipe.evaluation.metrics
    }
    tested = {metric: _tested(found) for metric, found in counted.items()}
    first = counted[recipe.evaluation.metrics[0]]
    differences = [found.difference for found in tested[recipe.evaluation.metrics[0]].values() if found.difference]
    p_values = iter([None, *corrected([one.p_value for one in differences])])
    rows = []
    for contender in comparison.contenders:
        name, own = contender.name, first[contender.name]
        scores = {metric: found[name] for metric, found in tested.items()}
        width = width_of(contender.model, recipe.task)
        units = len(own[0].by_unit())
        rows.append(Row(contender, runs[name], scores, parts_of(own), next(p_values), units, width))
    return rows


def parts_of(runs: Sequence[Counted]) -> list[Part]:
    """The score of all runs together on the smallest examples, those between and the largest."""
    sizes = runs[0].sizes
    if sizes is None:
        return []
    found = []
    for least, most in thirds(sizes.tolist()):
        here = (sizes >= least) & (sizes <= (sizes.max() if most is None else most))
        sums = np.sum([run.numbers[here].sum(0) for run in runs], axis=0)
        label = f"{least}+" if most is None else str(least) if least == most else f"{least}-{most}"
        found.append(Part(label, int(here.sum()), runs[0].score(sums) if here.any() else None))
    return found


def thirds(lengths: Sequence[int]) -> list[tuple[int, int | None]]:
    """Three ranges of lengths with about as many examples each; fewer where most have one length.

    >>> thirds([3, 4, 5, 6, 7, 8])
    [(1, 4), (5, 6), (7, None)]
    """
    ordered = sorted(lengths)
    ends = sorted({ordered[len(ordered) * part // 3 - 1] for part in (1, 2) if len(ordered) >= 3})
    ends = [end for end in ends if end < ordered[-1]]
    return list(zip([1, *(end + 1 for end in ends)], [*ends, None], strict=True))


def size_table(rows: Sequence[Row]) -> Table:
    """Width, parameters and updates of each model."""
    body = []
    for row in rows:
        steps = sorted(run["steps"] for run in row.runs)
        updates = " to ".join(f"{one:,}" for one in dict.fromkeys((steps[0], steps[-1])))
        size, off = f"{row.contender.parameters:,}", f"{100 * relative(row, rows[0]):+z.1f} %"
        far = abs(relative(row, rows[0])) > TOLERANCE
        body.append([row.contender.name, row.width, size, off + " (!)" * far, updates])
    title = f"Sizes, equal within {100 * TOLERANCE:.0f} % but where (!) stands"
    return Table(title, ["model", "width", "parameters", "to the first", "updates"], body)


def score_tables(rows: Sequence[Row], nouns: Nouns) -> list[Table]:
    """A table for each metric: scores, and the differences to the first model."""
    tables = []
    for name in rows[0].scores:
        body, metric = [], METRICS[name]
        for row in rows:
            found, one = row.scores[name], row.scores[name].difference
            cells = [metric.shown(found.value), f"{metric.shown(found.low)} to {metric.shown(found.high)}"]
            cells += (
                [NOTHING] * 3
                if one is None
                else [
                    metric.shown(one.value, "+"),
                    f"{metric.shown(one.low, '+')} to {metric.shown(one.high, '+')}",
                    f"{one.p_value:.3f}",
                ]
            )
            body.append([row.contender.name, *cells, *map(metric.shown, found.runs)])
        header = ["model", metric.label, "95 %", "to the first", "95 %", "p"]
        header += [f"seed {run['seed']}" for run in rows[0].runs]
        lower = " (lower is better)" if metric.lower else ""
        tables.append(Table(f"{metric.title}{lower} on the {nouns.things}, and with each seed", header, body))
    return tables


def all_tables(rows: Sequence[Row], nouns: Nouns) -> list[Table]:
    """The tables of the terminal and of the page."""
    tables = [size_table(rows), *score_tables(rows, nouns), cost_table(rows, nouns)]
    tables += [length_table(rows, nouns)] if rows[0].parts else []
    return tables + ([faithful_table(rows, nouns)] if any(_scores_of(row) for row in rows) else [])


def faithful_table(rows: Sequence[Row], nouns: Nouns) -> Table:
    """How faithful the attention of each model is, and other scores beside it."""
    measured = {}
    for row in rows:
        for name in _scores_of(row):
            numbers = {key: row.average(f"{name}, {key}") for key in MEASURES}
            measured[f"{row.contender.name}, {name}"] = numbers
    return faithfulness_table(measured, f"{nouns.lost}; parts of the input are hidden")


def cost_table(rows: Sequence[Row], nouns: Nouns) -> Table:
    """Speed and memory, and what the weights look like; what no model has is left out."""
    speed = nouns.speed
    columns = {
        f"{speed}/s, training": (speed_key("training", speed), ",.0f"),
        f"{speed}/s, {'decoding' if speed == 'tokens' else 'answering'}": (speed_key("decoding", speed), ",.0f"),
        "memory, MiB": ("memory_mib", ",.0f"),
        "sharpness": ("sharpness", ".2f"),
        "diagonality": ("diagonality", ".2f"),
        "alignment error rate": ("alignment_error_rate", ".3f"),
    }
    measured = {name for row in rows for run in row.runs for name in run}
    columns = {title: column for title, column in columns.items() if column[0] in measured}
    body = []
    for row in rows:
        values = [(row.average(name), form) for name, form in columns.values()]
        body.append([row.contender.name, *(NOTHING if value is None else f"{value:{form}}" for value, form in values)])
    return Table("Cost, and what the attention looks like", ["model", *columns], body)


def length_table(rows: Sequence[Row], nouns: Nouns) -> Table:
    """The first metric by the size of the examples."""
    metric = METRICS[next(iter(rows[0].scores))]
    header = ["model", *(f"{part.label} ({part.count:,})" for part in rows[0].parts)]
    body = [
        [row.contender.name, *(NOTHING if part.value is None else metric.shown(part.value) for part in row.parts)]
        for row in rows
    ]
    return Table(f"{metric.title} by {nouns.sizes} (how many)", header, body)


def to_csv(rows: Sequence[Row]) -> str:
    """Every number, a line for each model."""
    lines = []
    for row in rows:
        line: dict[str, Any] = {
            "model": row.contender.name,
            "width": row.width,
            "parameters": row.contender.parameters,
            "parameters_to_the_first": round(relative(row, rows[0]), 4),
            "seeds": " ".join(str(run["seed"]) for run in row.runs),
            "updates": " ".join(str(run["steps"]) for run in row.runs),
            "seconds": " ".join(str(run["seconds"]) for run in row.runs),
        }
        for metric, found in row.scores.items():
            one, digits = found.difference, METRICS[metric].digits + 1
            line |= {metric: found.value, f"{metric}_low": found.low, f"{metric}_high": found.high}
            line[f"{metric}_of_each_seed"] = " ".join(f"{value:.{digits}f}" for value in found.runs)
            for name in ("value", "low", "high", "p_value"):
                line[f"{metric}_difference_{name}"] = getattr(one, name) if one else ""
        line["p_value_corrected"] = "" if row.p_value is None else row.p_value
        for name in _numbers(rows):
            line[name] = row.average(name)
        for part in row.parts:
            line[f"{next(iter(row.scores))}_of_sizes_{part.label}"] = "" if part.value is None else part.value
        lines.append({key: round(value, 6) if isinstance(value, float) else value for key, value in line.items()})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def conclusion(rows: Sequence[Row], nouns: Nouns) -> str:
    """What the numbers allow to say: a difference is one where what is drawn anew, and every seed, agree on it."""
    metric = next(iter(rows[0].scores))
    first, seeds = rows[0], len(rows[0].runs)
    shown, open_ = [], []
    for row in rows[1:]:
        if not _is_shown(row, first, metric):
            open_.append(row.contender.name)
        else:
            shown.append(f"{row.contender.name} is {_gap(row, metric)}")
    if open_:
        shown.append(f"no difference was shown for {_and(open_)}")
    told = f"Compared with {first.contender.name}, {'; '.join(shown)}."
    if len(rows) > 2:
        told += f" p is corrected for {len(rows) - 1} comparisons (Holm)."
    if seeds == 1:
        told += " One training each says nothing of other seeds."
    if first.units < FEW:
        told += f" {first.units} {nouns.units or nouns.things} are too few to trust intervals."
    if unequal := [row for row in rows[1:] if abs(relative(row, first)) > TOLERANCE]:
        sizes = _and([f"{row.contender.name} ({100 * relative(row, first):+.1f} %)" for row in unequal])
        told += f" Not equal in size within {100 * TOLERANCE:.0f} %: {sizes}."
    return told


def relative(row: Row, first: Row) -> float:
    """By how much the parameters of a model differ from those of the first, 0 for not at all."""
    return row.contender.parameters / first.contender.parameters - 1


def _tested(counted: dict[str, list[Counted]]) -> dict[str, SystemScore]:
    """Of one metric, the models' scores and their differences to the first."""
    score = next(iter(counted.values()))[0].score
    return bootstrap_counts({name: [run.by_unit() for run in runs] for name, runs in counted.items()}, score)


def _gap(row: Row, name: str) -> str:
    """A difference that was shown, in words: which is better, by how much, and how sure that is."""
    one, metric, seeds = row.scores[name].difference, METRICS[name], len(row.runs)
    assert one
    sign = 1 if one.value > 0 else -1
    low, high = sorted((sign * one.low, sign * one.high))
    digits = _gap_digits(one.value, metric)
    return (
        f"{'better' if (sign > 0) != metric.lower else 'worse'} by {sign * one.value:.{digits}f} "
        f"{metric.unit} (95 % interval {low:.{digits}f} to {high:.{digits}f}, p = {row.p_value:.3f}, "
        f"{f'in each of {seeds} seeds' if seeds > 1 else '1 seed'})"
    )


def _is_shown(row: Row, first: Row, metric: str) -> bool:
    """Whether what is drawn anew, and every seed, agree on a difference to the first that is not rounded to zero."""
    one = row.scores[metric].difference
    if one is None or row.p_value is None or row.p_value >= LIKELY:
        return False
    gaps = np.subtract(row.scores[metric].runs, first.scores[metric].runs)
    return bool((gaps * one.value > 0).all()) and round(one.value, _gap_digits(one.value, METRICS[metric])) != 0


def _gap_digits(value: float, metric: Metric) -> int:
    """Digits behind the point that a difference is told with; one that they round to zero is none."""
    return max(metric.digits, 1 if abs(value) >= 1 else 2)


def _scores_of(row: Row) -> list[str]:
    """Names of the scores whose faithfulness was measured."""
    end = ", sufficiency"
    return [name.removesuffix(end) for name in row.runs[0] if name.endswith(end)]


def _numbers(rows: Sequence[Row]) -> list[str]:
    """Names of the numbers that were measured on any model, but for those that stand elsewhere."""
    told = {"seed", "steps", "seconds", "parameters"}
    found = [name for row in rows for run in row.runs for name, value in run.items() if isinstance(value, int | float)]
    return [name for name in dict.fromkeys(found) if name not in told]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
