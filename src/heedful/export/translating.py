"""What reads a source and says tokens, translators and writers of captions, as the graphs "encoder" and "step".

The encoder graph is `source, lengths -> memory, state`. Both take any batch, source length and number of steps.

Where words are copied, `source` may have ids from the size of the vocabulary on, `memory.source` holds them for the
steps, and the logits of a step are log-probabilities of the vocabulary and of as many further ids as the source has
tokens.
"""

import copy
from dataclasses import replace
from math import prod
from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from heedful.models import ConvolutionalEncoder, Decoder, RegionEncoder, RegionProjection, Seq2Seq
from heedful.models.decoders import DecoderState, Encoded
from heedful.models.protocol import StepOutput
from heedful.models.transformer import LayerState, TransformerState

from .programs import Graphs
from .recurrent import scanned
from .steps import Example, First, two_graphs
from .trees import Plain, named


class EncoderGraph(nn.Module):
    """A source and `lengths [batch]` to what the steps look at, and the state before the first.

    Args:
        model: what is exported.
    """

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = _without(scanned(model), "embedding", "output")

    def forward(
        self, source: Shaped[Tensor, "batch source_len ..."], lengths: Int[Tensor, " batch"]
    ) -> dict[str, dict[str, Tensor]]:
        encoded = self.model.encode(source, lengths)
        return {"memory": named(_kept(encoded)), "state": named(first_state(self.model.decoder, encoded))}


class _Step(nn.Module):
    """A step of a model, without its encoder."""

    def __init__(self, model: Seq2Seq) -> None:
        super().__init__()
        self.model = _without(model, "encoder")

    def forward(self, tokens: Tensor, state: Any, memory: Any) -> tuple[StepOutput, Any]:
        look, ids = (memory, None) if self.model.copying is None else (memory["look"], memory["source"])
        # no step reads the summary
        return self.model.step(tokens, state, Encoded(look, torch.zeros(tokens.shape[0], 0), ids), need_weights=True)


def _without(model: Seq2Seq, *names: str) -> Any:
    """The model without some of its blocks: what a program holds is written down."""
    part = copy.copy(model)
    part._modules = {name: block for name, block in model._modules.items() if name not in names}
    return part


def _kept(encoded: Encoded) -> Any:
    """What the steps work from: what they look at, and beside it the ids of the source where these are copied."""
    return encoded.memory if encoded.source_ids is None else {"look": encoded.memory, "source": encoded.source_ids}


def seq2seq_graphs(model: Seq2Seq) -> Graphs:
    """Encoder and step of a model, in evaluation.

    Args:
        model: an encoder-decoder with any encoder and any wiring, as `make_graphs` makes it ready.
    """
    encoder: Any = model.encoder
    pixels = isinstance(encoder, ConvolutionalEncoder)
    # of so many columns of pixels one is left
    shrinks = prod(across for _, across in encoder.strides) if pixels else 1
    features = features_of(model)

    def read(batch: int, source_len: int) -> tuple[Tensor, Tensor]:
        shape, lengths = (batch, source_len * shrinks), torch.full((batch,), source_len * shrinks)
        return (torch.full(shape, 4) if features is None else torch.ones(*shape, features)), lengths

    def example(batch: int, source_len: int, steps: int) -> Example:
        with Plain():
            encoded = model.encode(*read(batch, source_len))
            state = first_state(model.decoder, encoded)
            for _ in range(steps):
                _, state = model.step(torch.full((batch,), 4), state, encoded)
        return Example(_kept(encoded), state)

    source, lengths = read(2, 5)
    axes = ("batch", "source") if features is None else ("batch", "source", features)
    inputs = {"source": (source, axes), "lengths": (lengths, ("batch",))}
    first = First("encoder", EncoderGraph(model), inputs, keys="regions" if pixels else "source")
    words = model.output.vocab_size
    return two_graphs(first, _Step(model), example, words if model.copying is None else f"{words} + source")


def features_of(model: Seq2Seq) -> int | None:
    """Numbers of a region, or of a column of pixels, that the encoder reads; `None` of one that reads tokens."""
    encoder: Any = model.encoder
    if isinstance(encoder, ConvolutionalEncoder):
        return encoder.height * encoder.planes
    projection = encoder.projection if isinstance(encoder, RegionEncoder) else encoder.embedding
    return projection.project.in_features if isinstance(projection, RegionProjection) else None


def first_state(decoder: Decoder, encoded: Encoded) -> Any:
    """The state before the first token, with all the tensors that later states have: caches of no step."""
    state: Any = decoder.start(encoded)
    blocks: Any = decoder
    if isinstance(state, TransformerState):
        steps = torch.zeros(encoded.summary.shape[0], 2, decoder.embedding_dim)
        layers = zip(blocks.stack.layers, encoded.memory, strict=True)
        return replace(state, layers=tuple(_first_layer_state(layer, memory, steps) for layer, memory in layers))
    if isinstance(state, DecoderState) and encoded.memory is not None:
        return replace(state, attention=_begun(blocks.attention, encoded.memory))
    return state


def _first_layer_state(layer: Any, memory: Any, steps: Tensor) -> LayerState:
    own = layer.self_attention
    # one step, or two, taken off again: ONNX cannot reshape what has no elements
    one, two = ((past, _begun(own, past)) for past in (own.remember(steps[:, :count]) for count in (1, 2)))
    past, back = pytree.tree_map(_before_steps, one, two)
    return LayerState(past, back, _begun(layer.attention, memory))


def _before_steps(one: Any, two: Any) -> Any:
    """A tensor of a state without steps, from those with one and with two: none along the axis that counts them."""
    sizes = zip(one.shape, two.shape, strict=True) if isinstance(one, Tensor) else ()
    for axis, (few, more) in enumerate(sizes):
        if isinstance(few, int) and few != more:
            return one.narrow(axis, 0, 0)
    return one


def _begun(attention: Any, memory: Any) -> Any:
    # layers that are not made of parts have no more state than they begin with
    return attention.start(memory) if hasattr(attention, "start") else attention.begin(memory)
