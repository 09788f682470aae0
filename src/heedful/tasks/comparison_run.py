"""One training of a comparison, and what is measured on its model."""

import csv
import hashlib
import json
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from heedful._files import write_whole

from .comparable import TOKENS_READ, Comparable, Nouns, speed_key
from .corpora import Say
from .dispatch import COMPARABLE, TASKS, train_recipe
from .recipe import Recipe, check_recipe

TRAINED, MEASURED = "trained.json", "measured.json"


@dataclass(frozen=True)
class Measurement:
    """What is measured on a trained model.

    Attributes:
        task: of the recipe.
        test: the examples to answer, and to look at.
        nouns: what they are called.
        origin: where they are from.
        examples: how many they are.
        gold: a line of links for each of them.
        faithful: how many of them tell how faithful the attention is; 0 for none.
    """

    task: str
    test: Any
    nouns: Nouns
    origin: str
    examples: int
    gold: list[str] | None = None
    faithful: int = 0

    @property
    def comparable(self) -> Comparable:
        """How models of the task are compared."""
        return COMPARABLE[self.task]

    def fingerprint(self) -> str:
        """A text that differs where the results would."""
        content = [self.task, *self.comparable.content(self.test), self.gold, self.faithful]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def train_and_measure(content: dict[str, object], measurement: Measurement, say: Say) -> None:
    """Train one model, unless that is done, and measure it; the results lie in its folder as `measured.json`.

    Args:
        content: the recipe.
        measurement: what to measure.
        say: takes each line of news.
    """
    recipe = check_recipe(content, "the comparison's recipe")
    folder = Path(recipe.output)
    if not (folder / TRAINED).exists():
        train_recipe(recipe, say=say)
        write_whole(folder / TRAINED, json.dumps({"memory_mib": peak_memory()}) + "\n")
    say("Measuring.")
    trained, comparable = TASKS[recipe.task].kind.load(folder / "model"), measurement.comparable
    results = {
        "fingerprint": measurement.fingerprint(),
        **_learning(folder, trained, recipe, measurement.nouns.speed),
        **comparable.measure(trained, measurement.test),
        **comparable.look(trained, measurement.test, measurement.gold),
        **_faithfulness(trained, measurement),
    }
    write_whole(folder / MEASURED, json.dumps(results, ensure_ascii=False, indent=0) + "\n")


def read_measured(folder: Path, measurement: Measurement) -> dict[str, Any] | None:
    """What was measured on a model; None where it was not, or where something else was."""
    path = folder / MEASURED
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if found["fingerprint"] == measurement.fingerprint() else None


def peak_memory() -> float:
    """The most memory that this process ever had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _learning(folder: Path, trained: Any, recipe: Recipe, speed: str) -> dict[str, Any]:
    with (folder / "training" / "batches.csv").open(encoding="utf-8", newline="") as file:
        rows, counted = [*csv.DictReader(file)], "source_tokens" if speed == TOKENS_READ else "tokens"
    # a training that an older version began does not count what it reads
    speeds = [
        float(row["tokens_per_second"]) / float(row["tokens"]) * float(row[counted]) for row in rows if row.get(counted)
    ]
    return {
        "seed": recipe.seed,
        "parameters": trained.metrics["parameters"],
        "steps": trained.metrics["step"],
        "seconds": trained.metrics["seconds"],
        **({speed_key("training", speed): round(median(speeds), 1)} if speeds else {}),
        **json.loads((folder / TRAINED).read_text(encoding="utf-8")),
    }


def _faithfulness(trained: Any, measurement: Measurement) -> dict[str, float]:
    """Every measure under a name of its own, such as "rollout, agreement"; nothing for no examples."""
    if not measurement.faithful:
        return {}
    measured = measurement.comparable.faithfulness(trained, measurement.test, measurement.faithful)
    flat = {f"{name}, {key}": value for name, one in measured.items() for key, value in one.numbers().items()}
    return {key: round(value, 9) for key, value in flat.items() if value is not None}
