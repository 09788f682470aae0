"""The demo: a Bahdanau translator and a twin without attention, side by side, from nothing, in under four minutes."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from heedful._files import write_whole
from heedful.attention import BahdanauAttention
from heedful.data.bundled import load_pairs
from heedful.functional import padding_mask
from heedful.metrics.evidence import attention_entropy
from heedful.metrics.translation import LengthScore, Score, bleu, by_length, chrf
from heedful.training import Callback
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot, write_animation
from heedful.visual.curves import write_curves
from heedful.visual.heatmap import write_heatmap
from heedful.visual.html import write_page

from .corpora import Say
from .recipe import Recipe, check_recipe
from .recipe_files import load_recipe
from .side_by_side import Job, run_jobs
from .translation import claim_folder, read_curve, train_translator
from .translator import Translator

ATTENTION = "with attention"
BUCKETS = ((3, 5), (6, 9), (10, None))
# a pair whose word order differs between the languages, so that a diagonal is not enough
WATCHED = ("I don't want to eat red meat tomorrow.", "Je ne veux pas manger de viande rouge demain.")
SHOWN = (
    "I love you.",
    "Where is the nearest train station?",
    "He has never been to the United States.",
    "I have a lot of things to do this afternoon before I go home.",
)
SNAPSHOTS, TRANSLATIONS = "snapshots.jsonl", "test_translations.json"
# more threads than these do nothing for batches of this size
MOST_THREADS = 4
# test BLEU of the model with attention after so many steps in all: the rates fall to 0 at the last of them
EXPECTED = {900: 21.6, 1800: 29.7}


@dataclass(frozen=True)
class Rival:
    """What learns beside the model with attention, with as many parameters within 2 %.

    Attributes:
        name: what to call it.
        folder: its place in the demo's folder.
        changes: of the recipe.
        meaning: what its model is.
    """

    name: str
    folder: str
    changes: tuple[str, ...]
    meaning: str


RIVALS = {
    # the twin's state is larger by what attention and context weigh
    "none": Rival(
        "twin without", "twin", ("model.attention=none", "model.decoder_units=360"), "its twin without attention"
    ),
    "transformer": Rival(
        "Transformer",
        "transformer",
        (
            "model.architecture=transformer",
            "model.embedding_dim=176",
            "model.encoder_layers=2",
            "model.decoder_layers=2",
            "model.transformer={heads: 4, hidden_units: 320}",
            "training.learning_rate=0.003",
        ),
        "the Transformer beside it",
    ),
}


@dataclass(frozen=True)
class Contestant:
    """One of the two models and how it did on the held-out pairs.

    Attributes:
        name: which of the two.
        parameters: how many it has.
        steps: how many it made.
        seconds: how long it trained.
        translations: of the test sentences, in their order.
        scores: BLEU and chrF over all of them.
        by_length: BLEU by the number of words of the source.
    """

    name: str
    parameters: int
    steps: int
    seconds: float
    translations: list[str]
    scores: list[Score]
    by_length: list[LengthScore]


@dataclass(frozen=True)
class DemoResult:
    """What the demo found and wrote.

    Attributes:
        folder: where everything is.
        contestants: the two models.
        planned: steps that each was to make, within a limit of time.
        samples: sentences with their translation by both.
        snapshots: the watched pair's alignment while the model learned.
        written: each file or folder and what it is.
    """

    folder: Path
    contestants: list[Contestant]
    planned: int
    samples: list[tuple[str, str, str]]
    snapshots: list[Snapshot]
    written: dict[Path, str]


def run_demo(
    folder: Path,
    seed: int = 1,
    seconds: float | None = None,
    steps: int | None = None,
    watch: Callable[[Path, Path], None] = lambda *_: None,
    rival: str = "none",
) -> DemoResult:
    """Train both models at once, one process each; score them, and draw what the first looks at.

    Each makes equally many steps, unless its time is over before: the same steps give the same model, whatever the
    machine, and a fast machine is done sooner.

    A demo that was stopped goes on where it stands; one that is complete is only scored and drawn again.

    Args:
        folder: gets `model/`, `twin/model/` or `transformer/model/`, the pictures, the page and `scores.json`.
        seed: of both models.
        seconds: most training time of each; the recipe's own when left out.
        steps: of each; the recipe's own when left out.
        watch: called about twice a second while they learn, with the folders of both runs.
        rival: what learns beside the model with attention, a name in `RIVALS`.

    Raises:
        HeedfulError: the folder cannot be written, or a training failed; the message says where its log is.
    """
    folder = Path(folder)
    recipes, other = demo_recipes(folder, seed, seconds, steps, rival), RIVALS[rival]
    for recipe in recipes:
        claim_folder(Path(recipe.output), recipe)
    folders = Path(recipes[0].output), Path(recipes[1].output)
    warm_up()
    jobs = [Job(one.name, Path(one.output), partial(_learn, one.model_dump()), threads_of_each()) for one in recipes]
    run_jobs(jobs, len(jobs), lambda: watch(*folders))
    contestants = [_judge(name, run) for name, run in zip((ATTENTION, other.name), folders, strict=True)]
    translators = [Translator.load(run / "model") for run in folders]
    samples = list(zip(SHOWN, *(_texts(translator) for translator in translators), strict=True))
    snapshots = read_snapshots(folder)
    written = _draw(folder, other, translators[0], snapshots, contestants)
    planned = recipes[0].training.max_steps or 0
    return DemoResult(folder, contestants, planned, samples, snapshots, written)


def demo_recipes(
    folder: Path, seed: int = 1, seconds: float | None = None, steps: int | None = None, rival: str = "none"
) -> list[Recipe]:
    """The recipes of both models: the shipped one, and the same with the changes of its rival."""
    other = RIVALS[rival]
    common = [f"seed={seed}"]
    common += [] if seconds is None else [f"training.max_seconds={float(seconds)}"]
    common += [] if steps is None else [f"training.max_steps={steps}"]
    runs = ((ATTENTION, folder, ()), (other.name, folder / other.folder, other.changes))
    found = []
    for name, output, changes in runs:
        content = load_recipe("tatoeba_en_fr", [*common, *changes]).model_dump()
        content["data"]["test"] = None  # scored by length, after training
        found.append(check_recipe(content | {"name": f"demo, {name}", "output": str(output)}, "the demo's recipe"))
    return found


def threads_of_each() -> int:
    """Threads for each of the two models: half of the cores that this process may use, up to `MOST_THREADS`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores // 2))


def expected_bleu(steps: int) -> float | None:
    """What the model with attention reaches in so many steps; None where nobody has measured.

    Between two measurements, a straight line.
    """
    measured = sorted(EXPECTED)
    if not measured[0] <= steps <= measured[-1]:
        return None
    return float(np.interp(steps, measured, [EXPECTED[count] for count in measured]))


def steps_made(run: Path) -> int:
    """The last step that a run has written down so far."""
    path = run / "training" / "batches.csv"
    if not path.exists():
        return 0
    # the last row may be on its way
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    return max((int(row["step"]) for row in rows), default=0)


def warm_up() -> None:
    """Compile the additive kernels before any clock runs; later processes, and later demos, find them on the disk."""
    attention = BahdanauAttention(query_dim=8, key_dim=8, hidden_dim=8)
    memory = attention.remember(torch.ones(2, 3, 8), mask=padding_mask(torch.tensor([3, 2]), 3))
    for need_weights in (False, True):
        output, _ = attention.step(torch.ones(2, 1, 8), memory, need_weights=need_weights)
        output.context.sum().backward(retain_graph=True)


def read_snapshots(run: Path) -> list[Snapshot]:
    """The watched pair's alignment at every validation so far; none before the first."""
    path = run / SNAPSHOTS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be on its way
    last = {row["step"]: row for row in rows}  # a resumed run writes a step again
    return [
        Snapshot(step, Alignment(row["source"], row["target"], np.array(row["weights"])), {"BLEU": row["bleu"]})
        for step, row in sorted(last.items())
    ]


def entropy_of(snapshot: Snapshot) -> float:
    """How spread the looks are, from 0 (at one word each) to 1 (at all alike)."""
    return float(attention_entropy(snapshot.alignment.weights).mean())


class SnapshotWriter:
    """A training callback that appends the watched pair's alignment to a file at every validation.

    Args:
        path: the file, one JSON object a line; a new one begins with the look before any training.
        translator: whose model is trained.
    """

    def __init__(self, path: Path, translator: Translator) -> None:
        self.path, self.translator = path, translator
        if not path.exists():
            self._append(0, 0.0)

    def on_validation(self, step: int, model: nn.Module, metrics: Mapping[str, float]) -> None:
        """Append one line."""
        self._append(step, metrics["bleu"])

    def _append(self, step: int, score: float) -> None:
        look = self.translator.align(*WATCHED)
        row = {"step": step, "bleu": score, "source": look.source, "target": look.target}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | {"weights": look.weights.round(5).tolist()}) + "\n")


def _learn(content: dict[str, object], say: Say) -> None:
    """Train one of the models and translate the test sentences."""
    recipe = check_recipe(content, "the demo's recipe")
    run = train_translator(recipe, callbacks=_callbacks, say=say)
    test = load_pairs("tatoeba_en_fr", "test")
    texts = [best[0].text for best in run.translator.translate(test.source)]
    write_whole(Path(recipe.output) / TRANSLATIONS, json.dumps(texts, ensure_ascii=False, indent=0))


def _callbacks(translator: Translator) -> list[Callback]:
    recipe = translator.recipe
    watched = recipe.model.attention != "none"
    return [SnapshotWriter(Path(recipe.output) / SNAPSHOTS, translator)] if watched else []


def _judge(name: str, run: Path) -> Contestant:
    test = load_pairs("tatoeba_en_fr", "test")
    texts = json.loads((run / TRANSLATIONS).read_text(encoding="utf-8"))
    metrics = json.loads((run / "model" / "metrics.json").read_text(encoding="utf-8"))
    lengths = [len(sentence.split()) for sentence in test.source]
    scores = [bleu(texts, test.target), chrf(texts, test.target)]
    buckets = by_length(texts, test.target, lengths, BUCKETS)
    return Contestant(name, metrics["parameters"], metrics["step"], metrics["seconds"], texts, scores, buckets)


def _texts(translator: Translator) -> Iterator[str]:
    return (best[0].text for best in translator.translate(SHOWN))


def _draw(
    folder: Path, other: Rival, translator: Translator, snapshots: list[Snapshot], contestants: list[Contestant]
) -> dict[Path, str]:
    watched = translator.align(*WATCHED)
    looks = [best[0].alignment for best in translator.translate(SHOWN, need_weights=True) if best[0].text]
    panels = {
        label: [read_curve(folder, ATTENTION, column), read_curve(folder / other.folder, other.name, column)]
        for label, column in (("loss per token (nats)", "loss"), ("accuracy over real tokens", "accuracy"))
    }
    results = {
        one.name: {
            "parameters": one.parameters,
            "steps": one.steps,
            "seconds": one.seconds,
            **{score.name: {"value": score.value, "signature": score.signature} for score in one.scores},
            "BLEU by source words": {part.label: part.score and part.score.value for part in one.by_length},
        }
        for one in contestants
    }
    return {
        folder / "model": "the translator, for `heedful translate` and `heedful explain`",
        folder / other.folder / "model": other.meaning,
        write_heatmap(watched, folder / "alignment.png"): "what each word looked at",
        write_animation(snapshots, folder / "alignment.gif"): "the same while it learned",
        write_page([watched, *looks], folder / "alignment.html", "What the translator looked at"): "hover over a word",
        write_curves(panels, folder / "loss_curve.png", f"Learning, {ATTENTION} and {other.name}"): "loss and accuracy",
        write_whole(folder / "scores.json", json.dumps(results, indent=2) + "\n"): "every score with its signature",
    }
