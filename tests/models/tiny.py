"""Tiny models in which no two sizes are equal, of every wiring, and batches for them."""

from typing import Any

import torch
from torch import Tensor

from heedful import BahdanauAttention, LuongAttention
from heedful.layers import Recurrent, TokenEmbedding
from heedful.models import (
    Decoder,
    LookBetweenDecoder,
    LookThenUpdateDecoder,
    OutputLayer,
    PlainDecoder,
    RecurrentEncoder,
    Seq2Seq,
    UpdateThenLookDecoder,
)

WIRINGS = ("look then update", "update then look", "input feeding", "look between", "plain")
LOOKING = WIRINGS[:-1]

SOURCE_VOCAB, TARGET_VOCAB = 11, 13
SOURCE_DIM, TARGET_DIM = 3, 5
FEATURES = 8  # of a decoder output
UNITS, LOWER_UNITS = 7, 10  # of a decoder


def attention_of(score: str, query_dim: int, key_dim: int):
    if score == "bahdanau":
        return BahdanauAttention(query_dim, key_dim, hidden_dim=9)
    return LuongAttention(query_dim, key_dim, score)


def decoder_of(wiring: str, memory_dim: int, cell: str = "gru", layers: int = 1, score: str = "bahdanau",
               dropout: float = 0.0, scale: int = 1) -> Decoder:  # fmt: skip
    target_dim, features, units, lower_units = (scale * size for size in (TARGET_DIM, FEATURES, UNITS, LOWER_UNITS))

    def recurrent(input_dim: int, units: int = units) -> Recurrent:
        return Recurrent(cell, input_dim, units, layers, dropout)

    attention = attention_of(score, lower_units if wiring == "look between" else units, memory_dim)
    sizes = {"context_dim": memory_dim, "summary_dim": memory_dim, "output_dim": features, "dropout": dropout}
    if wiring == "plain":
        return PlainDecoder(recurrent(target_dim), target_dim, memory_dim, features, dropout)
    if wiring == "look then update":
        return LookThenUpdateDecoder(attention, recurrent(target_dim + memory_dim), target_dim, **sizes)
    if wiring == "look between":
        lower, upper = recurrent(target_dim, lower_units), recurrent(lower_units + memory_dim)
        return LookBetweenDecoder(attention, lower, upper, target_dim, **sizes)
    feeding = wiring == "input feeding"
    layer = recurrent(target_dim + (features if feeding else 0))
    return UpdateThenLookDecoder(attention, layer, input_feeding=feeding, **sizes)


def fresh_model_of(wiring: str, cell: str = "gru", layers: int = 1, score: str = "bahdanau", *, dropout: float = 0.0,
                   tied: bool = False, merge: str = "concat", scale: int = 1, seed: int = 0) -> Seq2Seq:  # fmt: skip
    """In float32; the encoder has `layers` layers, too, of 2 units each way (3 where the two ways are summed)."""
    torch.manual_seed(seed)
    source = TokenEmbedding(SOURCE_VOCAB, scale * SOURCE_DIM, dropout)
    units = scale * (2 if merge == "concat" else 3)
    encoder = RecurrentEncoder(source, source.dim, units, cell, layers, True, merge, dropout)
    target = TokenEmbedding(TARGET_VOCAB, scale * TARGET_DIM, dropout)
    decoder = decoder_of(wiring, encoder.output_dim, cell, layers, score, dropout, scale)
    return Seq2Seq(encoder, target, decoder, OutputLayer(decoder.output_dim, TARGET_VOCAB, target if tied else None))


def model_of(wiring: str, *args, **kwargs) -> Seq2Seq:
    """In float64, with every parameter moved off its start: biases of 0 would hide a bias that is forgotten."""
    model = fresh_model_of(wiring, *args, **kwargs).double()
    encoder: Any = model.encoder
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        encoder.embedding.weight[0], model.embedding.weight[0] = 0, 0
    return model


def batch_of(source_lengths: tuple[int, ...] = (2, 5, 3), target_len: int = 7, extra: int = 2) -> tuple[Tensor, ...]:
    """Source with `extra` columns of padding more than needed, lengths, target that begins with `<s>`."""
    lengths = torch.tensor(source_lengths)
    source = torch.randint(4, SOURCE_VOCAB, (len(lengths), max(source_lengths) + extra))
    source[torch.arange(source.shape[1]) >= lengths[:, None]] = 0
    target = torch.randint(4, TARGET_VOCAB, (len(lengths), target_len))
    target[:, 0] = 2
    return source, lengths, target
