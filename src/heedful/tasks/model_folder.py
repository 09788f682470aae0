"""A trained model on disk: a folder of five files that is written whole or not at all.

`model.safetensors`, `config.json`, `tokenizer.json`, `recipe.yaml`, `metrics.json`. Nothing in it can run code, and
`config.json` holds a hash of each of the others: a file that was cut off or exchanged is never taken for the real one.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import heedful
from heedful._errors import ModelFolderError, OutputError
from heedful._files import whole_folder
from heedful.data.tokenizers import TokenizerPair

from .recipe import Recipe, check_recipe, dump_recipe
from .recipe_yaml import parse_yaml

FORMAT = 1
WEIGHTS, CONFIG, TOKENIZER, RECIPE, METRICS = FILES = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "recipe.yaml",
    "metrics.json",
)


@dataclass(frozen=True)
class ModelFolder:
    """What the five files say: weights by name, tokenisers, the recipe as it was run, and the scores."""

    weights: Mapping[str, Tensor]
    tokenizers: TokenizerPair
    recipe: Recipe
    metrics: Mapping[str, Any]


def save_folder(content: ModelFolder, path: str | os.PathLike[str]) -> Path:
    """Write a model folder under a temporary name and rename it; an older one of that name is replaced.

    Raises:
        OutputError: the folder cannot be written, or holds anything but a model; whatever stood there still stands.
    """
    path = Path(path)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in content.weights.items()}
    refuse_foreign(path)
    with whole_folder(path) as folder:
        try:
            save_file(weights, folder / WEIGHTS)
        except SafetensorError as error:  # a full disk
            raise OSError(str(error)) from error
        content.tokenizers.save(folder / TOKENIZER)
        (folder / RECIPE).write_text(dump_recipe(content.recipe), encoding="utf-8")
        (folder / METRICS).write_text(
            json.dumps(content.metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        config = {"format": FORMAT, "heedful": heedful.__version__, "task": "translation", "sha256": _hashes(folder)}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return path


def load_folder(path: str | os.PathLike[str]) -> ModelFolder:
    """Read a model folder.

    Raises:
        ModelFolderError: a file is missing, cut off or of another format; the message names it and the way out.
    """
    path = Path(path)
    if not path.is_dir():
        came = "is a file, not a folder" if path.exists() else "does not exist"
        raise ModelFolderError(f"The model folder {path} {came}; give the folder that `heedful train` wrote.")
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise ModelFolderError(
            f"The model folder {path} lacks {', '.join(missing)}; copy the whole folder again, or train anew."
        )
    config = _read_json(path / CONFIG)
    if config.get("format") != FORMAT:
        raise ModelFolderError(
            f"{path / CONFIG} is of format {config.get('format')!r}, written by heedful {config.get('heedful')}; "
            f"heedful {heedful.__version__} reads format {FORMAT}. Install the version that wrote it, or train anew."
        )
    _check_hashes(path, config.get("sha256"))
    try:
        weights = load_file(path / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(
            f"{path / WEIGHTS} is damaged or cut off ({error}); copy the folder again, or train anew."
        ) from None
    text = _read_text(path / RECIPE)
    recipe = check_recipe(parse_yaml(text, str(path / RECIPE)), str(path / RECIPE))
    return ModelFolder(weights, TokenizerPair.load(path / TOKENIZER), recipe, _read_json(path / METRICS))


def find_model(path: str | os.PathLike[str]) -> Path:
    """The model folder at a path: the path itself, or `model` in the folder of a run.

    Raises:
        ModelFolderError: the run there has no model yet.
    """
    path, inner = Path(path), Path(path) / "model"
    if (path / CONFIG).exists() or not (inner.is_dir() or (path / "training").is_dir()):
        return path
    if not inner.is_dir():
        raise ModelFolderError(f"The run {path} has no model yet; let the command that began it go on to its end.")
    return inner


def refuse_foreign(path: Path) -> None:
    """What a model replaces must be an older model: a folder that holds anything else is somebody's.

    Raises:
        OutputError: names what is there.
    """
    if path.is_dir():
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in FILES)
    else:
        foreign = [path.name] if path.exists() else []
    if foreign:
        raise OutputError(f"cannot write a model to {path}: {foreign[0]} is there already; choose a folder of its own")


def _hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES if name != CONFIG}


def _check_hashes(folder: Path, expected: object) -> None:
    try:
        found = _hashes(folder)
    except OSError as error:
        raise ModelFolderError(f"{error.filename} cannot be read: {error.strerror}; mend its rights or disk.") from None
    wrong = [name for name in found if not isinstance(expected, dict) or expected.get(name) != found[name]]
    if wrong:
        raise ModelFolderError(
            f"{folder / wrong[0]} is not as it was written: cut off, damaged or exchanged; "
            "copy the whole folder again, or train anew."
        )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{path} cannot be read ({error}); copy the folder again, or train anew.") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise ModelFolderError(f"{path} is not JSON ({error}); copy the folder again, or train anew.") from None
    if not isinstance(content, dict):
        raise ModelFolderError(f"{path} holds a {type(content).__name__}; expected an object of keys and values.")
    return content
