"""How a command decodes: the model's own recipe, what --set changes of it, and the options that are short for that."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heedful._errors import RecipeError

from ._shell import load_translator

if TYPE_CHECKING:
    from heedful.tasks.decoding_options import DecodingOptions
    from heedful.tasks.translator import Translator

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value for a key of decoding in the model's recipe, such as decoding.groups=5; repeatable.",
    ),
]


def changed_decoding(translator: "Translator", changes: list[str], short: dict[str, Any]) -> "DecodingOptions":
    """The `decoding` section of the model's recipe with these changes, checked.

    Args:
        translator: whose recipe it is.
        changes: as they were typed behind --set.
        short: values of options that are short for a key; None where they were left out.

    Raises:
        typer.BadParameter: a key that is none of decoding, or a value that it does not take.
    """
    from heedful.tasks.recipe import check_recipe
    from heedful.tasks.recipe_files import override_key

    typed = {change: f"--set {change}" for change in changes}
    for name, value in short.items():
        if value is not None:
            typed[f"decoding.{name}={json.dumps(value)}"] = f"--{name.replace('_', '-')} {value}"
    content = translator.recipe.model_dump()
    try:
        for change in typed:
            if not change.strip().startswith("decoding."):
                raise RecipeError(f"--set {change}: of a trained model only decoding.* can be changed")
            override_key(content, change)
        return check_recipe(content, "the recipe of the model", list(typed)).decoding
    except RecipeError as error:
        message = str(error)
    for change, as_typed in typed.items():
        message = message.replace(f"--set {change}:", f"{as_typed}:")
    raise typer.BadParameter(message)


def with_ensemble(translator: "Translator", decoding: "DecodingOptions") -> "Translator":
    """The translator, joined by the models that its options name."""
    from heedful.tasks.ensembles import join
    from heedful.tasks.recipe import expand_path

    others = [load_translator(expand_path(name)) for name in decoding.ensemble]
    return join([translator, *others], decoding.ensemble_mean)
