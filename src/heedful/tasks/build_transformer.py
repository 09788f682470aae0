"""From a recipe's numbers to the stacks of a Transformer."""

from typing import Any

from heedful._errors import RecipeError
from heedful.attention import Attention, MultiHeadAttention, QueryKeyTransform, normalizers, scores, windows
from heedful.attention.scores import ContentBiasScore, DotScore, ScaledDotScore, Score
from heedful.attention.windows import (
    AlibiBias,
    AndWindow,
    BucketedRelativeBias,
    CausalWindow,
    RelativeBias,
    RelativeWindow,
    Window,
    alibi_slopes,
)
from heedful.layers import (
    FeedForward,
    LearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
    TokenEmbedding,
)
from heedful.models import (
    RegionProjection,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

from .model_options import ModelOptions
from .parts import build_part
from .transformer_options import PlaceOptions

# distances with a vector of their own, Shaw et al. 2018, section 4.1
SHAW_REACH = 16


def transformer_encoder(options: ModelOptions, embedding: TokenEmbedding | RegionProjection) -> TransformerEncoder:
    """The encoder of the section.

    Raises:
        RecipeError: numbers or parts that do not fit each other.
    """
    layers = [
        TransformerEncoderLayer(_heads(options, "encoder_self", [near]), _feed_forward(options), **_residual(options))
        for near in _distance_windows(options, options.encoder_layers, causal=False)
    ]
    return TransformerEncoder(embedding, layers, _positions(options), options.dropout)


def transformer_decoder(options: ModelOptions, source_dim: int | None) -> TransformerDecoder:
    """The decoder of the section, over an encoder with `source_dim` features; without one, a language model's.

    Raises:
        RecipeError: numbers or parts that do not fit each other.
    """
    layers = [
        TransformerDecoderLayer(
            _heads(options, "decoder_self", [near, CausalWindow()]),
            None if source_dim is None else _heads(options, "cross", [], source_dim),
            _feed_forward(options),
            **_residual(options),
        )
        for near in _distance_windows(options, options.decoder_layers, causal=True)
    ]
    return TransformerDecoder(layers, _positions(options), options.dropout)


def _heads(
    options: ModelOptions, name: str, beside: list[Window | None], key_dim: int | None = None
) -> MultiHeadAttention:
    """One of the three attentions; `beside` are the windows that stand beside that of the recipe."""
    own, dim = options.transformer, options.embedding_dim
    head_dim = _head_dim(options)
    place: PlaceOptions = getattr(own, name)
    key = f"model.transformer.{name}"
    sizes = {"query_dim": head_dim, "key_dim": head_dim, "dim": head_dim, "hidden_dim": head_dim, "heads": own.heads}
    sizes |= {"causal": name == "decoder_self", "bidirectional": name != "decoder_self"}
    if place.window is not None:
        slopes = {"slopes": alibi_slopes(own.heads).tolist()}
        window = build_part(windows, place.window, sizes | slopes, f"{key}.window")
        if name == "decoder_self" and not window.aligned_to_end:
            raise RecipeError(
                f"{key}.window is {place.window.name!r}, which places queries over a source of known length; expected "
                "a window for self-attention, such as sliding"
            )
        beside = [window, *beside]
    shown = [window for window in beside if window is not None]
    normalizer = build_part(normalizers, place.normalizer or own.normalizer, {}, f"{key}.normalizer")
    rotates = own.positions == "rotary" and name != "cross"
    rotation = RotaryPositions(head_dim - head_dim % 2) if rotates else None
    transform = QueryKeyTransform(head_dim, own.qk_norm, rotation) if rotation or own.qk_norm else None
    try:
        attention = Attention(
            _score(options, name, sizes),
            AndWindow(*shown) if len(shown) > 1 else shown[0] if shown else None,
            normalizer,
            own.attention_dropout,
        )
        return MultiHeadAttention(
            dim, own.heads, key_dim, num_kv_heads=own.kv_heads, attention=attention, transform=transform
        )
    except RecipeError:
        raise
    except ValueError as error:
        raise RecipeError(f"{key}: {error}") from None


def _head_dim(options: ModelOptions) -> int:
    heads, dim = options.transformer.heads, options.embedding_dim
    if dim % heads:
        raise RecipeError(
            f"model.transformer.heads is {heads}, which does not divide model.embedding_dim, {dim}; set either so "
            "that it does"
        )
    return dim // heads


def _score(options: ModelOptions, name: str, sizes: dict[str, Any]) -> Score:
    own, head_dim = options.transformer, sizes["dim"]
    asked = getattr(own, name).score
    if asked is not None:
        return build_part(scores, asked, sizes, f"model.transformer.{name}.score")
    if own.positions == "transformer_xl" and name != "cross":
        return ContentBiasScore(head_dim)
    return DotScore(head_dim) if own.qk_norm == "l2" else ScaledDotScore(head_dim)


def _distance_windows(options: ModelOptions, layers: int, causal: bool) -> list[Window | None]:
    """What shows distances to the self-attention of each layer; `None` for other positions."""
    if options.transformer.positions == "t5":
        return [_distance_window(options, causal)] * layers
    return [_distance_window(options, causal) for _ in range(layers)]


def _distance_window(options: ModelOptions, causal: bool) -> Window | None:
    own, head_dim = options.transformer, _head_dim(options)
    if own.positions == "alibi":
        return AlibiBias(alibi_slopes(own.heads))
    if own.positions == "t5":
        return BucketedRelativeBias(bidirectional=not causal, heads=own.heads)
    if own.positions == "shaw":
        return RelativeBias(head_dim, SHAW_REACH)
    if own.positions == "transformer_xl":
        # places of any even size: W brings them to that of a head
        return RelativeWindow(head_dim, head_dim + head_dim % 2, causal)
    return None


def _feed_forward(options: ModelOptions) -> FeedForward:
    own = options.transformer
    return FeedForward(options.embedding_dim, own.hidden_units, own.activation, own.activation_dropout)


def _residual(options: ModelOptions) -> dict:
    own = options.transformer
    return {"norm": own.norm, "norm_first": own.norm_first, "dropout": options.dropout, "drop_path": own.drop_path}


def _positions(options: ModelOptions) -> SinusoidalPositions | LearnedPositions | None:
    kind = options.transformer.positions
    if kind == "learned":
        return LearnedPositions(options.transformer.max_positions, options.embedding_dim)
    return SinusoidalPositions(options.embedding_dim) if kind == "sinusoidal" else None
