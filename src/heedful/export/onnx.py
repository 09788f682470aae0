"""ONNX: the encoder and the step as two graphs for onnxruntime and whatever else runs ONNX."""

import os
from pathlib import Path
from typing import Any

import torch

from heedful.data.tokenizers import TokenizerPair
from heedful.decoding.constraints import Constraints
from heedful.models import Seq2Seq

from .folder import export_folder, require
from .graphs import Graphs, make_graphs, quiet

# what torch.onnx writes; runtimes from 2024 on read it
OPSET = 20


def export_onnx(
    model: Seq2Seq,
    tokenizers: TokenizerPair,
    path: str | os.PathLike[str],
    constraints: Constraints | None = None,
    graphs: Graphs | None = None,
) -> Path:
    """Write `encoder.onnx`, `step.onnx`, both tokenisers and `heedful.json`, whole or not at all.

    The encoder is run once for a batch of sentences, the step once for every token: its `state.*` are the encoder's at
    first, then what it called `next.*`.

    Args:
        model: a translation model.
        tokenizers: of both sides.
        path: a folder of its own; an older export there is replaced.
        constraints: how long a translation may be.
        graphs: of the model, where they are made already.

    Raises:
        ExportError: onnx or onnxscript is not installed, or the model has no such graphs.
        OutputError: the place cannot be written, or holds anything but an export.
    """
    require("onnx", "onnxscript")
    with export_folder(path, tokenizers, constraints) as (folder, manifest):
        manifest |= {"runtime": "onnx"}
        write_graphs(folder, manifest, graphs or make_graphs(model))
    return Path(path)


def write_graphs(folder: Path, manifest: dict[str, Any], graphs: Graphs) -> None:
    """Write `encoder.onnx` and `step.onnx` to a folder, and tell of them in the manifest."""
    manifest["opset"] = OPSET
    for name, program in (("encoder", graphs.encoder), ("step", graphs.step)):
        manifest[name] = {"file": f"{name}.onnx", **graphs.signature[name]}
        proto = _proto(program, graphs.signature[name])
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())


def _proto(program: Any, signature: dict[str, dict[str, Any]]) -> Any:
    """A program in ONNX, its tensors and axes named as the signature does."""
    sides = {side: list(signature[side]) for side in ("inputs", "outputs")}
    with torch.no_grad(), quiet():
        made: Any = torch.onnx.export(
            program,
            input_names=sides["inputs"],
            output_names=sides["outputs"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
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
