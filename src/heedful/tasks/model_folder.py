"""A trained model on disk: a folder of five files that is written whole or not at all, and read without trust.

`model.safetensors`, `config.json`, `tokenizer.json`, `recipe.yaml`, `metrics.json`. Nothing in it can run code, fill
the memory or lead out of the folder. `config.json` holds format, version and a hash of each of the others: a file that
was cut off or exchanged is never taken for the real one.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

import heedful
from heedful._errors import ModelFolderError, OutputError, RecipeError
from heedful._files import whole_folder
from heedful.data.tokenizers import TokenizerPair

from .recipe import Recipe, check_recipe, dump_recipe
from .recipe_yaml import LONGEST_TEXT, parse_yaml
from .shortlist import Shortlist
from .weights import read_weights

FORMAT = 1
# what a model may be for, and what loads it
TASKS = {
    "translation": "heedful.tasks.translator.Translator",
    "language_model": "heedful.tasks.language_model.Writer",
    "classification": "heedful.tasks.classification.Classifier",
    "caption": "heedful.tasks.captioning.Captioner",
    "forecast": "heedful.tasks.forecasting.Forecaster",
}
WEIGHTS, CONFIG, TOKENIZER, RECIPE, METRICS = FILES = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "recipe.yaml",
    "metrics.json",
)
# beside them where `heedful shortlist` learnt one
SHORTLIST = "shortlist.safetensors"
# largest size that heedful writes; JSON takes up to thirty times as much memory
LARGEST = {CONFIG: 2**20, TOKENIZER: 2**24, RECIPE: LONGEST_TEXT, METRICS: 2**20}
AGAIN = "copy the whole folder again, or train anew"


@dataclass(frozen=True)
class ModelFolder:
    """What the five files say: weights by name, tokenisers, the recipe as it was run, the scores, a shortlist."""

    weights: Mapping[str, Tensor]
    tokenizers: TokenizerPair
    recipe: Recipe
    metrics: Mapping[str, Any]
    shortlist: Shortlist | None = None


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
            if content.shortlist:
                # whole numbers below 2^24 as floats: one careful reader for both
                kept = {name: getattr(content.shortlist, name).float() for name in ("aligned", "frequent")}
                save_file(kept, folder / SHORTLIST)
        except SafetensorError as error:  # a full disk
            raise OSError(str(error)) from error
        content.tokenizers.save(folder / TOKENIZER)
        (folder / RECIPE).write_text(dump_recipe(content.recipe), encoding="utf-8")
        (folder / METRICS).write_text(
            json.dumps(content.metrics, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        facts = {"format": FORMAT, "heedful": heedful.__version__, "task": content.recipe.task}
        config = {**facts, "sha256": file_hashes(folder)}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return path


def load_folder(path: str | os.PathLike[str]) -> ModelFolder:
    """Read a model folder.

    Raises:
        ModelFolderError: a file is missing, damaged, exchanged, too large, leads elsewhere, is of another format or
            holds what no model does; the message names it and the way out.
    """
    folder = Path(path)
    try:
        _check_files(folder)
        config = _read_json(folder / CONFIG)
        _check_config(folder, config)
        weights, metrics = _read_weights(folder / WEIGHTS), _read_json(folder / METRICS)
        tokenizers, recipe = TokenizerPair.load(folder / TOKENIZER), _read_recipe(folder, config)
        return ModelFolder(weights, tokenizers, recipe, metrics, _read_shortlist(folder / SHORTLIST, tokenizers))
    except OSError as error:
        raise ModelFolderError(
            f"{error.filename or folder} cannot be read: {error.strerror}; fix its rights or disk."
        ) from None


def task_of(path: str | os.PathLike[str]) -> str:
    """What the model in a folder is said to be for; `load_folder` says what is wrong with one that says nothing."""
    config = Path(path) / CONFIG
    with suppress(OSError, ValueError):
        if config.stat().st_size <= LARGEST[CONFIG]:
            return str(_read_json(config).get("task"))
    return ""


def find_model(path: str | os.PathLike[str]) -> Path:
    """The model folder at a path: the path itself, or `model` in the folder of a run.

    Raises:
        ModelFolderError: the run there has no model yet, or the path can be none.
    """
    path, inner = Path(path), Path(path) / "model"
    try:
        if (path / CONFIG).exists() or not (inner.is_dir() or (path / "training").is_dir()):
            return path
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read: {error.strerror}; check the path.") from None
    if not inner.is_dir():
        raise ModelFolderError(f"The run {path} has no model yet; let the command that began it go on to its end.")
    return inner


def refuse_foreign(path: Path) -> None:
    """What a model replaces must be an older model: a folder that holds anything else is somebody's.

    Raises:
        OutputError: names what is there.
    """
    if path.is_dir():
        foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in (*FILES, SHORTLIST))
    else:
        foreign = [path.name] if path.exists() else []
    if foreign:
        raise OutputError(f"cannot write a model to {path}: {foreign[0]} is there already; choose a folder of its own")


def file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a model but `config.json`, which holds them."""
    hashes = {}
    for name in _names(folder):
        if name != CONFIG:
            with (folder / name).open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _names(folder: Path) -> tuple[str, ...]:
    """The files of a model: the shortlist where there is one."""
    return (*FILES, SHORTLIST) if os.path.lexists(folder / SHORTLIST) else FILES


def _check_files(folder: Path) -> None:
    """The five files are there, in the folder itself, and of a size that can be read."""
    if not folder.is_dir():
        came = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelFolderError(f"The model folder {folder} {came}; give the folder that `heedful train` wrote.")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelFolderError(f"The model folder {folder} lacks {', '.join(missing)}; {AGAIN}.")
    home = folder.resolve()
    # the cache of the hub keeps files beside its snapshots and links to them
    if home.parent.name == "snapshots" and home.parent.parent.name.startswith("models--"):
        home = home.parent.parent
    for name in _names(folder):
        path = folder / name
        if not path.resolve().is_relative_to(home):
            raise ModelFolderError(f"{path} is a link that leads out of the folder; put the file itself there.")
        size, most = path.stat().st_size, LARGEST.get(name)
        if most and size > most:
            raise ModelFolderError(f"{path} has {size:,} bytes; heedful writes {most:,} at most, so {AGAIN}.")


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    """The folder is of this format and task, and its files are those that were written."""
    path, form = folder / CONFIG, config.get("format")
    if type(form) is not int or _writer(config) is None:
        raise ModelFolderError(f"{path} names no format and version of heedful; {AGAIN}.")
    if form != FORMAT:
        age, way_out = ("newer", "upgrade") if form > FORMAT else ("older", "install that version, or train anew")
        command = "--upgrade heedful" if form > FORMAT else f"heedful=={_writer(config)}"
        raise ModelFolderError(
            f"{path} is of format {form}, written by heedful {_writer(config)}; this heedful {heedful.__version__} "
            f"reads format {FORMAT}, and that one is {age}: {way_out}, as in `pip install {command}`."
        )
    if config.get("task") not in (*TASKS,):
        *others, last = map(repr, TASKS)
        raise ModelFolderError(
            f"{path} is of a model for {config.get('task')!r}; expected one for {', '.join(others)} or {last}."
        )
    expected, found = config.get("sha256"), file_hashes(folder)
    if not isinstance(expected, dict) or set(expected) != set(found):
        raise ModelFolderError(f"{path} has no hash of each of {', '.join(found)}, and of no other file; {AGAIN}.")
    for name, value in found.items():
        if expected[name] != value:
            raise ModelFolderError(f"{folder / name} is not as it was written: cut off, damaged or exchanged; {AGAIN}.")


def _writer(config: dict[str, Any]) -> str | None:
    """The version that wrote a folder; None if that is no version, for it may end in somebody's shell."""
    version = str(config.get("heedful"))
    return version if re.fullmatch(r"[0-9][0-9a-z.+]{0,40}", version) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is not JSON ({error}); {AGAIN}.") from None
    if not isinstance(content, dict):
        raise ModelFolderError(f"{path} holds a {type(content).__name__}; expected an object of keys and values.")
    return content


def _read_recipe(folder: Path, config: dict[str, Any]) -> Recipe:
    path = folder / RECIPE
    try:
        content = parse_yaml(path.read_bytes().decode("utf-8"), RECIPE)
        return check_recipe(content, RECIPE)
    except (RecipeError, UnicodeDecodeError) as error:
        fault, writer = str(error).partition("\n")[0], _writer(config)
        way_out = AGAIN if writer == heedful.__version__ else f"install heedful {writer}, which wrote it, or train anew"
        raise ModelFolderError(f"{path} is no recipe of heedful {heedful.__version__} ({fault}); {way_out}.") from None


def _read_shortlist(path: Path, tokenizers: TokenizerPair) -> Shortlist | None:
    if not path.exists():
        return None
    found = _read_weights(path)
    sizes = tokenizers.source.vocab_size, tokenizers.target.vocab_size
    shapes = {name: tensor.dim() for name, tensor in found.items()}
    if shapes != {"aligned": 2, "frequent": 1} or len(found["aligned"]) != sizes[0]:
        raise ModelFolderError(f"{path} is no shortlist of these tokenizers; run `heedful shortlist` again.")
    for tensor in found.values():
        if not (tensor.eq(tensor.round()) & (tensor >= 0) & (tensor < sizes[1])).all():
            raise ModelFolderError(f"{path} holds what is no id of the tokenizer; run `heedful shortlist` again.")
    return Shortlist(found["aligned"].long(), found["frequent"].long())


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return read_weights(path)
    except ValueError as error:
        raise ModelFolderError(f"{error}; {AGAIN}.") from None
