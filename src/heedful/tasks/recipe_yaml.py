"""YAML as recipes mean it: no key twice, and the scalars of YAML 1.2, in which `1e-3` is a number and `no` is none.

Only plain values are built. There are no merge keys: a dozen lines of them are enough to fill the memory.
"""

import re
import reprlib
from collections.abc import Callable
from typing import Any, ClassVar

import yaml

from heedful._errors import RecipeError

# characters; PyYAML reads some 100,000 a second
LONGEST_TEXT = 2**18
LONGEST_NUMBER = 400
_TAG = "tag:yaml.org,2002:"
_SCALARS = [
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        "-+.0123456789",
    ),
]


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (f"{_TAG}map", f"{_TAG}seq", None)
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge nothing: see above."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused below, as a key that cannot be looked up
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is given twice, first on line {seen[key.value]}",
                    problem_mark=key.start_mark,
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep)  # pyright: ignore[reportArgumentType]: any other is refused there


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def _construct_text(loader: _Loader, node: yaml.Node) -> str:
    text = str(loader.construct_scalar(node))  # pyright: ignore[reportArgumentType]: any other node is refused there
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise yaml.MarkedYAMLError(problem=f"{reprlib.repr(text)} holds half a character", problem_mark=node.start_mark)
    return text


def _checked(name: str, pattern: str) -> Callable[[_Loader, yaml.Node], Any]:
    """PyYAML's way to build a scalar, for those alone that look like one: a tag can ask for it anywhere."""
    construct = yaml.SafeLoader.yaml_constructors[_TAG + name]

    def build(loader: _Loader, node: yaml.Node) -> Any:
        text = _construct_text(loader, node)
        if len(text) > LONGEST_NUMBER or not re.fullmatch(pattern, text):
            raise yaml.MarkedYAMLError(problem=f"{reprlib.repr(text)} is no {name}", problem_mark=node.start_mark)
        return construct(loader, node)

    return build


_Loader.add_constructor(f"{_TAG}str", _construct_text)
for _name, _pattern, _first in _SCALARS:
    _Loader.add_constructor(_TAG + _name, _checked(_name, _pattern))
    for _class in (_Loader, _Dumper):
        # "" stands for the empty scalar, which is null.
        first = [*_first, ""] if _name == "null" else list(_first)
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), first)


def parse_yaml(text: str, origin: str) -> Any:
    r"""The value a YAML text holds.

    Args:
        text: One document.
        origin: What to call the text in an error.

    Raises:
        RecipeError: If it is no YAML, or holds more than plain values; the message names the line.

    Example:
        >>> parse_yaml("rate: 1e-3\nlanguage: no", "example")
        {'rate': 0.001, 'language': 'no'}
    """
    if len(text) > LONGEST_TEXT:
        raise RecipeError(f"{origin} has {len(text):,} characters; a recipe has at most {LONGEST_TEXT:,}")
    try:
        # _Loader is a SafeLoader: it builds plain values only.
        return yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else "somewhere"
        raise RecipeError(f"{origin}, {line}: {error.problem or error.context}; fix the YAML there") from error
    except yaml.reader.ReaderError as error:
        place = f"character #x{error.character:04x} at position {error.position}"
        raise RecipeError(
            f"{origin} is no YAML text: {place}, {error.reason}; save it as plain text in UTF-8"
        ) from error
    except RecursionError:
        raise RecipeError(f"{origin} is nested too deeply; fix the YAML") from None


def write_yaml(value: Any) -> str:
    r"""A YAML text that `parse_yaml` reads back to the same value, keys in their order.

    >>> write_yaml({"rate": 0.5, "language": "no", "size": "1e3"})
    "rate: 0.5\nlanguage: no\nsize: '1e3'\n"
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
