"""The two pages of a server, which need nothing from outside: one to try it, one that says what it replies to."""

from collections.abc import Iterator, Mapping
from html import escape
from string import Template
from typing import Any

from heedful.visual.html import asset

HERE = "heedful.serve"


def front_page(model: str) -> str:
    """The page to try a model: a text box, the translation, and what each word looked at."""
    return Template(asset("page.html", package=HERE)).substitute(
        title=escape(model),
        style=asset("page.css", "form.css") + asset("page.css", package=HERE),
        script=asset("theme.js", "page.js", "stage.js") + asset("page.js", package=HERE),
    )


def documentation(openapi: Mapping[str, Any]) -> str:
    """The page that says in words what /openapi.json says to programs."""
    paths = (
        f"<article><h2><code>{method.upper()} {escape(path)}</code></h2>{''.join(_described(one, openapi))}</article>"
        for path, methods in openapi["paths"].items()
        for method, one in methods.items()
    )
    return Template(asset("docs.html", package=HERE)).substitute(
        title=escape(openapi["info"]["title"]),
        style=asset("page.css", "form.css") + asset("page.css", package=HERE),
        paths="".join(paths),
    )


def _described(operation: Mapping[str, Any], openapi: Mapping[str, Any]) -> Iterator[str]:
    """A path: what it does, its fields, its replies with theirs."""
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    if body := operation.get("requestBody"):
        yield f"<h3>Request</h3>{_content(body, openapi)}"
    for status, reply in operation["responses"].items():
        yield f"<h3>{escape(status)}</h3><p>{escape(reply['description'])}</p>{_content(reply, openapi)}"


def _content(holder: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    """The tables of what the JSON of a request or a reply holds."""
    schema = holder.get("content", {}).get("application/json", {}).get("schema", {})
    return _fields(schema["$ref"], openapi) if "$ref" in schema else ""


def _fields(reference: str, openapi: Mapping[str, Any]) -> str:
    """A table of an object's fields, and behind it those of the objects in it."""
    shape = openapi["components"]["schemas"][_name(reference)]
    needed = shape.get("required", ())
    rows = "".join(
        f"<tr><th scope='row'><code>{escape(name)}</code>{' *' if name in needed else ''}</th>"
        f"<td>{escape(_type(field))}</td><td>{escape(field.get('description', ''))}</td></tr>"
        for name, field in shape["properties"].items()
    )
    inner = "".join(f"<h4>{_name(part)}</h4>{_fields(part, openapi)}" for part in _parts(shape["properties"]))
    return f"<table class='fields'><tbody>{rows}</tbody></table>{inner}"


def _parts(schema: Any) -> Iterator[str]:
    """The objects that a schema refers to."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield schema["$ref"]
        for one in schema.values():
            yield from _parts(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _parts(one)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _type(schema: Mapping[str, Any]) -> str:
    """A type in words.

    >>> _type({"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]})
    'integer, at most 9'
    """
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    limits = {"exclusiveMinimum": "above", "minimum": "at least", "maximum": "at most", "exclusiveMaximum": "below"}
    said = [f"{word} {schema[key]:.10g}" for key, word in limits.items() if key in schema]
    return ", ".join([schema.get("type") or _name(schema.get("$ref", "any")), *said])
