"""Programs of `torch.export`: the encoder and the step as `.pt2`, which torch runs without heedful."""

import os
from pathlib import Path

import torch

from heedful.data.tokenizers import TokenizerPair
from heedful.decoding.constraints import Constraints
from heedful.models import Seq2Seq

from .folder import export_folder
from .graphs import Graphs, make_graphs, quiet


def export_torch(
    model: Seq2Seq,
    tokenizers: TokenizerPair,
    path: str | os.PathLike[str],
    constraints: Constraints | None = None,
    graphs: Graphs | None = None,
) -> Path:
    """Write `encoder.pt2`, `step.pt2`, both tokenisers and `heedful.json`, whole or not at all.

    `torch.export.load(file).module()` gives the encoder, `(source, lengths) -> {"memory": ..., "state": ...}`, and the
    step, `(tokens, state, memory) -> {"logits": ..., "alignment": ..., "state": ...}`.

    Args:
        model: a translation model.
        tokenizers: of both sides.
        path: a folder of its own; an older export there is replaced.
        constraints: how long a translation may be.
        graphs: of the model, where they are made already.

    Raises:
        ExportError: the model has no such graphs.
        OutputError: the place cannot be written, or holds anything but an export.
    """
    with export_folder(path, tokenizers, constraints) as (folder, manifest):
        graphs = graphs or make_graphs(model)
        manifest |= {"runtime": "torch", "torch": torch.__version__}
        for name, program in (("encoder", graphs.encoder), ("step", graphs.step)):
            manifest[name] = {"file": f"{name}.pt2", **graphs.signature[name]}
            with quiet():
                torch.export.save(program, folder / f"{name}.pt2")
    return Path(path)
