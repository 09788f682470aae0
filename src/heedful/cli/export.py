"""`heedful export`: a trained translation model for other runtimes: ONNX, torch alone, CTranslate2, browsers."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from heedful._errors import ExportError

from ._shell import ON_HUB, Model, load_any, say

EXAMPLES = (
    "heedful export heedful-demo",
    "heedful export heedful-demo --format torch --output french-torch",
    "heedful export runs/transformer --format ctranslate2",
    "heedful export heedful-demo --format web",
)


class Format(StrEnum):
    """What a model can be exported to."""

    onnx = "onnx"
    torch = "torch"
    ctranslate2 = "ctranslate2"
    web = "web"


RUNS_IN = {
    Format.onnx: "encoder.onnx and step.onnx for onnxruntime",
    Format.torch: "encoder.pt2 and step.pt2 for torch.export.load",
    Format.ctranslate2: "a model for ctranslate2.Translator",
    Format.web: "index.html, the model and onnxruntime-web for browsers",
}


def command(
    model: Model,
    form: Annotated[Format, typer.Option("--format", help="What will run it.")] = Format.onnx,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where to write it; MODEL-FORMAT in this folder when left out."),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of web: the unpacked npm package onnxruntime-web, else npm fetches it."),
    ] = None,
) -> None:
    """Write a trained translation model for another runtime.

    ONNX and torch get two graphs: the encoder, once for a batch of sentences, and the step, once for every token, with
    the weights of attention among its outputs. Any batch and any length go in. CTranslate2 gets Transformers that it
    has a form for. Beside them stand both tokenisers, for the library tokenizers, and heedful.json, which names inputs,
    outputs and special ids. The web page holds the ONNX graphs and what runs them in a browser, and fetches nothing.
    """
    if runtime is not None and form is not Format.web:
        raise typer.BadParameter(f"--runtime is for --format web, not {form}.")
    translator: Any = load_any(model)
    if translator.task != "translation":
        raise ExportError(f"{model} is a model for {translator.task}; heedful export takes models for translation.")
    folder = output or Path(f"{_name(model)}-{form}")
    say(f"Exporting {model} to {form}; this may take a minute.")
    written = export(translator, form, folder, runtime)
    size = sum(file.stat().st_size for file in written.iterdir())
    say(f"Wrote {RUNS_IN[form]}, with tokenizers and heedful.json, to {written} ({size / 2**20:.1f} MiB).")
    if form is Format.web:
        say(
            "Any web server can give this folder to browsers. To try it here, run: "
            f"python -m http.server 8000 --bind 127.0.0.1 --directory {shlex.quote(str(written))}, and open "
            "http://localhost:8000"
        )


def export(translator: Any, form: Format, folder: Path, runtime: Path | None = None) -> Path:
    """The model in a folder, in one of the formats, with the recipe's limits of length; of web, with its beam, too."""
    from heedful.export import export_ctranslate2, export_onnx, export_torch, export_web
    from heedful.tasks.decoding import make_constraints, make_decoding

    both, options = (translator.model, translator.tokenizers), translator.recipe.decoding
    if form is Format.web:
        return export_web(*both, folder, make_decoding(options, both[1].target), runtime=runtime)
    write = {Format.onnx: export_onnx, Format.torch: export_torch, Format.ctranslate2: export_ctranslate2}[form]
    return write(*both, folder, make_constraints(options, both[1].target))


def _name(model: Path) -> str:
    """What a model is called: its folder, the run that holds it as `model`, or the last part of its name on the hub.

    >>> _name(Path("runs/french/model")), _name(Path("hf:somebody/model"))
    ('french', 'model')
    """
    name = str(model).removeprefix(ON_HUB).lstrip("/") if str(model).startswith(ON_HUB) else str(model)
    if name != str(model) and not Path(name).is_dir():
        return Path(name).name
    place = Path(name).resolve()
    return (place.parent if place.name == "model" else place).name or "model"
