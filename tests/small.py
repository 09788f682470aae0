"""A translator so small that a test can train it: what tests of tasks and of the command line share."""

import json
from pathlib import Path

import yaml

from heedful.data.bundled import load_pairs
from heedful.tasks.model_folder import CONFIG, file_hashes
from heedful.tasks.recipe import Recipe, check_recipe


def write_pairs(folder: Path) -> None:
    """Two tables of bundled pairs: `train.tsv` with 300, `valid.tsv` with 12."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = load_pairs("tatoeba_en_fr", "val")
    rows = [f"{source}\t{target}\n" for source, target in zip(pairs.source, pairs.target, strict=True)]
    (folder / "train.tsv").write_text("".join(rows[:300]), encoding="utf-8")
    (folder / "valid.tsv").write_text("".join(rows[300:312]), encoding="utf-8")


def small_content(folder: Path, **training: object) -> dict:
    """The values of a recipe that learns for two seconds from the pairs of `write_pairs`, into `folder/run`."""
    return {
        "name": "small",
        "seed": 3,
        "output": str(folder / "run"),
        "data": {
            "train": {"tsv": str(folder / "train.tsv")},
            "valid": {"tsv": str(folder / "valid.tsv")},
            "max_length": 16,
        },
        "tokenizer": {"kind": "bpe", "vocab_size": 220},
        "model": {"attention": "luong", "embedding_dim": 12, "units": 14, "decoder_units": 18, "dropout": 0.0},
        "training": {
            "max_steps": 30,
            "tokens_per_batch": 250,
            "learning_rate": 0.02,
            "validate_every": 30,
            "tensorboard": False,
            "device": "cpu",
            **training,
        },
        "decoding": {"beam": 2, "min_length": 4, "max_length": 20},
    }


def small_recipe(folder: Path, **training: object) -> Recipe:
    """The same, checked; the pairs are written if need be."""
    if not (folder / "train.tsv").exists():
        write_pairs(folder)
    return check_recipe(small_content(folder, **training), "the small recipe")


def write_recipe(folder: Path, **training: object) -> Path:
    """The same as a file, with its pairs."""
    write_pairs(folder)
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(small_content(folder, **training)), encoding="utf-8")
    return path


def rehash(folder: Path) -> None:
    """Make `config.json` agree with what the files of a model say now, as an attacker would."""
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"sha256": file_hashes(folder)}))
