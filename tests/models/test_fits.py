"""Blocks that do not fit are refused where they are put together, with what came, what was expected and why."""

import pytest

from heedful import BahdanauAttention
from heedful.layers import Recurrent, TokenEmbedding
from heedful.models import (
    LookBetweenDecoder,
    LookThenUpdateDecoder,
    OutputLayer,
    PlainDecoder,
    RecurrentEncoder,
    Seq2Seq,
    UpdateThenLookDecoder,
)

EMBEDDING, CONTEXT, UNITS, OUTPUT = 5, 4, 7, 6
SIZES = {"context_dim": CONTEXT, "summary_dim": CONTEXT, "output_dim": OUTPUT}


def _attention(query_dim=UNITS, key_dim=CONTEXT):
    return BahdanauAttention(query_dim, key_dim, hidden_dim=9)


def _recurrent(input_dim, units=UNITS):
    return Recurrent("gru", input_dim, units)


def _look_then_update(attention=None, recurrent=None, **sizes):
    attention, recurrent = attention or _attention(), recurrent or _recurrent(EMBEDDING + CONTEXT)
    return LookThenUpdateDecoder(attention, recurrent, **{"embedding_dim": EMBEDDING, **SIZES, **sizes})


def _update_then_look(attention=None, recurrent=None, **options):
    return UpdateThenLookDecoder(attention or _attention(), recurrent or _recurrent(EMBEDDING), **{**SIZES, **options})


def _look_between(attention=None, lower=None, upper=None):
    attention = attention or _attention()
    lower, upper = lower or _recurrent(EMBEDDING), upper or _recurrent(UNITS + CONTEXT, 3)
    return LookBetweenDecoder(attention, lower, upper, embedding_dim=EMBEDDING, **SIZES)


def _model(encoder_units=2, dim=EMBEDDING, vocab=13, decoder=None, output=None):
    encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, encoder_units)
    return Seq2Seq(
        encoder, TokenEmbedding(vocab, dim), decoder or _look_then_update(), output or OutputLayer(OUTPUT, 13)
    )


def _plain(summary_dim=CONTEXT, embedding_dim=EMBEDDING):
    return PlainDecoder(_recurrent(EMBEDDING), embedding_dim, summary_dim, OUTPUT)


MISFITS = {
    "attention's query_dim is 3; expected 7, recurrent's units": lambda: _look_then_update(_attention(query_dim=3)),
    "attention's context_dim is 3; expected 4, context_dim": lambda: _look_then_update(_attention(key_dim=3)),
    r"recurrent's input_dim is 5; expected 9, which is embedding_dim \(5\) \+ context_dim \(4\)": lambda: (
        _look_then_update(recurrent=_recurrent(EMBEDDING))
    ),
    "attention's query_dim is 2; expected 7, recurrent's units": lambda: _update_then_look(_attention(query_dim=2)),
    "attention's context_dim is 2; expected 4, context_dim": lambda: _update_then_look(_attention(key_dim=2)),
    "recurrent's input_dim is 5; with input feeding it holds an embedded token beside 6 features": lambda: (
        _update_then_look(input_feeding=True)
    ),
    "attention's query_dim is 1; expected 7, lower's units": lambda: _look_between(_attention(query_dim=1)),
    "attention's context_dim is 1; expected 4, context_dim": lambda: _look_between(_attention(key_dim=1)),
    r"lower's input_dim is 3; expected 5, which is embedding_dim \(5\)": lambda: _look_between(lower=_recurrent(3)),
    r"upper's input_dim is 7; expected 11, which is lower_units \(7\) \+ context_dim \(4\)": lambda: _look_between(
        upper=_recurrent(7)
    ),
    r"recurrent's input_dim is 5; expected 2, which is embedding_dim \(2\)": lambda: _plain(embedding_dim=2),
    "encoder's output_dim is 6; expected 4, the decoder's attention's key_dim": lambda: _model(encoder_units=3),
    "encoder's output_dim is 4; expected 9, the decoder's summary_dim": lambda: _model(decoder=_plain(summary_dim=9)),
    "embedding's dim is 3; expected 5, the decoder's embedding_dim": lambda: _model(dim=3),
    "embedding's dim is 5; expected 9, the decoder's embedding_dim": lambda: _model(
        decoder=_update_then_look(recurrent=_recurrent(15), input_feeding=True)
    ),
    "output's features is 7; expected 6, the decoder's output_dim": lambda: _model(output=OutputLayer(7, 13)),
    "output's vocab_size is 13; expected 17, the embedding's: it is fed back": lambda: _model(vocab=17),
    "vocab_size is 13; expected 17, the number of ids of the tied embedding": lambda: OutputLayer(
        OUTPUT, 13, tied=TokenEmbedding(17, 3)
    ),
}


@pytest.mark.parametrize("message", MISFITS)
def test_what_does_not_fit_is_refused(message):
    with pytest.raises(ValueError, match=message):
        MISFITS[message]()


def test_what_fits_is_built():
    for decoder in (_look_then_update(), _update_then_look(), _look_between(), _plain()):
        assert (decoder.embedding_dim, decoder.summary_dim, decoder.output_dim) == (EMBEDDING, CONTEXT, OUTPUT)
        _model(decoder=decoder)
    _model(decoder=_update_then_look(recurrent=_recurrent(EMBEDDING + OUTPUT), input_feeding=True))
