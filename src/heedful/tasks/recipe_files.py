"""Where recipes come from: files and those that ship with heedful, what they extend, and what `--set` changes."""

import io
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from heedful._errors import DataError, RecipeError, brief
from heedful.data.encodings import as_utf8

from .model_folder import find_model
from .recipe import Recipe, check_recipe, did_you_mean, expand_path
from .recipe_yaml import LONGEST_TEXT, parse_yaml

LONGEST_CHAIN = 20


def load_recipe(path_or_name: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, lay it over the one it extends, apply the overrides, and check what has become of it.

    A recipe with `extends: NAME_OR_PATH` begins with that one; a path is relative to the file that names it. The keys
    of each section are laid over those of the other recipe; a value replaces the other's whole, be it a list or a part
    of `data`. With `start_from`, the sections `tokenizer` and `model` are those of the model folder.

    Args:
        path_or_name: A YAML file, or the name of a recipe that ships with heedful.
        overrides: Such as "model.units=256": a dotted key and a value in YAML, which replaces the file's.

    Raises:
        RecipeError: If there is no such recipe, it is no YAML, it extends itself, a key or a value is not one that a
            recipe has, or a path begins with a variable that is not defined.
    """
    content, origin = _content(os.fspath(path_or_name), Path())
    return settle_recipe(content, origin, overrides)


def settle_recipe(content: dict[str, Any], origin: str, overrides: Sequence[str] = ()) -> Recipe:
    """Apply the overrides to the values of a recipe, and check what has become of it; `content` is changed.

    Args:
        content: The sections by name.
        origin: What to call the recipe in an error.
        overrides: See `load_recipe`.

    Raises:
        RecipeError: See `load_recipe`.
    """
    for override in overrides:
        override_key(content, override)
    _take_architecture(content, origin, overrides)
    recipe = check_recipe(content, origin, overrides)
    for key, path in recipe.paths():
        try:
            expand_path(path)
        except RecipeError as error:
            raise RecipeError(f"{origin}: {key}: {error}") from None
    return recipe


def shipped_recipes() -> dict[str, str]:
    """The text of every recipe that ships with heedful, by name."""
    folder = files("heedful") / "recipes"
    if not folder.is_dir():
        return {}
    found = sorted(folder.iterdir(), key=lambda file: file.name)
    return {file.name[:-5]: file.read_text(encoding="utf-8") for file in found if file.name.endswith(".yaml")}


def _content(path_or_name: str, beside: Path, extended_by: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The values of a recipe, those it extends included, and what to call it.

    Args:
        path_or_name: Of the recipe.
        beside: The folder from which a relative path starts.
        extended_by: What the recipes are called that lead here.
    """
    text, origin = _read(path_or_name, beside)
    if origin in extended_by:
        chain = " extends ".join([*extended_by[extended_by.index(origin) :], origin])
        raise RecipeError(f"{chain}: a recipe cannot extend itself; take one `extends` out")
    if len(extended_by) > LONGEST_CHAIN:
        raise RecipeError(f"{extended_by[0]} extends more than {LONGEST_CHAIN} others; lay some of them together")
    content = parse_yaml(text, origin)
    if not isinstance(content, dict):
        came = "nothing" if content is None else f"a {type(content).__name__}"
        raise RecipeError(f"{origin} holds {came}; expected keys and values, such as `name: mine`")
    base = content.pop("extends", None)
    if base is None:
        return content, origin
    if not isinstance(base, str):
        raise RecipeError(f"{origin}: extends is {brief(base)}; expected one file, or the name of a recipe that ships")
    path = beside / path_or_name
    lower, _ = _content(base, path.parent if path.is_file() else beside, [*extended_by, origin])
    return _lay_over(lower, content), origin


def _lay_over(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """The keys of each section of one recipe over those of another."""
    laid = dict(lower)
    for name, value in upper.items():
        both = isinstance(value, dict) and isinstance(lower.get(name), dict)
        laid[name] = {**lower[name], **value} if both else value
    return laid


def _read(path_or_name: str, beside: Path) -> tuple[str, str]:
    """The text of a recipe and what to call it."""
    path, shipped = beside / path_or_name, shipped_recipes()
    try:
        if not path.is_file():
            if path_or_name in shipped:
                return shipped[path_or_name], f"recipe {path_or_name}"
            raise RecipeError(
                f"there is no file {path}, and no recipe of that name ships with heedful"
                f"{did_you_mean(path_or_name, shipped)}; those that do: {', '.join(shipped) or 'none'}"
            )
        if path.stat().st_size > 4 * LONGEST_TEXT:  # bytes, of which a character has four at most
            raise RecipeError(f"{path} has {path.stat().st_size:,} bytes; a recipe is a page of YAML")
        text = as_utf8(io.BytesIO(path.read_bytes()).read1, str(path)).read().decode()
        return text.replace("\r\n", "\n"), os.path.normpath(path)
    except RecipeError:
        raise
    except DataError as error:
        raise RecipeError(str(error)) from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot read {path}: {error}; save it as plain text in UTF-8") from error


def _take_architecture(content: dict[str, Any], origin: str, overrides: Sequence[str]) -> None:
    """With `start_from`, put the tokeniser and the architecture of that model in their place; overrides stay on top."""
    start = content.get("start_from")
    if not isinstance(start, str) or not start:
        return
    keys = {override: override.partition("=")[0].strip() for override in overrides}
    for override, key in keys.items():
        if key.partition(".")[0] == "tokenizer" and key != "tokenizer.dropout":
            raise RecipeError(f"--set {override}: the tokenizer is that of the model in start_from; leave it out")
    path = find_model(expand_path(start)) / "recipe.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{origin}: start_from is {start}, but {path} cannot be read ({error})") from None
    base = check_recipe(parse_yaml(text, str(path)), str(path))
    # the folder holds what came from other files: the vocabularies, and what pretrained embeddings became
    content["tokenizer"] = base.tokenizer.model_dump() | {"source_vocabulary": None, "target_vocabulary": None}
    content["model"] = base.model.model_dump() | {"source_embeddings": None, "target_embeddings": None}
    for override, key in keys.items():
        if key.partition(".")[0] in ("model", "tokenizer"):
            override_key(content, override)


def override_key(content: dict[str, Any], override: str) -> None:
    """Set one dotted key of nested mappings to a value; a number is a place in a list, as in data.train.0.weight.

    Args:
        content: the sections by name, which are changed.
        override: such as "model.units=256".

    Raises:
        RecipeError: it is no key and value, or leads through a value that has no keys.
    """
    key, equals, value = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise RecipeError(f"--set {override}: expected key=value, such as model.units=256")
    section: Any = content
    for place, name in enumerate(names[:-1], start=1):
        if isinstance(section, dict) and section.get(name) is None:
            section[name] = {}
        section = section[_key_in(section, name)]
        if not isinstance(section, dict | list) or (isinstance(section, list) and not _has(section, names[place])):
            key = ".".join(names[:place])
            raise RecipeError(f"--set {override}: {key} is {brief(section)}, which has no keys")
    section[_key_in(section, names[-1])] = parse_yaml(value, f"--set {override}")


def _has(section: list[Any], name: str) -> bool:
    """Whether a name is a place in a list."""
    return name.isdecimal() and name.isascii() and int(name[:9]) < len(section)


def _key_in(section: dict[str, Any] | list[Any], name: str) -> Any:
    return int(name) if isinstance(section, list) else name
