"""YAML as recipes mean it: no key twice, and the scalars of YAML 1.2, in which `1e-3` is a number and `no` is none."""

import re
from typing import Any, ClassVar

import yaml

from heedful._errors import RecipeError

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

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused below, as a key that cannot be looked up
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is given twice, first on line {seen[key.value]}",
                    problem_mark=key.start_mark,
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for _name, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        # "" stands for the empty scalar, which is null.
        first = [*_first, ""] if _name == "null" else list(_first)
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), first)


def parse_yaml(text: str, origin: str) -> Any:
    r"""The value a YAML text holds.

    Args:
        text: One document.
        origin: What to call the text in an error.

    Raises:
        RecipeError: If it is no YAML; the message names the line.

    Example:
        >>> parse_yaml("rate: 1e-3\nlanguage: no", "example")
        {'rate': 0.001, 'language': 'no'}
    """
    try:
        # _Loader is a SafeLoader: it builds plain values only.
        return yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else "somewhere"
        raise RecipeError(f"{origin}, {line}: {error.problem or error.context}; mend the YAML there") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin} is no YAML text: {error}; save it as plain text in UTF-8") from error


def write_yaml(value: Any) -> str:
    r"""A YAML text that `parse_yaml` reads back to the same value, keys in their order.

    >>> write_yaml({"rate": 0.5, "language": "no", "size": "1e3"})
    "rate: 0.5\nlanguage: no\nsize: '1e3'\n"
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
