"""`heedful export`: a trained model for other runtimes: ONNX, torch alone, CTranslate2, browsers."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ._shell import ON_HUB, Model, load_any, say

EXAMPLES = (
    "heedful export heedful-demo",
    "heedful export heedful-demo --format torch --output french-torch",
    "heedful export runs/transformer --format ctranslate2",
    "heedful export heedful-demo --format web",
    "heedful export runs/classify --output classify-onnx",
)


class Format(StrEnum):
    """What a model can be exported to."""

    onnx = "onnx"
    torch = "torch"
    ctranslate2 = "ctranslate2"
    web = "web"


RUNS_IN = {
    Format.onnx: "{graphs} for onnxruntime",
    Format.torch: "{graphs} for torch.export.load",
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
    """Write a trained model for another runtime.

    ONNX and torch take every model: what says tokens as two graphs, the encoder (of a language model: the prompt), once
    for a batch, and the step, once for every token, with the weights of attention among its outputs; classifiers and
    forecasters as one. Any batch and any length go in. CTranslate2 gets translating Transformers that it has a form
    for. Beside them stand tokenizers, for the library tokenizers, and heedful.json, which names inputs, outputs, labels
    and special ids. The web page holds the ONNX graphs of a translator and what runs them in a browser, and fetches
    nothing.
    """
    if runtime is not None and form is not Format.web:
        raise typer.BadParameter(f"--runtime is for --format web, not {form}.")
    trained: Any = load_any(model)
    folder = output or Path(f"{_name(model)}-{form}")
    say(f"Exporting {model} to {form}; this may take a minute.")
    written = export(trained, form, folder, runtime)
    size = sum(file.stat().st_size for file in written.iterdir())
    graphs = " and ".join(sorted(file.name for file in written.iterdir() if file.suffix in (".onnx", ".pt2")))
    what = RUNS_IN[form].format(graphs=graphs)
    say(f"Wrote {what}, and heedful.json, which tells of them, to {written} ({size / 2**20:.1f} MiB).")
    if form is Format.web:
        say(
            "Any web server can give this folder to browsers. To try it here, run: "
            f"python -m http.server 8000 --bind 127.0.0.1 --directory {shlex.quote(str(written))}, and open "
            "http://localhost:8000"
        )


def export(trained: Any, form: Format, folder: Path, runtime: Path | None = None) -> Path:
    """The model in a folder, in one of the formats, with the recipe's limits of length; of web, with its beam, too."""
    from heedful.export import export_ctranslate2, export_onnx, export_torch, export_web
    from heedful.tasks.decoding import make_constraints, make_decoding

    both, options = (trained.model, trained.tokenizers), trained.recipe.decoding
    if form is Format.web:
        return export_web(*both, folder, make_decoding(options, both[1].target), runtime=runtime)
    limits = make_constraints(options, both[1].target)
    if form is Format.ctranslate2:
        return export_ctranslate2(*both, folder, limits)
    write = export_onnx if form is Format.onnx else export_torch
    return write(*both, folder, limits, facts=_facts(trained))


def _facts(trained: Any) -> dict[str, Any]:
    """What of the recipe those must know who make the inputs: how much of a text is read, how a picture is scaled."""
    from heedful.data.sentences import BETWEEN, LONGEST_SENTENCE
    from heedful.tasks.classification_batches import has_sentences

    recipe = trained.recipe
    if trained.task == "classification":
        cut = {"sentences": {"split": BETWEEN.pattern, "longest": LONGEST_SENTENCE}} if has_sentences(recipe) else {}
        return {"max_length": recipe.data.max_length, **cut}
    if trained.task == "caption" and recipe.model.encoder == "convolutional":
        return {"picture": recipe.model.picture.model_dump(include={"height", "width", "grey"})}
    if trained.task == "translation" and recipe.data.cut_source is not None:
        return {"cut_source": recipe.data.cut_source}
    return {}


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
