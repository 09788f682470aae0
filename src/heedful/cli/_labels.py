"""What `heedful evaluate`, `explain` and `inspect` show of labels."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ._shell import one_line, say, skipped_lines

if TYPE_CHECKING:
    from heedful.data.readers import Pairs
    from heedful.data.survey import Survey
    from heedful.metrics.translation import Score
    from heedful.tasks.classification import Answer, Classifier
    from heedful.tasks.classification_report import Report
    from heedful.tasks.recipe import Recipe

# labels that a list shows, the others in one line
SHOWN = 40
BAR = 24
# words up to which bars are drawn
WORDS_DRAWN = 60


def evaluate_labels(classifier: "Classifier", pairs: "Pairs", picture: Path | None) -> "Report":
    """Judge a classifier; what was left out goes to standard error, the picture into its file."""
    from heedful.tasks.classification_report import judge

    report = judge(classifier, pairs)
    for line in report.left_out:
        say(line)
    if picture:
        report.draw(picture, f"{classifier.recipe.name} on {Path(pairs.origin).name}")
        say(f"Wrote {picture}: right labels beside given ones, and how often the model is as sure as it is right.")
    return report


def scores(report: "Report", recipe: "Recipe") -> "list[Score]":
    """What any labels are judged by, and what the recipe measures besides."""
    from heedful.tasks.classification_report import SCORES

    return report.scores([*dict.fromkeys((*SCORES, *recipe.evaluation.metrics))])


def print_labels(report: "Report") -> None:
    """Precision, recall and F1 of each label on standard output."""
    table = _table("label", "precision", "recall", "F1", "texts", "most often taken for")
    wrong = report.matrix * (1 - np.eye(len(report.labels), dtype=np.int64))
    for place, (label, one) in enumerate(report.by_label.items()):
        taken = (
            f"{one_line(report.labels[int(wrong[place].argmax())])} ({wrong[place].max():,})"
            if wrong[place].any()
            else ""
        )
        numbers = (f"{100 * part:.1f}" for part in (one.precision, one.recall, one.f1))
        table.add_row(Text(one_line(label)), *numbers, f"{one.support:,}", Text(taken))
    Console(highlight=False).print(table)


def show_answer(answer: "Answer", output: Path | None, numbers: Mapping[str, object] | None = None) -> None:
    """The label, the next ones and the text with its words marked, in the terminal or a file; .json has the numbers."""
    if output:
        _draw(answer, output, numbers or {})
    for label, probability in list(answer.probabilities.items())[:5]:
        typer.echo(f"{one_line(label)}\t{probability:.4f}")
    if output:
        say(f"Wrote what each word was looked at to {output}.")
        return
    from heedful.visual.terminal_reading import TerminalReading

    typer.echo()
    console = Console(highlight=False)
    for reading in (answer.readings[0], answer.needed):
        if reading:
            console.print(TerminalReading(reading), soft_wrap=True)
            console.print()


def _draw(answer: "Answer", output: Path, numbers: Mapping[str, object]) -> None:
    from dataclasses import replace

    from heedful._files import write_whole
    from heedful.visual.bars import write_bars
    from heedful.visual.highlight import write_highlights

    title = f"{answer.label} with {answer.probabilities[answer.label]:.1%}"
    first, *looks = answer.readings
    kind = output.suffix.lower()
    if kind == ".html":
        ranked = ", ".join(f"{label} {part:.1%}" for label, part in list(answer.probabilities.items())[:5])
        needed = [replace(answer.needed, caption="what the label loses without the word")] if answer.needed else []
        write_highlights([replace(first, caption=f"looked at; {ranked}"), *needed, *looks], output, title)
    elif kind == ".json":
        content = _as_values(answer) | ({"faithfulness": numbers} if numbers else {})
        write_whole(output, json.dumps(content, ensure_ascii=False) + "\n")
    elif len(first.words) > WORDS_DRAWN:
        raise typer.BadParameter(
            f"--output {output}: the text has {len(first.words)} words, and a picture shows {WORDS_DRAWN} at most; "
            "write .html or .json"
        )
    else:
        write_bars(first.weights, output, first.words, title)


def _as_values(answer: "Answer") -> dict[str, Any]:
    """An answer as plain values; of a document its sentences, too."""
    first, words = answer.readings[0], [*answer.readings[0].words]
    content: dict[str, Any] = {
        "label": answer.label,
        "probabilities": answer.probabilities,
        "words": words,
        "looks": [{"name": one.caption or "all", "weights": one.weights.tolist()} for one in answer.readings],
        "needed": answer.needed.weights.tolist() if answer.needed else [],
    }
    if not first.lines:
        return content
    lines = zip(first.line_slices, first.line_weights.tolist(), strict=True)
    return content | {"sentences": [{"words": words[line], "weight": weight} for line, weight in lines]}


def label_report(
    survey: "Survey", labels: Counter[str], contradicting: int, origin: str, skipped: dict[str, int]
) -> Iterator[RenderableType]:
    """What `heedful inspect` shows of texts and labels, one part under the other.

    Args:
        survey: of the texts as sources, finished.
        labels: how many texts each has.
        contradicting: texts that stand there with more than one label.
        origin: what to call them.
        skipped: what was left out, by reason.
    """
    left_out = f"; left out {skipped_lines(skipped)}" if skipped else ""
    yield Text(f"{survey.count:,} texts with {len(labels):,} labels from {origin}{left_out}.\n")
    yield _shares(labels)
    yield Text(f"{imbalance(labels)}\n")
    lengths = np.asarray(survey.source.lengths)
    table = _table("", "texts")
    for name, value in {
        "words of a text": f"{lengths.mean():.1f}",
        "  half have up to": f"{np.median(lengths):.0f}",
        "  99 % have up to": f"{np.percentile(lengths, 99):.0f}",
        "  the longest has": f"{lengths.max():,}",
        "different words": f"{len(survey.source.words):,}",
        "  seen only once": f"{sum(count == 1 for count in survey.source.words.values()):,}",
    }.items():
        table.add_row(name, value)
    yield table
    yield Text(
        f"texts that stand there more than once: {survey.repeated_sources():,}\n"
        f"  of them with more than one label: {contradicting:,}\n"
    )


def imbalance(labels: Counter[str]) -> str:
    """How far the labels are from equally frequent, in one sentence.

    >>> imbalance(Counter(spam=30, ham=10))
    "'spam' has 3.0 times as many texts as 'ham'; who always says 'spam' is right for 75.0 %, with a macro-F1 of 42.9."
    """
    (most, many), (least, few) = labels.most_common()[0], labels.most_common()[-1]
    share = many / labels.total()
    if len(labels) == 1:
        return f"All have the label {most!r}: there is nothing to learn."
    always = 100 * 2 * share / (1 + share) / len(labels)
    return (
        f"{most!r} has {many / few:.1f} times as many texts as {least!r}; who always says {most!r} is right for "
        f"{share:.1%}, with a macro-F1 of {always:.1f}."
    ).replace("%,", " %,", 1)


def _shares(labels: Counter[str]) -> Table:
    table = _table("label", "texts", "share", "")
    top = labels.most_common(1)[0][1]
    for label, count in labels.most_common(SHOWN):
        table.add_row(
            Text(one_line(label)), f"{count:,}", f"{count / labels.total():.1%}", "█" * -(-BAR * count // top)
        )
    if len(labels) > SHOWN:
        rest = labels.total() - sum(count for _, count in labels.most_common(SHOWN))
        table.add_row(f"{len(labels) - SHOWN:,} more", f"{rest:,}", f"{rest / labels.total():.1%}", "")
    return table


def _table(*headers: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        left = header in ("label", "", "most often taken for")
        table.add_column(header, justify="left" if left else "right", overflow="fold")
    return table


def as_json(report: "Report") -> dict[str, object]:
    """Labels, their scores and the confusion matrix as plain values."""
    return {
        "labels": {label: vars(one) for label, one in report.by_label.items()},
        "confusion": report.matrix.tolist(),
        "left_out": list(report.left_out),
    }


def best(answer: "Answer", count: int) -> str:
    """A line with so many labels and their probabilities, between tabs; an empty one where there is no answer."""
    found: Sequence[tuple[str, float]] = list(answer.probabilities.items())[:count]
    return "\t".join(f"{one_line(label)}\t{probability:.4f}" for label, probability in found)
