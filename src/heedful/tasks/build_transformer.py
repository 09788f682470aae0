"""From a recipe's numbers to the stacks of a Transformer."""

from heedful._errors import RecipeError
from heedful.attention import Attention, MultiHeadAttention, QueryKeyTransform
from heedful.attention.normalizers import (
    Entmax15Normalizer,
    Normalizer,
    SigmoidNormalizer,
    SoftmaxNormalizer,
    SoftmaxOneNormalizer,
    SparsemaxNormalizer,
)
from heedful.attention.scores import DotScore, ScaledDotScore
from heedful.attention.windows import CausalWindow, SlidingWindow, Window
from heedful.layers import (
    FeedForward,
    LearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
    TokenEmbedding,
)
from heedful.models import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

from .recipe import ModelOptions

NORMALIZERS: dict[str, type[Normalizer]] = {
    "softmax": SoftmaxNormalizer,
    "softmax_one": SoftmaxOneNormalizer,
    "sparsemax": SparsemaxNormalizer,
    "entmax15": Entmax15Normalizer,
    "sigmoid": SigmoidNormalizer,
}


def transformer_encoder(options: ModelOptions, embedding: TokenEmbedding) -> TransformerEncoder:
    """The encoder of the section.

    Raises:
        RecipeError: numbers that do not fit each other.
    """
    reach = options.transformer.self_window
    window = None if reach is None else SlidingWindow(reach, reach)
    layers = [
        TransformerEncoderLayer(_heads(options, window, rotates=True), _feed_forward(options), **_residual(options))
        for _ in range(options.encoder_layers)
    ]
    return TransformerEncoder(embedding, layers, _positions(options), options.dropout)


def transformer_decoder(options: ModelOptions, source_dim: int) -> TransformerDecoder:
    """The decoder of the section, over an encoder with `source_dim` features.

    Raises:
        RecipeError: numbers that do not fit each other.
    """
    reach = options.transformer.self_window
    window = CausalWindow() if reach is None else SlidingWindow(reach, 0)
    layers = [
        TransformerDecoderLayer(
            _heads(options, window, rotates=True),
            _heads(options, None, rotates=False, key_dim=source_dim),
            _feed_forward(options),
            **_residual(options),
        )
        for _ in range(options.decoder_layers)
    ]
    return TransformerDecoder(layers, _positions(options), options.dropout)


def _heads(
    options: ModelOptions, window: Window | None, rotates: bool, key_dim: int | None = None
) -> MultiHeadAttention:
    own, dim = options.transformer, options.embedding_dim
    if dim % own.heads:
        raise RecipeError(
            f"model.transformer.heads is {own.heads}, which does not divide model.embedding_dim, {dim}; set either so "
            "that it does"
        )
    head_dim = dim // own.heads
    rotation = RotaryPositions(head_dim - head_dim % 2) if rotates and own.positions == "rotary" else None
    transform = QueryKeyTransform(head_dim, own.qk_norm, rotation) if rotation or own.qk_norm else None
    score = DotScore(head_dim) if own.qk_norm == "l2" else ScaledDotScore(head_dim)
    attention = Attention(score, window, NORMALIZERS[own.normalizer](), own.attention_dropout)
    try:
        return MultiHeadAttention(
            dim, own.heads, key_dim, num_kv_heads=own.kv_heads, attention=attention, transform=transform
        )
    except ValueError as error:
        raise RecipeError(f"model.transformer: {error}") from None


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
