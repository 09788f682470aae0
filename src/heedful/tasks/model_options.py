"""What the section `model` of a recipe may say."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from .data_options import Section
from .forecast_options import ForecastOptions
from .picture_options import PictureOptions
from .transformer_options import TransformerOptions

# every other attention is asked with the state after the update, and brings its own score
_WIRINGS = {"bahdanau": "bahdanau", "none": "none"}
_NO_SHARES = ("differential", "talking_heads")
_SCORES = {"bahdanau": "additive", "luong": "general"}


def _same_as(name: str, table: Mapping[str, str] | None = None, otherwise: str | None = None) -> Any:
    """Default of a field: the value of an earlier one, or what a table says of it."""
    return lambda data: table.get(data.get(name, ""), otherwise) if table else data.get(name)


class ModelOptions(Section):
    """The encoder-decoder in numbers.

    Args:
        architecture: "recurrent" or "transformer"; sets the defaults of `encoder` and `decoder`.
        encoder, decoder: Each side's own architecture, where they are mixed. The encoder of a classifier may also be
            "none", the embeddings and n-grams as they are, or "hierarchical" (Yang et al. 2016), which reads words to
            sentences and sentences to a document, both with `pooling`. That of captions may be "regions", each region
            of a picture by itself, or "convolutional", which reads pixels, of `images`; the others read regions row
            after row.
        transformer: What only a Transformer has.
        attention: Which mechanism a recurrent decoder looks with, "none" for a plain encoder-decoder; sets the defaults
            of `wiring` and `score`.
        wiring: Order of looking and updating: "bahdanau" looks with the state before the update, "luong" with the one
            after it, "luong_input_feeding" feeds what it saw to the next step, "look_between" looks between the first
            decoder layer and those above, "add_norm" adds what the state saw to it and normalises, as TensorFlow's
            tutorial of 2022 (there with `attention: multi_head`, `transformer: {heads: 1}`, `merge: sum`), "none" is a
            plain encoder-decoder.
        score: How query and key are compared in "bahdanau" and "luong"; None elsewhere. "normalized_additive" and
            "scaled_general" are the "normed Bahdanau" and "scaled Luong" of tensorflow/nmt.
        cell: Recurrent cell of both sides.
        embedding_dim: Features of a token on both sides.
        units: Default of the three sizes below.
        encoder_units: Units of an encoder layer, in each direction.
        encoder_layers: Encoder layers.
        bidirectional: Whether the encoder also reads from the end.
        merge: How two directions become one memory: "concat" or "sum".
        decoder_units: Units of a decoder layer.
        decoder_layers: Decoder layers; "look_between" needs two.
        attention_units: Hidden features of the additive and the concat score; what "latent" keeps of each word.
        readout_units: Features that a decoder step gives to the output layer; those of a token when left out.
        dropout: Rate of dropout, in [0, 1).
        tie_embeddings: Use the target embedding as the output matrix.
        share_embeddings: Use one embedding for both sides; needs a joint vocabulary.
        source_embeddings: File that the embedding of the source tokens begins with: published word vectors (text of
            GloVe, word2vec or fastText, also packed by gzip or xz), or .safetensors with a row for each id.
        target_embeddings: Likewise of the target tokens, and of both sides where they share one.
        pooling: Of a classifier, how the outputs of its encoder become one vector: "attention" (Yang et al. 2016),
            "att_blstm", "gated", "last_state" (the last state asks), "structured" (several looks), "statistics" and
            "channel_statistics", "dot" and "sine" (a learned query under that score), or without attention "mean",
            "max" and "last".
        looks: How many times "structured" looks.
        word_encoder: Of "hierarchical", what reads the words of a sentence; its sentences have a recurrent one.
        word_dropout: Of a classifier, share of the words hidden in training.
        ngrams: Where words have no encoder, tokens of the longest n-gram that has a vector; 1 for words alone.
        ngram_rows: How many n-grams have a vector: the most frequent ones of the training texts.
        feature_dim: Of captions, features of a region; null for what the files of the training pictures have.
        even_looks: How much it counts in the loss that each region is looked at once in total (Xu et al. 2015, equation
            14, who take 1); of texts, each token of the source.
        repeated_looks: How much it counts in the loss that a token of the source is looked at again (coverage loss, See
            et al. 2017, equation 13, who take 1); goes with `attention: coverage`, or any other.
        copies: Choose at each step between saying a word of the vocabulary and copying one of the source
            (pointer-generator, See et al. 2017), also one that the vocabulary lacks where `tokenizer.kind` is "word",
            "letter" or "symbol"; of a recurrent decoder with attention, over a joint vocabulary.
        picture: What only a convolutional encoder has.
        forecast: What only a forecaster has; its encoder is recurrent and reads forwards.
    """

    architecture: Literal["recurrent", "transformer"] = "recurrent"
    encoder: Literal["recurrent", "transformer", "none", "hierarchical", "regions", "convolutional"] = Field(
        default_factory=_same_as("architecture")
    )
    decoder: Literal["recurrent", "transformer"] = Field(default_factory=_same_as("architecture"))
    transformer: TransformerOptions = Field(default_factory=TransformerOptions)
    attention: Literal[
        "bahdanau",
        "luong",
        "coverage",
        "differential",
        "dynamic_convolution",
        "forward",
        "intra_temporal",
        "linguistic_coverage",
        "forward_transition",
        "gated",
        "gaussian_mixture",
        "latent",
        "local_m",
        "local_p",
        "location",
        "milk",
        "mocha",
        "monotonic",
        "multi_head",
        "neural_coverage",
        "sine",
        "stepwise",
        "talking_heads",
        "visual",
        "visual_hard",
        "none",
    ] = "bahdanau"
    wiring: Literal["bahdanau", "luong", "luong_input_feeding", "look_between", "add_norm", "none"] = Field(
        default_factory=_same_as("attention", _WIRINGS, "luong")
    )
    score: (
        Literal["additive", "concat", "dot", "general", "normalized_additive", "scaled_dot", "scaled_general"] | None
    ) = Field(default_factory=_same_as("attention", _SCORES))
    cell: Literal["gru", "lstm"] = "gru"
    embedding_dim: int = Field(default=256, gt=0)
    units: int = Field(default=256, gt=0)
    encoder_units: int = Field(default_factory=_same_as("units"), gt=0)
    encoder_layers: int = Field(default=1, gt=0)
    bidirectional: bool = True
    merge: Literal["concat", "sum"] = "concat"
    decoder_units: int = Field(default_factory=_same_as("units"), gt=0)
    decoder_layers: int = Field(default=1, gt=0)
    attention_units: int = Field(default_factory=_same_as("units"), gt=0)
    readout_units: int = Field(default_factory=_same_as("embedding_dim"), gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    tie_embeddings: bool = False
    share_embeddings: bool = False
    source_embeddings: str | None = None
    target_embeddings: str | None = None
    pooling: Literal[
        "attention",
        "att_blstm",
        "gated",
        "last_state",
        "structured",
        "statistics",
        "channel_statistics",
        "dot",
        "sine",
        "mean",
        "max",
        "last",
    ] = "attention"
    looks: int = Field(default=4, gt=0)
    feature_dim: int | None = Field(default=None, gt=0)
    even_looks: float = Field(default=0.0, ge=0)
    repeated_looks: float = Field(default=0.0, ge=0)
    copies: bool = False
    picture: PictureOptions = Field(default_factory=PictureOptions)
    forecast: ForecastOptions = Field(default_factory=ForecastOptions)
    word_encoder: Literal["recurrent", "none"] = "recurrent"
    word_dropout: float = Field(default=0.0, ge=0, lt=1)
    ngrams: int = Field(default=1, gt=0, le=9)
    ngram_rows: int = Field(default=20_000, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> "ModelOptions":
        if (self.attention == "none") != (self.wiring == "none"):
            raise ValueError(
                f"attention {self.attention!r} does not go with wiring {self.wiring!r}; set both to 'none', or neither"
            )
        if (self.attention not in _SCORES) != (self.score is None):
            raise ValueError(
                f"attention {self.attention!r} does not go with score {self.score!r}; "
                "leave score out, or set it to null with an attention that brings its own"
            )
        if self.encoder == "hierarchical" and self.pooling in ("structured", "channel_statistics"):
            raise ValueError(
                f"pooling {self.pooling!r} has several weights for a word; a hierarchical encoder needs one with one, "
                "such as attention"
            )
        if self.wiring == "look_between" and self.decoder_layers < 2:
            raise ValueError("wiring 'look_between' looks between two layers; set decoder_layers to 2 or more")
        shares = "copies" if self.copies else "repeated_looks" if self.repeated_looks else None
        if shares and self.decoder == "recurrent" and self.attention == "none":
            raise ValueError(
                f"{shares} needs to know what was looked at, but attention is 'none'; set it to another, such as "
                "coverage"
            )
        if shares and self.attention in _NO_SHARES:
            raise ValueError(
                f"{shares} needs weights that are shares, but those of {self.attention} may be negative; use another "
                "attention, such as gated, coverage or bahdanau"
            )
        if self.copies and self.decoder == "transformer":
            raise ValueError("copies goes with a recurrent decoder; set decoder to recurrent, or copies to false")
        if self.share_embeddings and self.source_embeddings:
            raise ValueError(
                "with share_embeddings both sides begin with target_embeddings; leave source_embeddings out"
            )
        return self
