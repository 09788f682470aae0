"""Models that say token after token as two graphs of plain tensors: one reads, the other takes a step.

Memory, what the steps look at, and state are dictionaries of tensors, batch axis first, whose names say where in the
model they stand. The step graph is `tokens, state, memory -> logits, alignment, state`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from .programs import Axes, Graphs, check_axes
from .trees import Tensors, about, dynamic, filled, named, structure

TOKENS_AXES = ("batch",)
PLACES = ("memory", "state")


@dataclass(frozen=True)
class Example:
    """Where a model stands so many steps after it has read something, as trees of tensors."""

    memory: Any
    state: Any

    def tensors(self) -> dict[str, Tensors]:
        """Both by name."""
        return {"memory": named(self.memory), "state": named(self.state)}


@dataclass(frozen=True)
class First:
    """The graph that is run once, before the steps.

    Attributes:
        name: what it is called.
        graph: gives a dictionary with "memory" and "state", and before them "logits" where it `says` some.
        inputs: by the names of its arguments, in their order, an example and the axes.
        says: whether it gives logits of the first token.
        keys: what the axis of what it has read is called in memory and state.
        past: steps in the caches of the state that it gives.
    """

    name: str
    graph: nn.Module
    inputs: Mapping[str, tuple[Tensor, Axes]]
    says: bool = False
    keys: str = "source"
    past: str | int = 0


class StepGraph(nn.Module):
    """The last tokens `[batch]` to logits `[batch, vocabulary]` of the next, alignment `[batch, source]` and state.

    Args:
        step: maps tokens, state and memory to what `step` of a model gives.
        base: one state and one memory, whose structure stays.
    """

    def __init__(self, step: Any, base: Example) -> None:
        super().__init__()
        self.step = step
        self.state, self.memory = structure(base.state), structure(base.memory)

    def forward(self, tokens: Int[Tensor, " batch"], state: Tensors, memory: Tensors) -> dict[str, Any]:
        output, after = self.step(tokens, filled(self.state, state), filled(self.memory, memory))
        looked = {} if output.weights is None else {"alignment": output.weights}
        return {"logits": output.logits, **looked, "state": named(after)}


def two_graphs(first: First, step: nn.Module, example: Callable[[int, int, int], Example], words: str | int) -> Graphs:
    """The graph that reads, and "step".

    Args:
        first: what reads.
        step: maps tokens, state and memory to what `step` of a model gives.
        example: where the model stands for so many items of a batch, tokens that are read, and steps.
        words: how many have a logit in a step.
    """
    base = example(2, 5, 3)
    axes, tensors = _axes(example, base, first.keys), base.tensors()
    examples, own = zip(*first.inputs.values(), strict=True)
    read = torch.export.export(first.graph, examples, dynamic_shapes=tuple(map(dynamic, own)), strict=False)
    check_axes(read, dict(zip(first.inputs, own, strict=True)))
    # torch would ask of the views among them that what they view stays alike
    given = ({name: one.clone() for name, one in tensors[kind].items()} for kind in ("state", "memory"))
    inputs = torch.full((2,), 4), *given
    sizes = dynamic(TOKENS_AXES), *({name: dynamic(one) for name, one in axes[kind].items()} for kind in PLACES[::-1])
    taken = torch.export.export(StepGraph(step, base), inputs, dynamic_shapes=sizes, strict=False)

    def told(kind: str, prefix: str, past: str | int = "past") -> dict[str, dict[str, Any]]:
        return {
            f"{prefix}.{name}": about(tensors[kind][name].dtype, [past if one == "past" else one for one in shape])
            for name, shape in axes[kind].items()
        }

    memory, logits = told("memory", "memory"), {"logits": about(torch.float32, ["batch", words])}
    looked = {"alignment": about(torch.float32, ["batch", first.keys])} if memory else {}
    tokens = {"tokens": about(torch.int64, TOKENS_AXES)}
    signature = {
        first.name: {
            "inputs": {name: about(one.dtype, shape) for name, (one, shape) in first.inputs.items()},
            "outputs": {**(logits if first.says else {}), **memory, **told("state", "state", first.past)},
        },
        "step": {
            "inputs": {**tokens, **told("state", "state"), **memory},
            "outputs": {**logits, **looked, **told("state", "next", "past + 1")},
        },
    }
    return Graphs({first.name: read, "step": taken}, signature)


def _axes(example: Callable[[int, int, int], Example], base: Example, keys: str) -> dict[str, dict[str, Axes]]:
    """What each axis of each tensor counts: the number that it follows when batch, source or steps are others."""
    own = base.tensors()
    found: dict[str, dict[str, list[str | int]]] = {
        kind: {name: [*tensor.shape] for name, tensor in tensors.items()} for kind, tensors in own.items()
    }
    for axis, sizes in {"batch": (4, 5, 3), keys: (2, 7, 3), "past": (2, 5, 6)}.items():
        for kind, tensors in example(*sizes).tensors().items():
            for name, tensor in tensors.items():
                follows = (one != other for one, other in zip(own[kind][name].shape, tensor.shape, strict=True))
                found[kind][name] = [
                    axis if moved else size for moved, size in zip(follows, found[kind][name], strict=True)
                ]
    return {kind: dict(shapes) for kind, shapes in found.items()}
