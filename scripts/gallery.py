"""Draw the gallery: python scripts/gallery.py FOLDER [--translators FOLDER] [--only NAME ...].

A small model for each attention that recipes know learns six tasks whose right places to look are known; FOLDER keeps
the trainings. Each attention gets `docs/gallery/NAME_tasks.png` and `NAME_numbers.png`, its weights above the truth,
and `NAME_learning.gif`, the weights while it learned to reverse; docs/gallery/figures.csv has how many unseen lines
were exactly right, and the weight that fell on the right places, and docs/gallery/index.md shows all. From trained
translators (benchmarks/mechanism_sweep.py) comes `NAME.png`, each one's alignment of the same sentence. What FOLDER
holds is not trained again, and figures of what was not asked for stay as they are.
"""

import argparse
import csv
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from torch import nn

from heedful.tasks.model_options import ModelOptions
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.translation import train_translator
from heedful.tasks.translator import Translator
from heedful.visual.alignment import Alignment
from heedful.visual.animation import Snapshot, write_animation
from heedful.visual.grids import write_grids
from heedful.visual.heatmap import write_heatmap

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "gallery"
FIGURES = PICTURES / "figures.csv"
SENTENCE = "We don't want to eat red meat tomorrow."
LETTERS = "abcdefghijklmnop"
NUMBERS, SHOWN = 50, 8
NONE = ("nan", "-")
LINES, UNSEEN, LENGTHS = 8000, 200, (5, 10)
STEPS, NUMBER_STEPS, VALIDATIONS = 600, 240, 12


@dataclass(frozen=True)
class Line:
    """What goes in, what shall come out, and the places in `source` of what each of it is made of."""

    source: list[str]
    target: list[str]
    places: list[list[int]]

    @property
    def truth(self) -> np.ndarray:
        """`[target, source]`: 1 at the right place, or a share of it at each of several."""
        matrix = np.zeros((len(self.target), len(self.source)))
        for row, places in zip(matrix, self.places, strict=True):
            row[places] = 1 / len(places)
        return matrix


def some_letters(draw: random.Random) -> list[str]:
    """Different letters, drawn by lot."""
    return draw.sample(LETTERS, draw.randint(*LENGTHS))


def taken(source: list[str], places: list[int]) -> Line:
    """What stands at those places, one after another."""
    return Line(source, [source[place] for place in places], [[place] for place in places])


def copied(draw: random.Random) -> Line:
    """The same again."""
    letters = some_letters(draw)
    return taken(letters, list(range(len(letters))))


def reversed_(draw: random.Random) -> Line:
    """From the last to the first."""
    letters = some_letters(draw)
    return taken(letters, list(range(len(letters)))[::-1])


def sorted_(draw: random.Random) -> Line:
    """In the order of the alphabet."""
    letters = some_letters(draw)
    return taken(letters, sorted(range(len(letters)), key=lambda place: letters[place]))


def bracketed(draw: random.Random) -> Line:
    """Each letter opens a bracket; for each `)` the letter that it closes, as a stack would say."""
    letters = some_letters(draw)
    source, places, stack = [], [], []
    for number, letter in enumerate(letters):
        stack.append(len(source))
        source.append(letter)
        # how many close here depends on the letter alone, so that a line is not drawn by lot a second time
        for _ in range(len(stack) if number == len(letters) - 1 else min(len(stack), LETTERS.index(letter) % 3)):
            places.append(stack.pop())
            source.append(")")
    return taken(source, places)


def added(draw: random.Random) -> Line:
    """Digits; the sum of the two that stand behind a `+`."""
    digits = [draw.randrange(10) for _ in range(draw.randint(*LENGTHS))]
    chosen = draw.sample(range(len(digits)), 2)
    source, places = [], []
    for number, digit in enumerate(digits):
        if number in chosen:
            source.append("+")
            places.append(len(source))
        source.append(str(digit))
    return Line(source, [str(sum(digits[number] for number in chosen))], [places])


def largest(draw: random.Random) -> Line:
    """Different numbers, of which the largest is as often small as large."""
    count = draw.randint(*LENGTHS)
    top = draw.randrange(count - 1, NUMBERS)
    numbers = [*draw.sample(range(top), count - 1), top]
    draw.shuffle(numbers)
    return taken([str(number) for number in numbers], [numbers.index(top)])


LETTER_TASKS = {"copy": copied, "reverse": reversed_, "sort": sorted_, "brackets": bracketed}
NUMBER_TASKS = {"add": added, "maximum": largest}
TASKS: dict[str, Callable[[random.Random], Line]] = LETTER_TASKS | NUMBER_TASKS


def lines_of(task: str, count: int, seed: int) -> list[Line]:
    """Lines of a task, drawn by lot."""
    draw = random.Random(seed)
    return [TASKS[task](draw) for _ in range(count)]


def shown_lines(task: str) -> list[Line]:
    """What the picture shows: one line of letters, or some of numbers, all as long as the first."""
    if task in LETTER_TASKS:
        return lines_of(task, 1, seed=3)
    lines = lines_of(task, 100, seed=3)
    return [line for line in lines if len(line.source) == len(lines[0].source)][:SHOWN]


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
    unseen, shown = lines_of(task, UNSEEN, seed=2), shown_lines(task)
    for file, lines in (("train", lines_of(task, LINES, seed=1)), ("valid", unseen)):
        text = "".join(f"{' '.join(line.source)}\t{' '.join(line.target)}\n" for line in lines)
        (folder / f"{file}.tsv").write_text(text, encoding="utf-8")
    watching: list[Watch] = []

    def watch(translator: Translator) -> list[Watch]:
        watching.append(Watch(translator, shown[0]))
        return watching

    run = train_translator(load_recipe("pairs", changes(name, task, folder)), callbacks=watch)
    answers = run.translator.translate([" ".join(line.source) for line in unseen])
    right = [answer[0].text.split() == line.target for answer, line in zip(answers, unseen, strict=True)]
    return {
        "right": float(np.mean(right)),
        "weight": float(np.mean([weight_at(run.translator, line) for line in unseen[:50]])),
        "snapshots": [(one.step, one.scores["BLEU"], one.alignment.weights.tolist()) for one in watching[0].snapshots],
        "shown": [look(run.translator, line).tolist() for line in shown],
    }


def changes(name: str, task: str, folder: Path) -> list[str]:
    """What is set beside the recipe `pairs`."""
    steps = STEPS if task in LETTER_TASKS else NUMBER_STEPS
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
        f"training.max_steps={steps}",
        "training.max_epochs=null",
        "training.patience=null",
        "training.learning_rate=0.01",
        "training.warmup_steps=50",
        "training.label_smoothing=0",
        "training.precision='32'",
        "training.average_last=1",
        # an answer of one word has no BLEU
        f"training.best_by={'bleu' if task in LETTER_TASKS else 'loss'}",
        f"training.validate_every={steps // VALIDATIONS}",
        "training.tensorboard=false",
        "decoding.beam=1",
    ]


def look(translator: Translator, line: Line) -> np.ndarray:
    """Weights `[target, source]` when the model is fed the answer."""
    return translator.align(" ".join(line.source), " ".join(line.target)).weights


def weight_at(translator: Translator, line: Line) -> float:
    """The mean, over the steps of the answer, of the weight of the right places together."""
    return float((look(translator, line) * (line.truth > 0)).sum(1).mean())


def draw_letters(name: str, found: Mapping[str, dict]) -> None:
    """The picture of the tasks with letters, and the animation."""
    panels = {}
    for task in LETTER_TASKS:
        weights, truth = np.array(found[task]["snapshots"][-1][2]), shown_lines(task)[0].truth
        panels[f"{task}: {found[task]['right']:.0%} right"] = above(weights, truth)
    caption = "above: weights, a row for each step of the answer; below: the place that holds it"
    write_grids(panels, PICTURES / f"{name}_tasks.png", name, caption, scale=1.0)
    line = shown_lines("reverse")[0]
    looks = [
        Snapshot(step, Alignment(line.source, line.target, np.array(weights)), {"BLEU": score})
        for step, score, weights in found["reverse"]["snapshots"]
    ]
    write_animation(looks, PICTURES / f"{name}_learning.gif", name, dpi=60)


def draw_numbers(name: str, found: Mapping[str, dict]) -> None:
    """The picture of the tasks with numbers, whose answers have one step."""
    panels = {}
    for task in NUMBER_TASKS:
        truth = np.vstack([line.truth for line in shown_lines(task)])
        panels[f"{task}: {found[task]['right']:.0%} right"] = above(np.vstack(found[task]["shown"]), truth)
    caption = "above: weights, a row for each line; below: the places of the answer"
    write_grids(panels, PICTURES / f"{name}_numbers.png", name, caption, scale=1.0)


def above(weights: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """One above the other, an empty row between them."""
    return np.vstack([weights, np.zeros((1, weights.shape[1])), truth])


def translator_picture(name: str, folder: Path) -> None:
    """The alignment of the sentence that all translate."""
    model = folder / name / "model"
    if model.exists() and name != "none":
        found = Translator.load(model).explain(SENTENCE)
        write_heatmap(found.alignment, PICTURES / f"{name}.png", f"{name}: {found.text}")


def read_figures() -> dict[tuple[str, str], tuple[str, str]]:
    """(share right, weight) by attention and task."""
    with FIGURES.open(encoding="utf-8", newline="") as file:
        return {(row["attention"], row["task"]): (row["right"], row["weight"]) for row in csv.DictReader(file)}


def write_figures(figures: Mapping[tuple[str, str], tuple[str, str]]) -> None:
    """Put them back."""
    rows = [("attention", "task", "right", "weight"), *(key + figures[key] for key in figures)]
    FIGURES.write_text("".join(f"{','.join(row)}\n" for row in rows), encoding="utf-8")


def table(names: Sequence[str], tasks: Iterable[str], figures: Mapping[tuple[str, str], tuple[str, str]]) -> list[str]:
    """Lines of Markdown: a row for each attention, two columns for each task."""
    head = ["attention", *(f"{task}, right | weight" for task in tasks)]
    rows = [f"| {' | '.join(head)} |", f"|---|{'---:|' * 2 * (len(head) - 1)}"]
    for name in names:
        cells = [figures.get((name, task), NONE) for task in tasks]
        cells = [f"{float(right):.0%} | {weight}" for right, weight in cells]
        rows.append(f"| [{name}](#{name}) | {' | '.join(cells)} |")
    return [*rows, ""]


def page(figures: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    """docs/gallery/index.md."""
    names = list(dict.fromkeys(name for name, _ in figures))
    parts = [
        HEAD,
        *table(names, LETTER_TASKS, figures),
        NUMBERS_HEAD,
        *table(names, NUMBER_TASKS, figures),
        NUMBERS_SEEN,
    ]
    for name in names:
        parts += [f"## {name}", ""]
        for kind, what in PICTURE_KINDS.items():
            if (PICTURES / f"{name}{kind}").exists():
                parts += [f"![{name} {what}]({name}{kind})", ""]
    return "\n".join(parts)


PICTURE_KINDS = {
    "_tasks.png": "on four tasks with letters",
    "_numbers.png": "on two tasks with numbers",
    "_learning.gif": "while it learns to reverse",
    ".png": "translates",
}

HEAD = f"""# Gallery

What each attention of the recipes looks at, made by `python scripts/gallery.py FOLDER`. Six tasks have known places
to look at for every step of the answer: four take {LENGTHS[0]} to {LENGTHS[1]} letters (copy, reverse, sort, and say
which letter each closing bracket closes), two take as many numbers. The same small recurrent model for all (encoder
2 x 32, decoder 64 units), {LINES:,} lines, {STEPS} updates, seed 1; "right" is the share of {UNSEEN} unseen lines that
are exactly right (greedy), "weight" the mean weight of the right place when the model is fed the answer. A two-way
encoder can carry a letter to another place, so that an attention may be right and look elsewhere; weights of Gaussian
mixtures, of heads that talk and of differences need not sum to 1, and those below 0 count as 0. The translations are by
the models of `benchmarks/mechanism_sweep.py`. The figures are those of the model that validation chose, and so are the
pictures of the numbers; those of the letters and the animations show the weights after the last update. A column of the
pictures ("step") is a letter or number of the source; the rows below the gap are the right places for those above it.
"""

NUMBERS_HEAD = f"""With numbers the answer is one word, and so one look; they had {NUMBER_STEPS} updates. "add": two
of the digits stand behind a `+`, and the answer is their sum; the weight is that of both places together. "maximum":
of different numbers below {NUMBERS} the largest, which is as often small as large. The pictures show {SHOWN} lines of
one length, a row each.
"""

# written from the pictures and the weights of the lines shown
NUMBERS_SEEN = """What the lines shown say. To add two numbers, none needs to look at both: a two-way encoder has
carried the one to the other. `luong`, `local_m` and `intra_temporal` put all weight on the two, but nine tenths of it
on one (`intra_temporal` all, always on the second); `multi_head` divides it 0.78 to 0.22, and `latent` looks at both
on every line. `milk`, `sine`
and, by half, `bahdanau` look at the `+` in front of a number. `forward`, `forward_transition` and `stepwise` cannot
get there: an alignment that moves on by one key a step sees the first two keys in its first look.
`dynamic_convolution` and `gaussian_mixture` score places and not keys, and stay near the beginning in search of the
largest. All answer 83 to 98 % right nonetheless, so that here a weight says where the trace of a number was read, and
not where it stood. To find the maximum, those that compare the query with the keys look at it (0.89 to 0.97); `milk`,
`mocha` and `monotonic`, which decide key by key whether to stop, on half of the lines. With 240 updates "add" is not
learned to its end: after 600, `bahdanau`, `luong` and `coverage` had at least 199 of 200 lines right, with weights of
0.26, 1.00 and 0.37.
"""


def main() -> None:
    """Train, draw, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the trainings")
    parser.add_argument("--translators", type=Path, help="trained models, a folder for each attention")
    names = [name for name in get_args(ModelOptions.model_fields["attention"].annotation) if name != "none"]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    figures = read_figures() if FIGURES.exists() else {}
    for name in options.only:
        found = {task: result_of(name, task, options.folder) for task in options.tasks}
        figures |= {(name, task): (f"{one['right']:.3g}", f"{one['weight']:.2f}") for task, one in found.items()}
        if found.keys() >= LETTER_TASKS.keys():
            draw_letters(name, found)
        if found.keys() >= NUMBER_TASKS.keys():
            draw_numbers(name, found)
        if options.translators:
            translator_picture(name, options.translators)
        write_figures(figures)
    (PICTURES / "index.md").write_text(page(figures), encoding="utf-8")


def result_of(name: str, task: str, folder: Path) -> dict:
    """What `learn` found, now or at an earlier call."""
    file = folder / f"{name}_{task}.json"
    if not file.exists():
        found = learn(name, task, folder / f"{name}_{task}")
        file.write_text(json.dumps(found))
        print(f"{name}, {task}: {found['right']:.0%} right, {found['weight']:.2f} on the right place", flush=True)
    return json.loads(file.read_text())


if __name__ == "__main__":
    main()
