"""Programs of `torch.export`: the graphs of a model as `.pt2`, which torch runs without heedful."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from heedful.data.tokenizers import TokenizerPair
from heedful.decoding.constraints import Constraints

from .folder import export_folder
from .graphs import make_graphs
from .kinds import kind_of
from .programs import Graphs
from .trees import quiet


def export_torch(
    model: nn.Module,
    tokenizers: TokenizerPair,
    path: str | os.PathLike[str],
    constraints: Constraints | None = None,
    graphs: Graphs | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a file for each graph, such as `encoder.pt2`, tokenisers and `heedful.json`, whole or not at all.

    `torch.export.load(file).module()` gives the encoder, `(source, lengths) -> {"memory": ..., "state": ...}`, and the
    step, `(tokens, state, memory) -> {"logits": ..., "alignment": ..., "state": ...}`; the prompt of a language model,
    `source -> {"logits": ..., "memory": {}, "state": ...}`; and what is one graph, whose outputs are a dictionary.

    Args:
        model: what a recipe builds, of any task.
        tokenizers: of both sides; the entries of the target side may be labels or series.
        path: a folder of its own; an older export there is replaced.
        constraints: how long what is said may be.
        graphs: of the model, where they are made already.
        facts: what else `heedful.json` tells.

    Raises:
        ExportError: the model has no such graphs.
        OutputError: the place cannot be written, or holds anything but an export.
    """
    with export_folder(path, tokenizers, constraints, kind_of(model), facts) as (folder, manifest):
        graphs = graphs or make_graphs(model)
        manifest |= {"runtime": "torch", "torch": torch.__version__}
        for name, program in graphs.programs.items():
            manifest[name] = {"file": f"{name}.pt2", **graphs.signature[name]}
            with quiet():
                torch.export.save(program, folder / f"{name}.pt2")
    return Path(path)
