"""A translation model as two graphs of plain tensors: one reads the source, the other takes a step.

The encoder graph is `source, lengths -> memory, state`, the step graph `tokens, state, memory -> logits, alignment,
state`; memory and state are dictionaries of tensors, batch axis first, whose names say where in the model they stand.
Both take any batch, source length and number of steps.
"""

import copy
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from heedful._pytree import map_tensors
from heedful.functional import padding_mask
from heedful.models import Decoder, RecurrentEncoder, Seq2Seq
from heedful.models.decoders import DecoderState, Encoded
from heedful.models.transformer import LayerState, TransformerState

from .recurrent import read_recurrent
from .refusals import refuse_copying, refuse_pictures, refuse_stateful

Tensors = dict[str, Tensor]
SOURCE_AXES = (("batch", "source"), ("batch",))
TOKENS_AXES = ("batch",)
KINDS = ("memory", "state")
# graph -> "inputs" or "outputs" -> name -> {"type": "float32", "shape": ["batch", 96]}
Axes = dict[tuple[str, str], tuple[str | int, ...]]
Signature = dict[str, dict[str, dict[str, dict[str, Any]]]]


@dataclass(frozen=True)
class Graphs:
    """Both graphs as programs of `torch.export`, and what goes in and out of them.

    Attributes:
        encoder: `(source, lengths) -> {"memory": ..., "state": ...}`.
        step: `(tokens, state, memory) -> {"logits": ..., "alignment": ..., "state": ...}`; no alignment without
            attention.
        signature: for "encoder" and "step", "inputs" and "outputs": every tensor's name in the order of the graph, with
            its type and the axes, a number or a name.
    """

    encoder: ExportedProgram
    step: ExportedProgram
    signature: Signature


class EncoderGraph(nn.Module):
    """`source [batch, source], lengths [batch]` to what the steps look at, and the state before the first.

    Args:
        model: what is exported.
    """

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        # and no more of it: what a program holds is written down
        self.encoder: Any = model.encoder
        self.decoder = model.decoder

    def forward(
        self, source: Int[Tensor, "batch source_len"], lengths: Int[Tensor, " batch"]
    ) -> dict[str, dict[str, Tensor]]:
        recurrent = isinstance(self.encoder, RecurrentEncoder)
        read = read_recurrent(self.encoder, source, lengths) if recurrent else self.encoder(source, lengths)
        encoded = self.decoder.remember(read, padding_mask(lengths, source.shape[1]))
        return {"memory": named(encoded.memory), "state": named(first_state(self.decoder, encoded))}


class StepGraph(nn.Module):
    """The last tokens `[batch]` to logits `[batch, vocabulary]` of the next, alignment `[batch, source]` and state.

    Args:
        model: what is exported.
        state: one of its states, whose structure stays.
        memory: one of its memories.
    """

    def __init__(self, model: Seq2Seq, state: Any, memory: Any) -> None:
        super().__init__()
        self.model = model
        self.state, self.memory = _structure(state), _structure(memory)

    def forward(self, tokens: Int[Tensor, " batch"], state: Tensors, memory: Tensors) -> dict[str, Any]:
        # no step reads the summary
        encoded = Encoded(_filled(self.memory, memory), torch.zeros(tokens.shape[0], 0))
        output, after = self.model.step(tokens, _filled(self.state, state), encoded, need_weights=True)
        looked = {} if output.weights is None else {"alignment": output.weights}
        return {"logits": output.logits, **looked, "state": named(after)}


def make_graphs(model: Seq2Seq) -> Graphs:
    """Both graphs of a model, in evaluation.

    Args:
        model: an encoder-decoder with any encoder of text and any wiring.

    Raises:
        ExportError: it reads pictures, it copies words of its source, or its attention keeps a state from step to step
            that is there from the first step on only.
    """
    refuse_pictures(model)
    refuse_copying(model)
    refuse_stateful(model)
    model = copy.deepcopy(model).cpu().float().eval()
    with torch.no_grad(), quiet():
        base = _example(model, 2, 5, 3)
        axes, tensors = _axes(model, base), base.tensors()
        own = {kind: {name: tensors[place, name] for place, name in tensors if place == kind} for kind in KINDS}
        encoder = torch.export.export(
            EncoderGraph(model), base.source, dynamic_shapes=tuple(map(_dynamic, SOURCE_AXES)), strict=False
        )
        del model.encoder  # no step reads it
        step = torch.export.export(
            StepGraph(model, base.state, base.memory),
            (torch.full((2,), 4), own["state"], own["memory"]),
            dynamic_shapes=(
                _dynamic(TOKENS_AXES),
                *({name: _dynamic(axes[kind, name]) for name in own[kind]} for kind in ("state", "memory")),
            ),
            strict=False,
        )
    return Graphs(encoder, step, _signature(model, axes, tensors))


def _signature(model: Seq2Seq, axes: Axes, tensors: dict[tuple[str, str], Tensor]) -> Signature:
    def told(kind: str, prefix: str, past: str | int = "past") -> dict[str, dict[str, Any]]:
        found = {name: shape for (place, name), shape in axes.items() if place == kind}
        return {
            f"{prefix}.{name}": _about(tensors[kind, name], [past if one == "past" else one for one in shape])
            for name, shape in found.items()
        }

    ids, floats = torch.zeros(0, dtype=torch.long), torch.zeros(0)
    memory, state = told("memory", "memory"), told("state", "state")
    looked = {"alignment": _about(floats, ["batch", "source"])} if memory else {}
    logits = {"logits": _about(floats, ["batch", model.output.vocab_size])}
    source, lengths = (_about(ids, list(shape)) for shape in SOURCE_AXES)
    return {
        "encoder": {
            "inputs": {"source": source, "lengths": lengths},
            "outputs": {**memory, **told("state", "state", 0)},
        },
        "step": {
            "inputs": {"tokens": _about(ids, list(TOKENS_AXES)), **state, **memory},
            "outputs": {**logits, **looked, **told("state", "next", "past + 1")},
        },
    }


def _about(tensor: Tensor, shape: list[str | int]) -> dict[str, Any]:
    return {"type": str(tensor.dtype).removeprefix("torch."), "shape": shape}


def named(tree: Any) -> Tensors:
    """The tensors of a pytree by their path, such as `layers.0.memory.key`.

    >>> named({"key": torch.ones(2), "mask": None})
    {'key': tensor([1., 1.])}
    """
    leaves = pytree.tree_flatten_with_path(tree)[0]
    return {_path(path): leaf for path, leaf in leaves if isinstance(leaf, Tensor)}


def first_state(decoder: Decoder, encoded: Encoded) -> Any:
    """The state before the first token, with all the tensors that later states have: caches of no step."""
    state: Any = decoder.start(encoded)
    blocks: Any = decoder
    if isinstance(state, TransformerState):
        step = torch.zeros(encoded.summary.shape[0], 1, decoder.embedding_dim)
        layers = zip(blocks.stack.layers, encoded.memory, strict=True)
        return replace(state, layers=tuple(_first_layer_state(layer, memory, step) for layer, memory in layers))
    if isinstance(state, DecoderState) and encoded.memory is not None:
        return replace(state, attention=blocks.attention.begin(encoded.memory))
    return state


def _first_layer_state(layer: Any, memory: Any, step: Tensor) -> LayerState:
    # a step taken off again: ONNX cannot reshape what has no elements
    own = map_tensors(lambda tensor: tensor[:, :, :0], layer.self_attention.remember(step))
    return LayerState(own, layer.self_attention.begin(own), layer.attention.begin(memory))


@dataclass(frozen=True)
class _Example:
    """A source and where a model stands so many steps later, as trees of tensors."""

    source: tuple[Tensor, Tensor]
    memory: Any
    state: Any

    def tensors(self) -> dict[tuple[str, str], Tensor]:
        both = {"memory": named(self.memory), "state": named(self.state)}
        return {(kind, name): tensor for kind, tensors in both.items() for name, tensor in tensors.items()}


def _example(model: Seq2Seq, batch: int, source_len: int, steps: int) -> _Example:
    source = torch.full((batch, source_len), 4), torch.full((batch,), source_len)
    with _Plain():
        encoded = model.encode(*source)
        state = first_state(model.decoder, encoded)
        for _ in range(steps):
            _, state = model.step(torch.full((batch,), 4), state, encoded)
    return _Example(source, encoded.memory, state)


class _Plain(TorchDispatchMode):
    """Operators as they are; under any such mode nothing is prepared for kernels that a graph cannot call."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def _axes(model: Seq2Seq, base: _Example) -> Axes:
    """What each axis of each tensor counts: the number that it follows when batch, source or steps are others."""
    others = {"batch": (4, 5, 3), "source": (2, 7, 3), "past": (2, 5, 6)}
    found: dict[tuple[str, str], list[str | int]] = {place: [*tensor.shape] for place, tensor in base.tensors().items()}
    for name, sizes in others.items():
        for place, tensor in _example(model, *sizes).tensors().items():
            follows = (own != other for own, other in zip(base.tensors()[place].shape, tensor.shape, strict=True))
            found[place] = [name if moved else size for moved, size in zip(follows, found[place], strict=True)]
    return {place: tuple(axes) for place, axes in found.items()}


def _dynamic(axes: tuple[str | int, ...]) -> dict[int, Any]:
    # not a named Dim: torch cannot prove of it that strides of caches grow with the steps, and gives up
    return {number: Dim.AUTO for number, axis in enumerate(axes) if isinstance(axis, str)}


def _path(path: Any) -> str:
    """Fields, keys and places on the way to a leaf, joined by points."""
    return re.sub(r"[\[\]'.]+", ".", pytree.keystr(path)).strip(".")


def _structure(tree: Any) -> tuple[list[Any], Any, list[str]]:
    """A tree without its tensors: leaves, how they hang together, and their names."""
    leaves, spec = pytree.tree_flatten_with_path(tree)
    return [None if isinstance(leaf, Tensor) else leaf for _, leaf in leaves], spec, [_path(path) for path, _ in leaves]


def _filled(structure: tuple[list[Any], Any, list[str]], tensors: Tensors) -> Any:
    """The tree again, with these tensors in their places."""
    leaves, spec, names = structure
    return pytree.tree_unflatten([tensors.get(name, leaf) for name, leaf in zip(names, leaves, strict=True)], spec)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch says of its own internals: parameters looked up anew, packages that it could use."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
