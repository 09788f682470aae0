"""ONNX: the graphs of a model for onnxruntime and whatever else runs ONNX."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from heedful._errors import ExportError
from heedful.data.tokenizers import TokenizerPair
from heedful.decoding.constraints import Constraints

from .folder import export_folder, require
from .graphs import make_graphs
from .kinds import kind_of
from .programs import Graphs
from .trees import quiet

# what torch.onnx writes; runtimes from 2024 on read it
OPSET = 20


def export_onnx(
    model: nn.Module,
    tokenizers: TokenizerPair,
    path: str | os.PathLike[str],
    constraints: Constraints | None = None,
    graphs: Graphs | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a file for each graph, such as `encoder.onnx`, tokenisers and `heedful.json`, whole or not at all.

    What says tokens has an encoder, run once for a batch of sources (of a language model: the prompt), and the step,
    run once for every token: its `state.*` are those of the encoder at first, then what it called `next.*`. Classifiers
    and forecasters are one graph, `model.onnx`.

    Args:
        model: what a recipe builds, of any task.
        tokenizers: of both sides; the entries of the target side may be labels or series.
        path: a folder of its own; an older export there is replaced.
        constraints: how long what is said may be.
        graphs: of the model, where they are made already.
        facts: what else `heedful.json` tells.

    Raises:
        ExportError: onnx or onnxscript is not installed, or the model has no such graphs, or ONNX lacks an operator.
        OutputError: the place cannot be written, or holds anything but an export.
    """
    require("onnx", "onnxscript")
    with export_folder(path, tokenizers, constraints, kind_of(model), facts) as (folder, manifest):
        manifest |= {"runtime": "onnx"}
        write_graphs(folder, manifest, graphs or make_graphs(model))
    return Path(path)


def write_graphs(folder: Path, manifest: dict[str, Any], graphs: Graphs) -> None:
    """Write a file for each graph to a folder, and tell of them in the manifest."""
    manifest["opset"] = OPSET
    for name, program in graphs.programs.items():
        manifest[name] = {"file": f"{name}.onnx", **graphs.signature[name]}
        proto = _proto(program, graphs.signature[name])
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())


def _proto(program: Any, signature: dict[str, dict[str, Any]]) -> Any:
    """A program in ONNX, its tensors and axes named as the signature does."""
    sides = {side: list(signature[side]) for side in ("inputs", "outputs")}
    with torch.no_grad(), quiet():
        try:
            made: Any = torch.onnx.export(
                program,
                input_names=sides["inputs"],
                output_names=sides["outputs"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            missing = re.search(r"No ONNX function found for <OpOverload\(op='aten\.(\w+)'", str(error))
            if missing is None:
                raise
            raise ExportError(
                f"a part of the model needs torch.{missing[1]}, which ONNX does not have; export to torch instead, or "
                "train with another score, window or normaliser."
            ) from None
    proto = made.model_proto
    # shapes of inner tensors would speak of other names
    del proto.graph.value_info[:]
    for values, side in ((proto.graph.input, "inputs"), (proto.graph.output, "outputs")):
        for value in values:
            shape = signature[side][value.name]["shape"]
            for dim, axis in zip(value.type.tensor_type.shape.dim, shape, strict=True):
                if isinstance(axis, str):
                    if dim.HasField("dim_value"):
                        raise AssertionError(f"torch has fixed the axis {axis!r} of {value.name} to {dim.dim_value}")
                    dim.dim_param = axis
    return proto
