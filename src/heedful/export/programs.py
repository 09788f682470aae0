"""The graphs of a model as programs, and how a graph whose tensors stay plain becomes one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from .trees import about, dynamic

Axes = Sequence[str | int]
# graph -> "inputs" or "outputs" -> name -> {"type": "float32", "shape": ["batch", 96]}
Signature = dict[str, dict[str, dict[str, dict[str, Any]]]]


@dataclass(frozen=True)
class Graphs:
    """The graphs of a model as programs of `torch.export`, and what goes in and out of them.

    Attributes:
        programs: by name: "encoder" and "step" of what reads, then says tokens; "prompt" and "step" of a language
            model; "model" of what answers at once.
        signature: of each, "inputs" and "outputs": every tensor's name in the order of the graph, with its type and the
            axes, a number or a name.
    """

    programs: dict[str, ExportedProgram]
    signature: Signature


def one_graph(graph: nn.Module, inputs: Mapping[str, tuple[Tensor, Axes]]) -> Graphs:
    """The graph "model" of a module that gives a dictionary of tensors.

    Args:
        graph: in evaluation.
        inputs: by the names of the module's arguments, in their order, an example and the axes, a number or a name.
    """
    examples, axes = zip(*inputs.values(), strict=True)
    program = torch.export.export(graph, examples, dynamic_shapes=tuple(map(dynamic, axes)), strict=False)
    check_axes(program, {name: one for name, (_, one) in inputs.items()})
    return Graphs({"model": program}, {"model": _signature(program, {name: one for name, (_, one) in inputs.items()})})


def check_axes(program: ExportedProgram, axes: Mapping[str, Axes]) -> None:
    """See that torch has fixed no axis that may have any size; what comes out of others follows from these."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    for name, own in axes.items():
        for axis, size in zip(own, values[name].shape, strict=True):
            # a size that is fixed is a whole number, or looks like one
            if isinstance(axis, str) and str(size).isdigit():
                raise AssertionError(f"torch has fixed the axis {axis!r} of {name} to {size}")


def _signature(program: ExportedProgram, axes: Mapping[str, Axes]) -> dict[str, dict[str, dict[str, Any]]]:
    """What goes in as it is called here, and what comes out of it by the sizes that torch found."""
    values: dict[Any, Tensor] = {node.name: node.meta["val"] for node in program.graph.nodes if "val" in node.meta}
    inputs = {name: values[name] for name in axes}
    sizes = {
        str(size): axis for name, value in inputs.items() for size, axis in zip(value.shape, axes[name], strict=True)
    }
    spec: Any = program.call_spec.out_spec
    outputs = pytree.tree_unflatten(program.graph_signature.user_outputs, spec)
    return {
        "inputs": {name: about(value.dtype, axes[name]) for name, value in inputs.items()},
        "outputs": {
            name: about(values[node].dtype, [sizes.get(str(size), size) for size in values[node].shape])
            for name, node in outputs.items()
        },
    }
