"""From a recipe's numbers to a model of blocks: the one place that knows both."""

from collections.abc import Callable
from typing import Any

from torch import nn

from heedful._errors import RecipeError
from heedful.attention import (
    AttBlstmPooling,
    Attention,
    AttentionLayer,
    AttentionPooling,
    AttentiveStatisticsPooling,
    BahdanauAttention,
    ChannelStatisticsPooling,
    CoverageAttention,
    DifferentialAttention,
    DynamicConvolutionAttention,
    ForwardAttention,
    ForwardTransitionAttention,
    GatedAttention,
    GatedPooling,
    GaussianMixtureAttention,
    HierarchicalAttention,
    IntraTemporalAttention,
    LastPooling,
    LastStateAttention,
    LatentAttention,
    LearnedQueryPooling,
    LinguisticCoverageAttention,
    LuongAttention,
    LuongLocalAttention,
    MaxPooling,
    MeanPooling,
    MilkAttention,
    MochaAttention,
    MonotonicAttention,
    MultiHeadAttention,
    NeuralCoverageAttention,
    NormedBahdanauAttention,
    ScaledLuongAttention,
    SineAttention,
    StepwiseAttention,
    StructuredSelfAttention,
    TacotronAttention,
    TalkingHeadsAttention,
    VisualAttention,
)
from heedful.attention.normalizers import StraightThroughNormalizer
from heedful.attention.scores import DotScore
from heedful.attention.windows import CausalWindow, EverywhereWindow
from heedful.data.vocabulary import BOS, EOS, SPECIAL_TOKENS, UNK
from heedful.layers import Dropout, NgramEmbedding, Recurrent, TokenEmbedding
from heedful.models import (
    ConvolutionalEncoder,
    Copying,
    Decoder,
    DocumentClassifier,
    DualStageForecaster,
    EmbeddingEncoder,
    InputAttentionEncoder,
    LanguageModel,
    LookBetweenDecoder,
    LookThenUpdateDecoder,
    OutputLayer,
    PlainDecoder,
    RecurrentEncoder,
    RegionEncoder,
    RegionProjection,
    SelfLookDecoder,
    Seq2Seq,
    SequenceClassifier,
    TransformerEncoder,
    UpdateLookAddDecoder,
    UpdateThenLookDecoder,
    query_dim_of,
)

from .build_transformer import transformer_decoder, transformer_encoder
from .model_options import ModelOptions
from .pretrained import Pretrained

NOTHING = Pretrained()
# name in a recipe -> mechanism of (query_dim, key_dim, hidden_dim), which brings its own score
MECHANISMS: dict[str, Callable[[int, int, int], AttentionLayer]] = {
    "coverage": CoverageAttention,
    "dynamic_convolution": DynamicConvolutionAttention,
    "forward": ForwardAttention,
    "intra_temporal": lambda query_dim, key_dim, _: IntraTemporalAttention(query_dim, key_dim),
    "forward_transition": ForwardTransitionAttention,
    "gaussian_mixture": GaussianMixtureAttention,
    "linguistic_coverage": LinguisticCoverageAttention,
    "local_m": lambda query_dim, key_dim, _: LuongLocalAttention(query_dim, key_dim, "monotonic", clamp=True),
    "local_p": lambda query_dim, key_dim, hidden_dim: LuongLocalAttention(query_dim, key_dim, hidden_dim=hidden_dim),
    "location": TacotronAttention,
    "milk": MilkAttention,
    "mocha": MochaAttention,
    "monotonic": MonotonicAttention,
    "neural_coverage": NeuralCoverageAttention,
    "sine": SineAttention,
    "stepwise": StepwiseAttention,
    "visual": VisualAttention,
    "visual_hard": lambda *sizes: VisualAttention(*sizes, normalizer=StraightThroughNormalizer()),
}
# likewise, of (query_dim, heads, key_dim, hidden_dim): what divides the query's features among heads
HEADED: dict[str, Callable[[int, int, int, int], AttentionLayer]] = {
    "differential": lambda query_dim, heads, key_dim, _: DifferentialAttention(query_dim, heads, key_dim=key_dim),
    "gated": lambda query_dim, heads, key_dim, _: GatedAttention(query_dim, heads, key_dim),
    "latent": lambda query_dim, heads, key_dim, hidden_dim: LatentAttention(
        query_dim, heads, hidden_dim, key_dim=key_dim
    ),
    "multi_head": lambda query_dim, heads, key_dim, _: MultiHeadAttention(query_dim, heads, key_dim),
    "talking_heads": lambda query_dim, heads, key_dim, _: TalkingHeadsAttention(query_dim, heads, key_dim),
}
# what a forecaster looks at the series with, likewise
INPUT_ATTENTIONS: dict[str, Callable[[int, int, int], AttentionLayer]] = {
    "bahdanau": BahdanauAttention,
    "luong": lambda query_dim, key_dim, _: LuongAttention(query_dim, key_dim),
    "sine": SineAttention,
}


def build_model(
    options: ModelOptions, source_vocab: int, target_vocab: int, pretrained: Pretrained = NOTHING
) -> Seq2Seq:
    """The encoder-decoder that a recipe's `model` section describes, with fresh weights.

    Args:
        options: the section.
        source_vocab: number of source ids.
        target_vocab: number of target ids.
        pretrained: what the embeddings begin with.

    Raises:
        RecipeError: the parts do not fit each other.
    """
    dim, dropout = options.embedding_dim, options.dropout
    if options.share_embeddings and source_vocab != target_vocab:
        raise RecipeError(
            f"model.share_embeddings needs one vocabulary, but the sides have {source_vocab} and {target_vocab} ids; "
            "set tokenizer.joint: true, or share_embeddings: false."
        )
    # a Transformer side drops the sum of embeddings and positions itself
    rates = {side: 0.0 if side == "transformer" else dropout for side in ("recurrent", "transformer")}
    target = TokenEmbedding(target_vocab, dim, rates[options.decoder], pretrained.target)
    source = target
    if not options.share_embeddings:
        source = TokenEmbedding(source_vocab, dim, rates[options.encoder], pretrained.source)
    return _joined(options, _encoder(options, source), target)


def _joined(options: ModelOptions, encoder: Any, target: TokenEmbedding) -> Seq2Seq:
    """An encoder, and the decoder of the section."""
    if options.decoder == "transformer":
        decoder = transformer_decoder(options, encoder.output_dim)
    else:
        decoder = _decoder(options, encoder.output_dim)
    output = OutputLayer(decoder.output_dim, target.vocab_size, target if options.tie_embeddings else None)
    copying = None
    if options.copies:
        attention: Any = decoder.attention
        copying = Copying(attention.context_dim, attention.query_dim, target.dim, target.vocab_size, UNK)
    return Seq2Seq(encoder, target, decoder, output, options.even_looks, options.repeated_looks, copying)


def build_captioner(options: ModelOptions, vocab: int, pretrained: Pretrained = NOTHING) -> Seq2Seq:
    """The model of pictures and captions that a recipe's `model` section describes, with fresh weights.

    Args:
        options: the section.
        vocab: number of ids of the captions.
        pretrained: what the embeddings begin with.

    Raises:
        RecipeError: the parts do not fit each other, or the features of a region are not known.
    """
    if options.feature_dim is None and options.encoder != "convolutional":
        raise RecipeError("model.feature_dim is null; set it to the number of features of a region")
    dim, dropout, features = options.embedding_dim, options.dropout, options.feature_dim or 0
    target = TokenEmbedding(vocab, dim, 0.0 if options.decoder == "transformer" else dropout, pretrained.target)
    if options.encoder == "convolutional":
        encoder = _convolutional(options)
    elif options.encoder == "regions":
        encoder = RegionEncoder(RegionProjection(features, options.encoder_units, dropout))
    else:
        rate = 0.0 if options.encoder == "transformer" else dropout
        encoder = _encoder(options, RegionProjection(features, dim, rate))
    return _joined(options, encoder, target)


def build_task(
    task: str, options: ModelOptions, source_vocab: int, target_vocab: int, pretrained: Pretrained = NOTHING
) -> nn.Module:
    """What the function for the recipe's `task` makes of the section; targets may be labels or series."""
    if task == "classification":
        return build_classifier(options, source_vocab, target_vocab - len(SPECIAL_TOKENS), pretrained)
    if task == "caption":
        return build_captioner(options, target_vocab, pretrained)
    if task == "forecast":
        return build_forecaster(options, target_vocab - len(SPECIAL_TOKENS))
    if task == "language_model":
        return build_language_model(options, target_vocab, pretrained)
    return build_model(options, source_vocab, target_vocab, pretrained)


def build_forecaster(options: ModelOptions, num_series: int) -> DualStageForecaster:
    """The forecaster that a recipe's `model` section describes, with fresh weights.

    Args:
        options: the section; `embedding_dim` are the features of a step to come.
        num_series: series.

    Raises:
        RecipeError: the parts do not fit each other.
    """
    own = options.forecast
    layers = Recurrent(
        options.cell, own.patch * num_series, options.encoder_units, options.encoder_layers, options.dropout
    )
    sizes = query_dim_of(layers), own.window, options.attention_units
    look = INPUT_ATTENTIONS[own.input_attention](*sizes) if own.input_attention != "none" else None
    encoder = InputAttentionEncoder(layers, look, own.patch)
    decoder = _decoder(options, encoder.output_dim)
    return DualStageForecaster(encoder, decoder, own.window, own.horizon, num_series, own.base)


def build_language_model(options: ModelOptions, vocab: int, pretrained: Pretrained = NOTHING) -> LanguageModel:
    """The decoder-only model that a recipe's `model` section describes, with fresh weights.

    Args:
        options: the section, of which `decoder` is built and `encoder` has no say.
        vocab: number of ids.
        pretrained: what the embeddings begin with.

    Raises:
        RecipeError: the parts do not fit each other.
    """
    dim, transformer = options.embedding_dim, options.decoder == "transformer"
    embedding = TokenEmbedding(vocab, dim, 0.0 if transformer else options.dropout, pretrained.target)
    decoder = transformer_decoder(options, None) if transformer else _self_look(options)
    output = OutputLayer(decoder.output_dim, vocab, embedding if options.tie_embeddings else None)
    return LanguageModel(embedding, decoder, output, BOS)


def build_classifier(
    options: ModelOptions, vocab: int, num_labels: int, pretrained: Pretrained = NOTHING
) -> SequenceClassifier | DocumentClassifier:
    """The classifier that a recipe's `model` section describes, with fresh weights.

    Args:
        options: the section, of which `encoder` and `pooling` are built.
        vocab: number of ids of the text.
        num_labels: labels to choose from.
        pretrained: what the embeddings begin with.

    Raises:
        RecipeError: the parts do not fit each other, or there are fewer than two labels.
    """
    if num_labels < 2:
        raise RecipeError(f"there are {num_labels} labels; a classifier needs two to choose from")
    reads = options.word_encoder if options.encoder == "hierarchical" else options.encoder
    rate = options.dropout if reads == "recurrent" else 0.0  # the others drop the sum of what they add
    embedding = TokenEmbedding(vocab, options.embedding_dim, rate, pretrained.source)
    encoder = _bag(options, embedding) if reads == "none" else _encoder(options, embedding)
    pooling, features = _pooling(options, encoder.output_dim)
    if options.encoder == "hierarchical":
        sentences = _recurrent(options, None, features)
        sentence_pooling, width = _pooling(options, sentences.output_dim)
        levels = HierarchicalAttention(encoder, pooling, sentences, sentence_pooling)
        return DocumentClassifier(levels, _head(options, width, num_labels), EOS, options.word_dropout)
    return SequenceClassifier(encoder, pooling, _head(options, features, num_labels), word_dropout=options.word_dropout)


def _head(options: ModelOptions, features: int, num_labels: int) -> nn.Module:
    return nn.Sequential(Dropout(options.dropout), nn.Linear(features, num_labels))


def _bag(options: ModelOptions, embedding: TokenEmbedding) -> EmbeddingEncoder:
    """The embeddings as they are, with n-grams where the section wants them."""
    dim, longest = options.embedding_dim, options.ngrams
    ngrams = NgramEmbedding(dim, options.ngram_rows, longest) if longest > 1 else None
    return EmbeddingEncoder(embedding, dim, ngrams, options.dropout)


def _pooling(options: ModelOptions, dim: int) -> tuple[Any, int]:
    """The pooling, and how many features it gives."""
    units, looks = options.attention_units, options.looks
    match options.pooling:
        case "last_state":
            return LastStateAttention(dim, units), units
        case "structured":
            return StructuredSelfAttention(dim, units, looks), looks * dim
        case "att_blstm":
            return AttBlstmPooling(dim), dim
        case "mean" | "max" | "last":
            return {"mean": MeanPooling, "max": MaxPooling, "last": LastPooling}[options.pooling](), dim
        case "statistics" | "channel_statistics":
            kind = AttentiveStatisticsPooling if options.pooling == "statistics" else ChannelStatisticsPooling
            return kind(dim, units), 2 * dim
        case "gated":
            return GatedPooling(dim, units), dim
        case "dot":
            return LearnedQueryPooling(Attention(DotScore(dim))), dim
        case "sine":
            # the query is learned already, so that one feature of it says all
            return LearnedQueryPooling(SineAttention(1, dim, units)), dim
    return AttentionPooling(dim, units), dim


def _self_look(options: ModelOptions) -> Decoder:
    """Recurrent layers, and what their states look back with."""
    dim, units, readout, dropout = (
        options.embedding_dim,
        options.decoder_units,
        options.readout_units,
        options.dropout,
    )
    recurrent = Recurrent(options.cell, dim, units, options.decoder_layers, dropout)
    if options.attention == "none":
        return PlainDecoder(recurrent, dim, 1, readout, dropout)
    attention = _attention(options, units)
    inner = attention.attention if isinstance(attention, MultiHeadAttention) else attention
    if not isinstance(inner, Attention) or not isinstance(inner.window, EverywhereWindow):
        raise RecipeError(
            f"model.attention is {options.attention!r}, which reads a source of known length; a language model looks "
            "back at its own states: use bahdanau, luong, sine, coverage, multi_head or none"
        )
    inner.window = CausalWindow()
    look_back = attention if isinstance(attention, MultiHeadAttention) else inner
    return SelfLookDecoder(look_back, recurrent, readout, dropout)


def _convolutional(options: ModelOptions) -> ConvolutionalEncoder:
    """Convolutions, and above them recurrent layers where the recipe has some."""
    picture, units, layers = options.picture, options.encoder_units, options.picture.recurrent_layers
    sides = (options.cell, layers, options.bidirectional, options.merge, options.dropout)
    return ConvolutionalEncoder(
        picture.height,
        picture.planes,
        picture.channels,
        picture.strides,
        units,
        lines=picture.width is None,
        above=RecurrentEncoder(None, units, units, *sides) if layers else None,
        dropout=options.dropout,
    )


def _encoder(
    options: ModelOptions, embedding: TokenEmbedding | RegionProjection
) -> RecurrentEncoder | TransformerEncoder:
    if options.encoder == "transformer":
        return transformer_encoder(options, embedding)
    return _recurrent(options, embedding, options.embedding_dim)


def _recurrent(
    options: ModelOptions, embedding: TokenEmbedding | RegionProjection | None, input_dim: int
) -> RecurrentEncoder:
    return RecurrentEncoder(
        embedding,
        input_dim,
        options.encoder_units,
        options.cell,
        options.encoder_layers,
        options.bidirectional,
        options.merge,
        options.dropout,
    )


def _decoder(options: ModelOptions, context_dim: int) -> Decoder:
    dim, units, readout = options.embedding_dim, options.decoder_units, options.readout_units
    dropout = options.dropout
    sizes = {"context_dim": context_dim, "summary_dim": context_dim, "output_dim": readout, "dropout": dropout}

    def recurrent(input_dim: int, layers: int) -> Recurrent:
        return Recurrent(options.cell, input_dim, units, layers, dropout)

    if options.wiring == "none":
        return PlainDecoder(recurrent(dim, options.decoder_layers), dim, context_dim, readout, dropout)
    attention = _attention(options, context_dim)
    if options.wiring == "add_norm":
        try:
            return UpdateLookAddDecoder(attention, recurrent(dim, options.decoder_layers), context_dim, dropout)
        except ValueError as error:
            raise RecipeError(f"model.wiring 'add_norm' adds contexts to states: {error}") from None
    context_dim = sizes["context_dim"] = attention.context_dim
    if options.wiring == "bahdanau":
        return LookThenUpdateDecoder(
            attention, recurrent(dim + context_dim, options.decoder_layers), embedding_dim=dim, **sizes
        )
    if options.wiring == "look_between":
        lower, upper = recurrent(dim, 1), recurrent(units + context_dim, options.decoder_layers - 1)
        return LookBetweenDecoder(attention, lower, upper, embedding_dim=dim, **sizes)
    feeding = options.wiring == "luong_input_feeding"
    layers = recurrent(dim + readout if feeding else dim, options.decoder_layers)
    return UpdateThenLookDecoder(attention, layers, input_feeding=feeding, **sizes)


def _attention(options: ModelOptions, key_dim: int) -> AttentionLayer:
    if options.attention in HEADED:
        sizes = options.decoder_units, options.transformer.heads, key_dim, options.attention_units
        try:
            return HEADED[options.attention](*sizes)
        except ValueError as error:
            raise RecipeError(f"model.transformer.heads: {error}") from None
    if options.attention in MECHANISMS:
        return MECHANISMS[options.attention](options.decoder_units, key_dim, options.attention_units)
    if options.score == "additive":
        return BahdanauAttention(options.decoder_units, key_dim, options.attention_units)
    if options.score == "normalized_additive":
        return NormedBahdanauAttention(options.decoder_units, key_dim, options.attention_units)
    if options.score == "scaled_general":
        return ScaledLuongAttention(options.decoder_units, key_dim)
    try:
        return LuongAttention(options.decoder_units, key_dim, options.score or "general", options.attention_units)
    except ValueError as error:
        raise RecipeError(f"model.score: {error}") from None
