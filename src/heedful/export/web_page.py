"""A web page that translates in the reader's browser: the ONNX graphs, onnxruntime-web, and what draws the looks."""

import os
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from torch import nn

from heedful.data.tokenizers import TokenizerPair
from heedful.decoding import Decoding
from heedful.visual.html import asset

from .folder import export_folder, require
from .graphs import make_graphs
from .kinds import refuse_all_but_translators
from .onnx import write_graphs
from .programs import Graphs
from .web_runtime import PACKAGE, copy_runtime, find_runtime

HERE = "heedful.export"
PAGE = (
    "index.html",
    "app.js",
    "opened.js",
    "search.js",
    "tokenizer.js",
    "translator.js",
    "onnxruntime-web.LICENSE.txt",
)


def export_web(
    model: nn.Module,
    tokenizers: TokenizerPair,
    path: str | os.PathLike[str],
    decoding: Decoding | None = None,
    graphs: Graphs | None = None,
    runtime: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a folder that any web server may give: a page, the model, its tokenisers, and onnxruntime-web, of 14 MB.

    The page fetches nothing from elsewhere, and sends nothing. It searches as `beam_search` does.

    Args:
        model: a translation model.
        tokenizers: of both sides.
        path: a folder of its own; an older export there is replaced.
        decoding: the beam at first, the length penalty, and how long a translation may be; the rest is not read.
        graphs: of the model, where they are made already.
        runtime: an unpacked npm package onnxruntime-web; fetched with npm, once, when left out.

    Raises:
        ExportError: onnx or onnxscript is not installed, there is no onnxruntime-web, or the model has no such
            graphs.
        OutputError: the place cannot be written, or holds anything but an export.
    """
    refuse_all_but_translators(model, "the page")
    require("onnx", "onnxscript")
    how = decoding or Decoding()
    found = find_runtime(runtime)
    with export_folder(path, tokenizers, how.constraints) as (folder, manifest):
        manifest |= {"runtime": PACKAGE, "search": {"beam": how.beam, "length_penalty": how.penalties.length}}
        write_graphs(folder, manifest, graphs or make_graphs(model))
        write_page(folder, manifest, found)
    return Path(path)


def write_page(folder: Path, manifest: dict[str, Any], runtime: Path) -> None:
    """Write the page and its runtime beside the graphs, and tell of the runtime in the manifest."""
    manifest[PACKAGE] = copy_runtime(runtime, folder)
    with as_file(files(HERE).joinpath("web")) as ours:
        for name in PAGE:
            shutil.copyfile(ours / name, folder / name)
    style = asset("page.css", "form.css") + asset("web/web.css", package=HERE)
    (folder / "page.css").write_text(style, encoding="utf-8")
    (folder / "stage.js").write_text(asset("theme.js", "page.js", "stage.js"), encoding="utf-8")
