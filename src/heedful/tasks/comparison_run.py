"""One training of a comparison, and what is measured on its model."""

import csv
import hashlib
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from heedful._files import write_whole
from heedful.data.readers import Pairs
from heedful.metrics.alignment import alignment_error_rate, from_pharaoh, hard_links
from heedful.metrics.evidence import attention_summary
from heedful.visual.alignment import Alignment

from .corpora import Say
from .faithfulness import looks, translator_faithfulness
from .recipe import Recipe, check_recipe
from .translation import train_translator
from .translator import Translator

TRAINED, MEASURED = "trained.json", "measured.json"
# test pairs whose attention is described
LOOKED_AT = 200
# sentences that are translated before the clock runs
WARM_UP = 8


@dataclass(frozen=True)
class Measurement:
    """What is measured on a trained model.

    Attributes:
        test: pairs to translate, and to look at.
        gold: a line of links for each of them.
        faithful: how many of them tell how faithful the attention is; 0 for none.
    """

    test: Pairs
    gold: list[str] | None = None
    faithful: int = 0

    def fingerprint(self) -> str:
        """A text that differs where the results would."""
        content = [self.test.source, self.test.target, self.gold, self.faithful]
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
        train_translator(recipe, say=say)
        write_whole(folder / TRAINED, json.dumps({"memory_mib": peak_memory()}) + "\n")
    say("Measuring.")
    translator = Translator.load(folder / "model")
    results = {
        "fingerprint": measurement.fingerprint(),
        **_learning(folder, translator, recipe),
        **_translating(translator, measurement.test),
        **_looking(translator, measurement),
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


def _learning(folder: Path, translator: Translator, recipe: Recipe) -> dict[str, Any]:
    with (folder / "training" / "batches.csv").open(encoding="utf-8", newline="") as file:
        speeds = [float(row["tokens_per_second"]) for row in csv.DictReader(file)]
    metrics = translator.metrics
    return {
        "seed": recipe.seed,
        "parameters": metrics["parameters"],
        "steps": metrics["step"],
        "seconds": metrics["seconds"],
        "training_tokens_per_second": round(median(speeds), 1),
        **json.loads((folder / TRAINED).read_text(encoding="utf-8")),
    }


def _translating(translator: Translator, test: Pairs) -> dict[str, Any]:
    translator.translate(test.source[:WARM_UP])
    started = time.perf_counter()
    found = [best[0] for best in translator.translate(test.source)]
    seconds = time.perf_counter() - started
    tokens = sum(len(one.hypothesis.tokens) for one in found)
    return {"decoding_tokens_per_second": round(tokens / seconds, 1), "translations": [one.text for one in found]}


def _looking(translator: Translator, measurement: Measurement) -> dict[str, Any]:
    """What the attention looks like when the model is fed the references; nothing without attention."""
    if not looks(translator.model):
        return {}
    test, gold = measurement.test, measurement.gold
    count = LOOKED_AT if gold is None else len(test)
    pairs = list(zip(test.source[:count], test.target[:count], strict=True))
    seen = [translator.align(source, target) for source, target in pairs]
    found = [attention_summary(look.weights) for look in seen[:LOOKED_AT]]
    described = {
        "sharpness": round(mean(one.sharpness for one in found), 4),
        "diagonality": round(mean(one.diagonality for one in found), 4),
    }
    if gold is not None:
        described["alignment_error_rate"] = _error_rate(seen, gold)
    return described | _faithfulness(translator, pairs[: measurement.faithful])


def _faithfulness(translator: Translator, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Every measure under a name of its own, such as "rollout, agreement"; nothing for no pairs."""
    if not pairs:
        return {}
    sides = translator.tokenizers
    ids = [(sides.source.encode(source), sides.target.encode(target)) for source, target in pairs]
    measured = translator_faithfulness(translator, ids)
    flat = {f"{name}, {key}": value for name, one in measured.items() for key, value in one.numbers().items()}
    return {key: round(value, 5) for key, value in flat.items() if value is not None}


def _error_rate(seen: Sequence[Alignment], gold: Sequence[str]) -> float:
    sure, possible = ([from_pharaoh(line, possible=both) for line in gold] for both in (False, True))
    found = [hard_links(look.weights) for look in seen]
    return round(alignment_error_rate(found, sure, possible).error_rate, 4)
