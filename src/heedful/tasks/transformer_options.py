"""The part of a recipe that only a Transformer has."""

from typing import Literal

from pydantic import Field

from .data_options import Section
from .parts import NormalizerPart, Part, ScorePart, WindowPart


class PlaceOptions(Section):
    """What is another in one of a Transformer's attentions: any part of the catalogue (docs/mechanisms.md).

    Each is a name, or a mapping with `name` and what else the constructor takes, such as `{name: sliding, left: 4,
    right: 4}`; sizes and numbers of heads are filled in. Names are those of the classes, in lower case and without
    Score, Window or Normalizer.

    Args:
        score: How a head's queries and keys are compared; None: by a scaled dot product.
        window: Which keys a query sees; None: all. The decoder's self-attention never sees the steps to come.
        normalizer: Scores to weights; None: that of `transformer`.
    """

    score: ScorePart | None = None
    window: WindowPart | None = None
    normalizer: NormalizerPart | None = None


class TransformerOptions(Section):
    """What only the Transformer sides of a model have; their width is `embedding_dim`, their depth `encoder_layers` and
    `decoder_layers`, and `dropout` falls on the embeddings and on every residual branch.

    Args:
        heads: Heads of every attention; they divide the width. Also those of `attention: multi_head`,
            `gated`, `talking_heads`, `latent`, and of `differential`, whose twice as many divide it.
        kv_heads: Heads of keys and values; None: as many.
        hidden_units: Features between the two position-wise layers.
        activation: Between those: "relu", "gelu" or "swiglu".
        norm: "layer", or "rms" for the root mean square alone.
        norm_first: Whether a branch's input is normalised, not the sum; what the paper did is false.
        positions: Added to the embeddings: "sinusoidal" as in the paper, or "learned". Known to self-attention:
            "rotary"; "alibi", a penalty on distance; "t5", a learned number for each range of distances and head, one
            table for all layers; "shaw", a learned vector for each distance up to 16; "transformer_xl", sines of the
            distance, asked for by the query. Or "none".
        max_positions: Steps that "learned" has room for.
        qk_norm: "rms", "layer" or "l2": what is done to queries and keys of a head before they meet; None: nothing.
        attention_dropout: Share of the weights dropped.
        activation_dropout: Share of the hidden units dropped.
        drop_path: Chance that a sentence skips a branch.
        normalizer: Scores to weights in every attention.
        encoder_self, decoder_self, cross: What is another in one of the three.
    """

    heads: int = Field(default=4, gt=0)
    kv_heads: int | None = Field(default=None, gt=0)
    hidden_units: int = Field(default=1024, gt=0)
    activation: Literal["relu", "gelu", "swiglu"] = "relu"
    norm: Literal["layer", "rms"] = "layer"
    norm_first: bool = True
    positions: Literal["sinusoidal", "learned", "rotary", "alibi", "t5", "shaw", "transformer_xl", "none"] = (
        "sinusoidal"
    )
    max_positions: int = Field(default=1024, gt=0)
    qk_norm: Literal["rms", "layer", "l2"] | None = None
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    activation_dropout: float = Field(default=0.0, ge=0, lt=1)
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    normalizer: NormalizerPart = Part(name="softmax")
    encoder_self: PlaceOptions = PlaceOptions()
    decoder_self: PlaceOptions = PlaceOptions()
    cross: PlaceOptions = PlaceOptions()
