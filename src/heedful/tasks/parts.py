"""A part of attention as a recipe names it: a score, window or normaliser of the catalogue, with its arguments."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence, Set
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from torch import nn

from heedful._errors import RecipeError, brief
from heedful.attention import normalizers, scores, windows


class Part(BaseModel):
    """A name, and whatever else the constructor takes; a part without arguments may be written as its name alone."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | Part):
            raise ValueError(f"it is {brief(value)}; expected a name, or a mapping with a name and arguments")
        return {"name": value} if isinstance(value, str) else value


def part_names(package: ModuleType) -> dict[str, Callable[..., nn.Module]]:
    """The parts of one axis by their names in a recipe: those of Python in lower case, without the axis.

    >>> part_names(windows)["sliding"].__name__, part_names(scores)["scaled_dot"].__name__
    ('SlidingWindow', 'ScaledDotScore')
    """
    found = {}
    for thing in vars(package).values():
        if callable(thing) and hasattr(thing, "source"):
            bare = re.sub("(Score|Window|Normalizer)$", "", thing.__name__)
            found[re.sub("(?<=[a-z])(?=[A-Z])", "_", bare).lower()] = thing
    return found


def plain_parts(package: ModuleType, sizes: Set[str]) -> list[str]:
    """Names of the parts that need nothing but sizes, in alphabetical order.

    >>> "sine" in plain_parts(scores, {"query_dim", "key_dim", "hidden_dim"})
    True
    """
    found = []
    for name, kind in sorted(part_names(package).items()):
        needed = {key for key, one in _arguments(kind).items() if one.default is one.empty}
        if needed <= sizes:
            found.append(name)
    return found


def build_part(package: ModuleType, part: Part, sizes: Mapping[str, Any], place: str) -> Any:
    """The part with its arguments; what it asks for and the recipe leaves out comes from the sizes of the model.

    Args:
        package: `scores`, `windows` or `normalizers`.
        part: as the recipe has it; parts within it, such as windows that are joined, are built with it.
        sizes: such as `query_dim`; each part takes those that its constructor has.
        place: key of the recipe, for messages.

    Raises:
        RecipeError: a constructor refuses what came, or lacks something.
    """
    kind = part_names(package)[part.name]
    takes = _arguments(kind)
    given = {name: sizes[name] for name in takes if name in sizes} | (part.model_extra or {})
    several: list[Any] = []
    for name, value in list(given.items()):
        if isinstance(value, Part):
            given[name] = build_part(package, value, sizes, place)
        elif takes[name].kind is inspect.Parameter.VAR_POSITIONAL:
            several = [build_part(package, one, sizes, place) for one in given.pop(name)]
        elif takes[name].annotation == Sequence[scores.Score]:
            given[name] = [build_part(package, one, sizes, place) for one in value]
    try:
        return kind(*several, **given)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{place}: {error}") from None


def _known(package: ModuleType) -> Callable[[Part], Part]:
    """What refuses a part that the package does not have, or an argument that its constructor does not."""

    def check(part: Part) -> Part:
        known = part_names(package)
        if part.name not in known:
            raise ValueError(f"it is {brief(part.name)}; expected one of {', '.join(sorted(known))}")
        takes = _arguments(known[part.name])
        for name, value in (part.model_extra or {}).items():
            if name not in takes:
                expected = f"expected {', '.join(takes)}" if takes else "it takes nothing but its name"
                raise ValueError(f"{part.name!r} has no {brief(name)}; {expected}")
            # a score around a score, windows joined
            if takes[name].kind is inspect.Parameter.VAR_POSITIONAL or takes[name].annotation == Sequence[scores.Score]:
                inner = value if isinstance(value, list) else [value]
                setattr(part, name, [check(Part.model_validate(one)) for one in inner])
            elif takes[name].annotation is scores.Score:
                setattr(part, name, check(Part.model_validate(value)))
        return part

    return check


def _arguments(kind: Callable[..., nn.Module]) -> Mapping[str, inspect.Parameter]:
    """What a constructor takes; torch's own, of a part without numbers, takes nothing of use."""
    return {} if getattr(kind, "__init__", None) is nn.Module.__init__ else inspect.signature(kind).parameters


ScorePart = Annotated[Part, AfterValidator(_known(scores))]
WindowPart = Annotated[Part, AfterValidator(_known(windows))]
NormalizerPart = Annotated[Part, AfterValidator(_known(normalizers))]
