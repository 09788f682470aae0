"""Do captions of made pictures name pairs of shapes that training never saw, and does each word look at its shape?

    python benchmarks/captions.py FOLDER [KEY=VALUE ...]

Trains the recipe `caption` on pictures of shapes (`heedful.data.shapes`) in FOLDER, then writes captions of pictures in
each of which two neighbouring shapes are a pair that training never saw. Counted are captions that are right word by
word, and, in these, the words for a colour or a shape whose largest weight lies on the cell with that shape.
"""

import sys
import time
from pathlib import Path

import torch
from record import append

from heedful.data.shapes import ShapesPicture, write_shapes
from heedful.tasks.captioning import Captioner
from heedful.tasks.dispatch import train_recipe
from heedful.tasks.recipe_files import load_recipe

TRAIN, VALID, TEST = 24_000, 150, 500
SETTINGS = [
    # a state that sees nothing of the picture must look at what it names, and the attention itself knows where it was
    "model.attention=location",
    "model.wiring=luong",
    "model.units=64",
    "model.decoder_units=96",
    "model.embedding_dim=32",
    "model.dropout=0.0",
    "training.tokens_per_batch=1200",
    "training.max_steps=4500",
    "training.max_epochs=null",
    "training.max_seconds=null",
    "training.patience=null",
    "training.learning_rate=0.004",
    "training.warmup_steps=50",
    "training.validate_every=100",
    "decoding.beam=1",
    "training.label_smoothing=0.0",
    "training.tensorboard=false",
]


def main(folder: Path, changes: list[str]) -> None:
    """Make the pictures, train, count."""
    parts = {"train": (TRAIN, False), "valid": (VALID, False), "test": (TEST, True)}
    pictures = {
        name: write_shapes(folder / name, number, seed, unseen)
        for seed, (name, (number, unseen)) in enumerate(parts.items(), start=1)
    }
    places = {name: folder / name for name in parts}
    data = [f"data.{name}={{features: {at}/features, captions: {at}/captions.jsonl}}" for name, at in places.items()]
    recipe = load_recipe("caption", [*data, f"output={folder}/run", *SETTINGS, *changes])
    started = time.perf_counter()
    run = train_recipe(recipe, say=lambda line: print(line, file=sys.stderr, flush=True))
    seconds = time.perf_counter() - started
    right, looked = count(run.translator, pictures["test"], folder / "test" / "features")
    scores = {one.name: round(one.value, 2) for one in run.scores["test"]}
    append(
        "captions",
        threads=torch.get_num_threads(),
        attention=recipe.model.attention,
        decoder=recipe.model.decoder,
        parameters=run.translator.metrics["parameters"],
        updates=run.result.step,
        seconds=round(seconds),
        seed=recipe.seed,
        exact=round(100 * right, 2),
        looks_at_its_shape=round(100 * looked, 2),
        bleu=scores["BLEU"],
        cider=scores["CIDEr-D"],
        changes=" ".join(changes),
    )


def count(captioner: Captioner, pictures: list[ShapesPicture], folder: Path) -> tuple[float, float]:
    """The share of captions that are right, and in these the share of naming words that look at what they name."""
    found = captioner.translate([str(folder / f"{place}.npy") for place in range(len(pictures))], need_weights=True)
    right, named, hits = 0, 0, 0
    for (best, *_), picture in zip(found, pictures, strict=True):
        if best.text != picture.caption:
            continue
        right += 1
        for cell, weights in zip(picture.looks(), best.alignment.weights, strict=True):
            if cell is not None:
                named += 1
                hits += int(weights.argmax()) == cell
    return right / len(pictures), hits / max(named, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
