"""What a comparison found: a row for each model, the tables they make, and what may be said of them."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from heedful.metrics.significance import SystemScore, corrected, paired_bootstrap
from heedful.metrics.translation import LengthScore, by_length
from heedful.visual.comparison import Table

from .comparison import METRICS, Comparison, Contender
from .comparison_run import read_measured
from .equal_sizes import TOLERANCE, width_of
from .faithfulness import MEASURES, faithfulness_table
from .scoring import score

LIKELY = 0.05
# test pairs below which drawing them anew tells little
FEW = 100
NOTHING = "-"


@dataclass(frozen=True)
class Row:
    """One model over all its trainings.

    Attributes:
        contender: which.
        runs: what was measured, by seed, see `heedful.tasks.comparison_run`.
        scores: by metric of the recipe.
        by_length: the first metric by words of the source.
        p_value: of the difference to the first model in the first metric, corrected for the number of comparisons.
    """

    contender: Contender
    runs: list[dict[str, Any]]
    scores: dict[str, SystemScore]
    by_length: list[LengthScore]
    p_value: float | None

    def average(self, name: str) -> float | None:
        """The mean of a measured number over the trainings; None where there is none."""
        values = [run[name] for run in self.runs if name in run]
        return mean(values) if values else None


def read_rows(comparison: Comparison) -> list[Row]:
    """Score what the models translated; every training must be measured."""
    runs: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in comparison.contenders}
    for contender, _, folder in comparison.runs():
        runs[contender.name].append(read_measured(folder, comparison.measurement) or {})
    test, evaluation = comparison.measurement.test, comparison.recipe.evaluation
    texts = {name: [run["translations"] for run in found] for name, found in runs.items()}
    tested = {
        metric: paired_bootstrap(texts, test.target, metric, evaluation.language or "") for metric in evaluation.metrics
    }
    first = evaluation.model_copy(update={"metrics": evaluation.metrics[:1]})
    lengths = [len(sentence.split()) for sentence in test.source]
    differences = [found.difference for found in tested[first.metrics[0]].values() if found.difference]
    p_values = iter([None, *corrected([one.p_value for one in differences])])
    rows = []
    for contender in comparison.contenders:
        own = texts[contender.name]
        parts = by_length(
            [text for run in own for text in run],
            test.target * len(own),
            lengths * len(own),
            thirds(lengths),
            lambda ours, theirs: score(ours, theirs, first)[0],
        )
        scores = {metric: found[contender.name] for metric, found in tested.items()}
        rows.append(Row(contender, runs[contender.name], scores, parts, next(p_values)))
    return rows


def thirds(lengths: Sequence[int]) -> list[tuple[int, int | None]]:
    """Three ranges of lengths with about as many sentences each; fewer where most have one length.

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
        size, off = f"{row.contender.parameters:,}", f"{100 * relative(row, rows[0]):+.1f} %"
        far = abs(relative(row, rows[0])) > TOLERANCE
        body.append([row.contender.name, width_of(row.contender.model), size, off + " (!)" * far, updates])
    title = f"Sizes, equal within {100 * TOLERANCE:.0f} % but where (!) stands"
    return Table(title, ["model", "width", "parameters", "to the first", "updates"], body)


def score_tables(rows: Sequence[Row]) -> list[Table]:
    """A table for each metric: scores, and the differences to the first model."""
    tables = []
    for metric in rows[0].scores:
        body = []
        for row in rows:
            found, one = row.scores[metric], row.scores[metric].difference
            cells = [f"{found.value:.1f}", f"{found.low:.1f} to {found.high:.1f}"]
            cells += (
                [f"{one.value:+.1f}", f"{one.low:+.1f} to {one.high:+.1f}", f"{one.p_value:.3f}"] if one else [""] * 3
            )
            body.append([row.contender.name, *cells, *(f"{value:.1f}" for value in found.runs)])
        header = ["model", METRICS[metric], "95 %", "to the first", "95 %", "p"]
        header += [f"seed {run['seed']}" for run in rows[0].runs]
        tables.append(Table(f"{METRICS[metric]} on the test pairs, and with each seed", header, body))
    return tables


def all_tables(rows: Sequence[Row]) -> list[Table]:
    """The tables of the terminal and of the page."""
    tables = [size_table(rows), *score_tables(rows), cost_table(rows), length_table(rows)]
    return tables + ([faithful_table(rows)] if any(_scores_of(row) for row in rows) else [])


def faithful_table(rows: Sequence[Row]) -> Table:
    """How faithful the attention of each model is, and other scores beside it."""
    measured = {}
    for row in rows:
        for name in _scores_of(row):
            numbers = {key: row.average(f"{name}, {key}") for key in MEASURES}
            measured[f"{row.contender.name}, {name}"] = numbers
    return faithfulness_table(measured, "Faithfulness, by hiding source pieces (see heedful explain --help)")


def cost_table(rows: Sequence[Row]) -> Table:
    """Speed and memory, and what the weights look like."""
    columns = {
        "tokens/s, training": ("training_tokens_per_second", ",.0f"),
        "tokens/s, decoding": ("decoding_tokens_per_second", ",.0f"),
        "memory, MiB": ("memory_mib", ",.0f"),
        "sharpness": ("sharpness", ".2f"),
        "diagonality": ("diagonality", ".2f"),
    }
    if any("alignment_error_rate" in run for row in rows for run in row.runs):
        columns["alignment error rate"] = ("alignment_error_rate", ".3f")
    body = []
    for row in rows:
        values = [(row.average(name), form) for name, form in columns.values()]
        body.append([row.contender.name, *(NOTHING if value is None else f"{value:{form}}" for value, form in values)])
    return Table("Cost, and what the attention looks like", ["model", *columns], body)


def length_table(rows: Sequence[Row]) -> Table:
    """The first metric by the number of words of the source."""
    metric = METRICS[next(iter(rows[0].scores))]
    runs = len(rows[0].runs)
    header = ["model", *(f"{part.label} words ({part.count // runs})" for part in rows[0].by_length)]
    body = [
        [row.contender.name, *(f"{part.score.value:.1f}" if part.score else NOTHING for part in row.by_length)]
        for row in rows
    ]
    return Table(f"{metric} by words of the source (sentences)", header, body)


def to_csv(rows: Sequence[Row]) -> str:
    """Every number, a line for each model."""
    lines = []
    for row in rows:
        line: dict[str, Any] = {
            "model": row.contender.name,
            "width": width_of(row.contender.model),
            "parameters": row.contender.parameters,
            "parameters_to_the_first": round(relative(row, rows[0]), 4),
            "seeds": " ".join(str(run["seed"]) for run in row.runs),
            "updates": " ".join(str(run["steps"]) for run in row.runs),
            "seconds": " ".join(str(run["seconds"]) for run in row.runs),
        }
        for metric, found in row.scores.items():
            one = found.difference
            line |= {metric: found.value, f"{metric}_low": found.low, f"{metric}_high": found.high}
            line[f"{metric}_of_each_seed"] = " ".join(f"{value:.2f}" for value in found.runs)
            for name in ("value", "low", "high", "p_value"):
                line[f"{metric}_difference_{name}"] = getattr(one, name) if one else ""
        line["p_value_corrected"] = "" if row.p_value is None else row.p_value
        for name in _numbers(rows):
            line[name] = row.average(name)
        for part in row.by_length:
            line[f"{next(iter(row.scores))}_{part.label}_words"] = part.score.value if part.score else ""
        lines.append({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()})
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def conclusion(rows: Sequence[Row]) -> str:
    """What the numbers allow to say: a difference is one where sentences drawn anew, and every seed, agree on it."""
    metric = next(iter(rows[0].scores))
    first, seeds = rows[0], len(rows[0].runs)
    name, shown, open_ = first.contender.name, [], []
    for row in rows[1:]:
        one = row.scores[metric].difference
        gaps = np.subtract(row.scores[metric].runs, first.scores[metric].runs)
        if one is None or row.p_value is None or row.p_value >= LIKELY or not (gaps * one.value > 0).all():
            open_.append(row.contender.name)
            continue
        sign = 1 if one.value > 0 else -1
        low, high = sorted((sign * one.low, sign * one.high))
        digits = 1 if abs(one.value) >= 1 else 2
        shown.append(
            f"{row.contender.name} is {'better' if sign > 0 else 'worse'} than {name} by {sign * one.value:.{digits}f} "
            f"{METRICS[metric]} (95 % interval {low:.{digits}f} to {high:.{digits}f}, p = {row.p_value:.3f}, "
            f"{f'in each of {seeds} seeds' if seeds > 1 else '1 seed'})"
        )
    if open_:
        shown.append(f"no difference to {name} was shown for {_and(open_)}")
    told = "; ".join(shown) + "."
    if len(rows) > 2:
        told += f" p is corrected for {len(rows) - 1} comparisons (Holm)."
    if seeds == 1:
        told += " One training each says nothing of other seeds."
    if (count := sum(part.count for part in first.by_length) // seeds) < FEW:
        told += f" {count} test pairs are too few to trust intervals."
    if unequal := [row for row in rows[1:] if abs(relative(row, first)) > TOLERANCE]:
        sizes = _and([f"{row.contender.name} ({100 * relative(row, first):+.1f} %)" for row in unequal])
        told += f" Not equal in size within {100 * TOLERANCE:.0f} %: {sizes}."
    return told


def relative(row: Row, first: Row) -> float:
    """By how much the parameters of a model differ from those of the first, 0 for not at all."""
    return row.contender.parameters / first.contender.parameters - 1


def _scores_of(row: Row) -> list[str]:
    """Names of the scores whose faithfulness was measured."""
    end = ", sufficiency"
    return [name.removesuffix(end) for name in row.runs[0] if name.endswith(end)]


def _numbers(rows: Sequence[Row]) -> list[str]:
    """Names of what was measured on any model."""
    told = {"seed", "steps", "seconds", "parameters", "translations", "fingerprint"}
    return list(dict.fromkeys(name for row in rows for run in row.runs for name in run if name not in told))


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
