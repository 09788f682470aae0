"""The Transformer: stacks of attention and position-wise layers in place of recurrence (Vaswani et al. 2017).

| class | what it is |
|---|---|
| TransformerEncoderLayer | self-attention, feed-forward, each in a residual branch |
| TransformerDecoderLayer | the same, between the two attention over the source (none in a language model) |
| TransformerEncoder | embedding, positions, layers: stands where `RecurrentEncoder` does |
| TransformerDecoder | positions, layers, with a cache: stands where the recurrent wirings do |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from heedful import _refusals
from heedful._pytree import register_pytree
from heedful.attention import AttentionState, HeadsMemory, MultiHeadAttention
from heedful.functional import padding_mask
from heedful.layers import (
    Dropout,
    FeedForward,
    LearnedPositions,
    SinusoidalPositions,
    StochasticDepth,
)

from ._sizes import check_size
from .decoders import Decoder, DecoderOutput, Encoded
from .encoders import EncoderOutput, check_lengths
from .protocol import Embedding

Norm = Literal["layer", "rms"]
Positions = SinusoidalPositions | LearnedPositions


class Residual(nn.Module):
    """`x + drop(branch(norm(x)))`, or as in the paper `norm(x + drop(branch(x)))`; called in two halves.

    Pre-norm (Xiong et al. 2020) trains without warm-up; post-norm often ends a little better.

    Args:
        dim: features of a step.
        norm: "layer", or "rms" for the root mean square alone.
        norm_first: normalise what enters the branch, not the sum.
        dropout: share of the branch's features dropped in training.
        drop_path: chance that a batch item skips the branch in training (stochastic depth).

    Raises:
        ValueError: an unknown norm, or a rate that is no share.

    >>> residual = Residual(4)
    >>> x = torch.ones(1, 2, 4)
    >>> residual.join(x, torch.tanh(residual.enter(x))).shape
    torch.Size([1, 2, 4])
    """

    def __init__(
        self, dim: int, norm: Norm = "layer", norm_first: bool = True, dropout: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise _refusals.no_share(dropout)
        self.norm = make_norm(norm, dim)
        self.norm_first = norm_first
        self.dropout, self.drop_path = Dropout(dropout), StochasticDepth(drop_path)

    def enter(self, steps: Float[Tensor, "batch steps dim"]) -> Float[Tensor, "batch steps dim"]:
        """What the branch reads."""
        return self.norm(steps) if self.norm_first else steps

    def join(
        self, steps: Float[Tensor, "batch steps dim"], branch: Float[Tensor, "batch steps dim"]
    ) -> Float[Tensor, "batch steps dim"]:
        """What went around the branch and what came out of it, as one."""
        joined = steps + self.drop_path(self.dropout(branch))
        return joined if self.norm_first else self.norm(joined)


def make_norm(norm: Norm, dim: int) -> nn.Module:
    """One of torch's layers by name.

    Raises:
        ValueError: an unknown name.

    >>> make_norm("rms", 4)
    RMSNorm((4,), eps=None, elementwise_affine=True)
    """
    if norm not in get_args(Norm):
        raise _refusals.unknown_choice("norm", norm, get_args(Norm))
    return nn.LayerNorm(dim) if norm == "layer" else nn.RMSNorm(dim)


class TransformerEncoderLayer(nn.Module):
    """Self-attention and feed-forward, each in a residual branch (Vaswani et al. 2017, section 3.1).

    Args:
        self_attention: looks at the sequence itself; queries and keys have the same features.
        feed_forward: for every step alone.
        residual: norm, its place and the rates of dropout, as `Residual` takes them.

    Raises:
        ValueError: blocks that do not fit each other.

    >>> layer = TransformerEncoderLayer(MultiHeadAttention(8, 2), FeedForward(8, 16), dropout=0.1)
    >>> layer(torch.ones(3, 5, 8))[0].shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, self_attention: MultiHeadAttention, feed_forward: FeedForward, **residual: Any) -> None:
        super().__init__()
        _check_square(self_attention, feed_forward)
        self.dim = self_attention.query_dim
        self.self_attention, self.feed_forward = self_attention, feed_forward
        self.self_residual, self.feed_residual = Residual(self.dim, **residual), Residual(self.dim, **residual)

    def forward(
        self,
        steps: Float[Tensor, "batch steps dim"],
        mask: Bool[Tensor, "#batch #steps #steps"] | None = None,
        need_weights: bool = False,
    ) -> tuple[Float[Tensor, "batch steps dim"], Float[Tensor, "batch heads steps steps"] | None]:
        """The steps, each having looked at the others; and the weights if asked for.

        Args:
            steps: `[batch, steps, dim]`.
            mask: boolean, broadcasts to `[batch, steps, steps]`, True = may look.
            need_weights: return the weights of every head, too.
        """
        entering = self.self_residual.enter(steps)
        output = self.self_attention(entering, entering, mask=mask, need_weights=need_weights)
        steps = self.self_residual.join(steps, output.context)
        return self.feed_residual.join(steps, self.feed_forward(self.feed_residual.enter(steps))), output.weights


@register_pytree
@dataclass(frozen=True)
class LayerState:
    """What one decoder layer leaves for the next step: its cache, and the states of its two attentions."""

    memory: HeadsMemory | None = None
    looked_back: AttentionState | None = None
    looked: AttentionState | None = None


class TransformerDecoderLayer(nn.Module):
    """Self-attention over what was said, attention over the source, feed-forward (Vaswani et al. 2017, section 3.1).

    Args:
        self_attention: looks at the steps so far; its attention needs a window that hides the steps to come.
        attention: looks at the source; `None` for a language model.
        feed_forward: for every step alone.
        residual: norm, its place and the rates of dropout, as `Residual` takes them.

    Raises:
        ValueError: blocks that do not fit each other, or a self-attention that sees the steps to come.

    >>> from heedful.attention import Attention
    >>> from heedful.attention.scores import ScaledDotScore
    >>> from heedful.attention.windows import CausalWindow
    >>> causal = MultiHeadAttention(8, 2, attention=Attention(ScaledDotScore(4), CausalWindow()))
    >>> layer = TransformerDecoderLayer(causal, MultiHeadAttention(8, 2, key_dim=6), FeedForward(8, 16))
    >>> steps, memory = torch.ones(3, 5, 8), layer.attention.remember(torch.ones(3, 7, 6))
    >>> layer(steps, LayerState(), memory).features.shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        self_attention: MultiHeadAttention,
        attention: MultiHeadAttention | None,
        feed_forward: FeedForward,
        **residual: Any,
    ) -> None:
        super().__init__()
        _check_square(self_attention, feed_forward)
        if not self_attention.attention.window.aligned_to_end:
            raise ValueError(
                f"self_attention has a {type(self_attention.attention.window).__name__}, which may show the steps to "
                "come; expected a window for self-attention, such as CausalWindow()."
            )
        self.dim = self_attention.query_dim
        if attention is not None:
            check_size("attention's query_dim", attention.query_dim, self.dim, "the features of a step")
        self.self_attention, self.attention, self.feed_forward = self_attention, attention, feed_forward
        self.self_residual, self.feed_residual = Residual(self.dim, **residual), Residual(self.dim, **residual)
        self.residual = None if attention is None else Residual(self.dim, **residual)

    def forward(
        self,
        steps: Float[Tensor, "batch steps dim"],
        state: LayerState,
        memory: Any = None,
        need_weights: bool = False,
    ) -> DecoderOutput:
        """The next steps, the state after them, and what they looked at: the source, or without one each other alone.

        Args:
            steps: `[batch, steps, dim]`, behind those that the state holds.
            state: `LayerState()` to begin, then what the last call returned.
            memory: what `attention.remember` made of the source.
            need_weights: return the weights of every head, too.
        """
        entering = self.self_residual.enter(steps)
        if state.memory is None:
            own = self.self_attention.remember(entering)
        else:
            own = self.self_attention.extend(state.memory, entering)
        back, looked_back = self.self_attention.look(entering, own, state.looked_back, need_weights)
        steps, looked, weights, beside = self.self_residual.join(steps, back.context), None, back.weights, None
        if self.attention is not None and self.residual is not None:
            look, looked = self.attention.look(self.residual.enter(steps), memory, state.looked, need_weights)
            steps, weights, beside = self.residual.join(steps, look.context), look.weights, back.weights
        steps = self.feed_residual.join(steps, self.feed_forward(self.feed_residual.enter(steps)))
        return DecoderOutput(steps, LayerState(own, looked_back, looked), weights, beside)


class _Stack(nn.Module):
    """What encoder and decoder share: scaled embeddings with positions below, a norm above pre-norm layers."""

    def __init__(
        self,
        layers: Sequence[TransformerEncoderLayer] | Sequence[TransformerDecoderLayer],
        positions: Positions | None,
        dropout: float,
    ) -> None:
        super().__init__()
        if not layers:
            raise ValueError("layers is empty; expected at least one layer.")
        self.layers: Any = nn.ModuleList(layers)
        self.dim = layers[0].dim
        for number, layer in enumerate(layers):
            check_size(f"layer {number}'s dim", layer.dim, self.dim, "that of layer 0")
        if positions is not None:
            check_size("positions' dim", positions.dim, self.dim, "the features of a step")
        self.positions, self.dropout = positions, Dropout(dropout)
        first = layers[0].self_residual
        kind: Norm = "layer" if isinstance(first.norm, nn.LayerNorm) else "rms"
        self.norm = make_norm(kind, self.dim) if first.norm_first else nn.Identity()

    def enter(
        self, embedded: Float[Tensor, "batch steps dim"], offset: Int[Tensor, " batch"] | int = 0
    ) -> Float[Tensor, "batch steps dim"]:
        """Embeddings times the square root of their size (section 3.4), with positions (section 3.5) and dropout."""
        scaled = embedded * math.sqrt(self.dim)
        return self.dropout(scaled if self.positions is None else self.positions(scaled, offset))


class TransformerEncoder(nn.Module):
    """Embedding, positions and encoder layers; padding is neither looked at nor shown.

    Args:
        embedding: ids to vectors of the layers' size, without dropout; `None` where the source is vectors already.
        layers: from bottom to top.
        positions: added to the embeddings; `None` where the attention knows places by itself (rotation, biases).
        dropout: share of the sums at the foot dropped in training.

    Raises:
        ValueError: blocks that do not fit each other; in a call, lengths that do not fit, or a sentence beyond a
            learned table of positions.

    >>> from heedful.layers import TokenEmbedding
    >>> layers = [TransformerEncoderLayer(MultiHeadAttention(8, 2), FeedForward(8, 16)) for _ in range(3)]
    >>> encoder = TransformerEncoder(TokenEmbedding(11, 8), layers, SinusoidalPositions(8))
    >>> encoded = encoder(torch.tensor([[4, 5, 6], [7, 0, 0]]), torch.tensor([3, 1]))
    >>> encoded.outputs.shape, encoded.summary.shape, bool(encoded.outputs[1, 1:].any())
    (torch.Size([2, 3, 8]), torch.Size([2, 8]), False)
    """

    def __init__(
        self,
        embedding: Embedding | None,
        layers: Sequence[TransformerEncoderLayer],
        positions: Positions | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stack = _Stack(layers, positions, dropout)
        if embedding is not None:
            check_size("embedding's dim", embedding.dim, self.stack.dim, "the features of a step")
        self.embedding: Any = nn.Identity() if embedding is None else embedding
        self.output_dim = self.stack.dim

    def forward(
        self,
        source: Int[Tensor, "batch source_len"] | Float[Tensor, "batch source_len dim"],
        lengths: Int[Tensor, " batch"] | None = None,
        need_weights: bool = False,
    ) -> EncoderOutput:
        """Read `source`; what stands behind `lengths` has no influence. The summary is the mean of the real steps.

        Args:
            source: token ids, `[batch, source_len]`; without an embedding, vectors `[batch, source_len, dim]`.
            lengths: real tokens of each sentence, at least 1; all of them when left out.
            need_weights: return what every layer and head looked at, too.
        """
        mask = None
        if lengths is not None:
            check_lengths(lengths, *source.shape[:2])
            mask = padding_mask(lengths, source.shape[1])
        steps, weights = self.stack.enter(self.embedding(source)), []
        for layer in self.stack.layers:
            steps, looked = layer(steps, mask, need_weights)
            weights.append(looked)
        outputs = self.stack.norm(steps)
        count = outputs.new_full((len(outputs), 1), outputs.shape[1]) if lengths is None else lengths.unsqueeze(1)
        if mask is not None:
            outputs = outputs.masked_fill(~mask.transpose(1, 2), 0)
        return EncoderOutput(outputs, outputs.sum(1) / count, torch.stack(weights, 1) if need_weights else None)


@register_pytree
@dataclass(frozen=True)
class TransformerState:
    """Between two steps: the place of the next one, and what each layer keeps (`None` before the first)."""

    position: Int[Tensor, " batch"]
    layers: tuple[LayerState, ...]


class TransformerDecoder(Decoder):
    """Positions and decoder layers, with a cache in the state: all steps in one call, or one after another.

    Args:
        layers: from bottom to top; all look at a source, or none does (a language model).
        positions: added to the embeddings; `None` where the attention knows places by itself (rotation, biases).
        dropout: share of the sums at the foot dropped in training.

    Raises:
        ValueError: blocks that do not fit each other; in a call, a step beyond a learned table of positions.

    The weights it returns are those of every layer and head over the source,
    `[batch, layers, heads, steps, source_len]`, and beside them of every layer and head over the steps so far; without
    a source the latter stand in their place.
    """

    def __init__(
        self, layers: Sequence[TransformerDecoderLayer], positions: Positions | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stack = _Stack(layers, positions, dropout)
        looks = [layer.attention for layer in layers if layer.attention is not None]
        if len(looks) not in (0, len(layers)):
            raise ValueError(
                f"{len(looks)} of {len(layers)} layers look at a source; expected all, or none for a language model."
            )
        for number, look in enumerate(looks):
            check_size(f"layer {number}'s attention's key_dim", look.key_dim, looks[0].key_dim, "that of layer 0")
        self.embedding_dim = self.output_dim = self.stack.dim
        self.summary_dim = looks[0].key_dim if looks else self.stack.dim

    def remember(self, encoded: EncoderOutput, mask: Bool[Tensor, "batch 1 source_len"]) -> Encoded:
        """Project the encoder's outputs for every layer, once per sentence."""
        memories = tuple(layer.attention.remember(encoded.outputs, mask=mask) for layer in self.stack.layers)
        return Encoded(memories, encoded.summary)

    def start(self, encoded: Encoded) -> TransformerState:
        """The state before the first token."""
        position = torch.zeros(encoded.summary.shape[0], dtype=torch.long, device=encoded.summary.device)
        return TransformerState(position, (LayerState(),) * len(self.stack.layers))

    def forward(
        self,
        embedded: Float[Tensor, "batch steps dim"],
        state: TransformerState,
        encoded: Encoded,
        need_weights: bool = False,
    ) -> DecoderOutput:
        steps, outputs = self.stack.enter(embedded, state.position), []
        memories = encoded.memory or (None,) * len(self.stack.layers)
        for layer, before, memory in zip(self.stack.layers, state.layers, memories, strict=True):
            outputs.append(layer(steps, before, memory, need_weights))
            steps = outputs[-1].features
        after = TransformerState(state.position + embedded.shape[1], tuple(output.state for output in outputs))
        weights = _stacked([output.weights for output in outputs])
        beside = _stacked([output.self_weights for output in outputs])
        return DecoderOutput(self.stack.norm(steps), after, weights, beside)


def _stacked(weights: Sequence[Tensor | None]) -> Tensor | None:
    """The weights of every layer as one tensor, where they were asked for."""
    found = [one for one in weights if one is not None]
    return torch.stack(found, 1) if found else None


def _check_square(self_attention: MultiHeadAttention, feed_forward: FeedForward) -> None:
    dim = self_attention.query_dim
    check_size("self_attention's key_dim", self_attention.key_dim, dim, "its query_dim: it looks at its own steps")
    check_size("feed_forward's dim", feed_forward.dim, dim, "the features of a step")
