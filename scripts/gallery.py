"""Draw the gallery: python scripts/gallery.py FOLDER [--translators FOLDER] [--only NAME ...].

A small model for each attention that recipes know learns four tasks whose right place to look is known; FOLDER keeps
the trainings. Each attention gets `docs/gallery/NAME_tasks.png`, its weights above the truth, and `NAME_learning.gif`,
the weights while it learned to reverse; docs/gallery/index.md has how many unseen lines were exactly right, and the
weight that fell on the right place. From trained translators (benchmarks/mechanism_sweep.py) comes `NAME.png`, each
one's alignment of the same sentence. What has its pictures is not trained again.
"""

import argparse
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from torch import nn

from heedful.tasks.recipe import ModelOptions
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.translation import train_translator
from heedful.tasks.translator import Translator
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot, write_animation
from heedful.visual.grids import write_grids
from heedful.visual.heatmap import write_heatmap

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "gallery"
SENTENCE = "We don't want to eat red meat tomorrow."
LETTERS = "abcdefghijklmnop"
LINES, UNSEEN, LENGTHS, STEPS = 8000, 200, (5, 10), 600


@dataclass(frozen=True)
class Line:
    """What goes in, what shall come out, and the place in `source` where each of it stands."""

    source: list[str]
    target: list[str]
    places: list[int]


def copied(letters: list[str]) -> Line:
    """The same again."""
    return Line(letters, letters, list(range(len(letters))))


def reversed_(letters: list[str]) -> Line:
    """From the last to the first."""
    return Line(letters, letters[::-1], list(range(len(letters)))[::-1])


def sorted_(letters: list[str]) -> Line:
    """In the order of the alphabet."""
    places = sorted(range(len(letters)), key=lambda place: letters[place])
    return Line(letters, [letters[place] for place in places], places)


def bracketed(letters: list[str]) -> Line:
    """Each letter opens a bracket; for each `)` the letter that it closes, as a stack would say."""
    source, places, stack = [], [], []
    for number, letter in enumerate(letters):
        stack.append(len(source))
        source.append(letter)
        # how many close here depends on the letter alone, so that a line is not drawn by lot a second time
        for _ in range(len(stack) if number == len(letters) - 1 else min(len(stack), LETTERS.index(letter) % 3)):
            places.append(stack.pop())
            source.append(")")
    return Line(source, [source[place] for place in places], places)


TASKS: dict[str, Callable[[list[str]], Line]] = {
    "copy": copied,
    "reverse": reversed_,
    "sort": sorted_,
    "brackets": bracketed,
}


def lines_of(task: str, count: int, seed: int) -> list[Line]:
    """Lines of different letters, drawn by lot."""
    draw = random.Random(seed)
    return [TASKS[task](draw.sample(LETTERS, draw.randint(*LENGTHS))) for _ in range(count)]


class Watch:
    """Keeps what the model looks at after each validation."""

    def __init__(self, translator: Translator, line: Line) -> None:
        self.translator, self.line, self.snapshots = translator, line, list[Snapshot]()

    def on_validation(self, step: int, model: nn.Module, metrics: Mapping[str, float]) -> None:
        """Keep one more."""
        look = self.translator.align(" ".join(self.line.source), " ".join(self.line.target))
        self.snapshots.append(Snapshot(step, look, {"BLEU": metrics["bleu"]}))


def learn(name: str, task: str, folder: Path) -> dict[str, object]:
    """Train one attention on one task; returns its figures, and its last and its earlier looks."""
    folder.mkdir(parents=True, exist_ok=True)
    unseen, shown = lines_of(task, UNSEEN, seed=2), lines_of(task, 1, seed=3)[0]
    for file, lines in (("train", lines_of(task, LINES, seed=1)), ("valid", unseen)):
        text = "".join(f"{' '.join(line.source)}\t{' '.join(line.target)}\n" for line in lines)
        (folder / f"{file}.tsv").write_text(text, encoding="utf-8")
    watching: list[Watch] = []

    def watch(translator: Translator) -> list[Watch]:
        watching.append(Watch(translator, shown))
        return watching

    run = train_translator(load_recipe("pairs", changes(name, folder)), callbacks=watch)
    answers = run.translator.translate([" ".join(line.source) for line in unseen])
    right = [answer[0].text.split() == line.target for answer, line in zip(answers, unseen, strict=True)]
    return {
        "right": float(np.mean(right)),
        "weight": float(np.mean([weight_at(run.translator, line) for line in unseen[:50]])),
        "snapshots": [(one.step, one.scores["BLEU"], one.alignment.weights.tolist()) for one in watching[0].snapshots],
        "source": shown.source,
        "target": shown.target,
        "places": shown.places,
    }


def changes(name: str, folder: Path) -> list[str]:
    """What is set beside the recipe `pairs`."""
    return [
        f"data.train.tsv={folder / 'train.tsv'}",
        f"data.valid.tsv={folder / 'valid.tsv'}",
        f"output={folder / 'run'}",
        "tokenizer={kind: word}",
        f"model.attention={name}",
        "model.embedding_dim=32",
        "model.encoder_units=32",
        "model.decoder_units=64",
        "model.attention_units=32",
        "model.dropout=0",
        f"training.max_steps={STEPS}",
        "training.max_epochs=null",
        "training.patience=null",
        "training.learning_rate=0.01",
        "training.warmup_steps=50",
        "training.label_smoothing=0",
        "training.precision='32'",
        "training.average_last=1",
        f"training.validate_every={STEPS // 12}",
        "training.tensorboard=false",
        "decoding.beam=1",
    ]


def weight_at(translator: Translator, line: Line) -> float:
    """The mean weight of the places that hold what is written."""
    weights = translator.align(" ".join(line.source), " ".join(line.target)).weights
    return float(weights[np.arange(len(line.places)), line.places].mean())


def draw(name: str, found: Mapping[str, dict]) -> None:
    """The picture of all tasks, and the animation."""
    panels = {}
    for task, result in found.items():
        weights = np.array(result["snapshots"][-1][2])
        truth = np.zeros_like(weights)
        truth[np.arange(len(truth)), result["places"]] = 1
        panels[f"{task}: {result['right']:.0%} right"] = np.vstack([weights, np.zeros((1, weights.shape[1])), truth])
    caption = "above: weights, a row for each step of the answer; below: the place that holds it"
    write_grids(panels, PICTURES / f"{name}_tasks.png", name, caption, scale=1.0)
    result = found["reverse"]
    looks = [
        Snapshot(step, Alignment(result["source"], result["target"], np.array(weights)), {"BLEU": score})
        for step, score, weights in result["snapshots"]
    ]
    write_animation(looks, PICTURES / f"{name}_learning.gif", name, dpi=60)


def translator_picture(name: str, folder: Path) -> None:
    """The alignment of the sentence that all translate."""
    model = folder / name / "model"
    if model.exists() and name != "none":
        found = Translator.load(model).explain(SENTENCE)
        write_heatmap(found.alignment, PICTURES / f"{name}.png", f"{name}: {found.text}")


def page(results: Mapping[str, Mapping[str, dict]]) -> str:
    """docs/gallery/index.md."""
    head = ["attention", *(f"{task}, right | weight" for task in TASKS)]
    rows = [f"| {' | '.join(head)} |", f"|---|{'---:|' * 2 * len(TASKS)}"]
    for name, found in results.items():
        cells = [f"{found[task]['right']:.0%} | {found[task]['weight']:.2f}" for task in TASKS]
        rows.append(f"| [{name}](#{name}) | {' | '.join(cells)} |")
    parts = [HEAD, *rows, ""]
    for name in results:
        parts += [f"## {name}", "", f"![{name} on four tasks]({name}_tasks.png)", ""]
        parts += [f"![{name} while it learns to reverse]({name}_learning.gif)", ""]
        if (PICTURES / f"{name}.png").exists():
            parts += [f"![{name} translates]({name}.png)", ""]
    return "\n".join(parts)


HEAD = f"""# Gallery

What each attention of the recipes looks at, made by `python scripts/gallery.py FOLDER`. Four tasks on {LENGTHS[0]} to
{LENGTHS[1]} letters have one right place to look for every step of the answer: copy, reverse, sort, and say which
letter each closing bracket closes. The same small recurrent model for all (encoder 2 x 32, decoder 64 units),
{LINES:,} lines, {STEPS} updates, seed 1; "right" is the share of {UNSEEN} unseen lines that are exactly right
(greedy), "weight" the mean weight of the right place when the model is fed the answer. A two-way encoder can carry a
letter to another place, so that an attention may be right and look elsewhere; weights of Gaussian mixtures need not
sum to 1. The translations are by the models of `benchmarks/mechanism_sweep.py`. The figures are those of the model
that validation chose; pictures and animations show the weights after the last update.
"""


def main() -> None:
    """Train, draw, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the trainings")
    parser.add_argument("--translators", type=Path, help="trained models, a folder for each attention")
    names = [name for name in get_args(ModelOptions.model_fields["attention"].annotation) if name != "none"]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        for task in TASKS:
            file = options.folder / f"{name}_{task}.json"
            if not file.exists():
                found = learn(name, task, options.folder / f"{name}_{task}")
                file.write_text(json.dumps(found))
                print(
                    f"{name}, {task}: {found['right']:.0%} right, {found['weight']:.2f} on the right place", flush=True
                )
    files = {name: {task: options.folder / f"{name}_{task}.json" for task in TASKS} for name in names}
    results = {
        name: {task: json.loads(file.read_text()) for task, file in of.items()}
        for name, of in files.items()
        if all(file.exists() for file in of.values())
    }
    for name, found in results.items():
        draw(name, found)
        if options.translators:
            translator_picture(name, options.translators)
    (PICTURES / "index.md").write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
