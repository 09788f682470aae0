"""What a user reads after a wrong call: what came, what was expected, the way out."""

import re

import numpy as np
import pytest
import torch

from heedful.attention import Attention, AttentionPooling, BahdanauAttention, LuongAttention
from heedful.attention.features import FeatureTemporalAttention
from heedful.attention.last_state import LastStateAttention
from heedful.attention.scores import DotScore
from heedful.attention.structured import StructuredSelfAttention
from tests.keras.running import hk, keras

STEPS, QUERY = np.ones((2, 7, 5)), np.ones((2, 3, 4))
HALF = np.ones((2, 7), "float32")


TOKENS = np.array([[1, 4, 5], [1, 6, 7]])
decoder = hk.AttentionDecoder(9, 3, 4, hk.DotAttention())


def used(layer, inputs):
    """A layer that has been called."""
    layer(inputs)
    return layer


CALLS = {
    "rank 2": (
        lambda: hk.Attention()(np.ones((2, 5))),
        r"has shape \(2, 5\); expected \[batch, steps, features\].*sequence\[None\].*return_sequences=True",
    ),
    "rank 2 when built": (
        lambda: hk.Attention()(keras.Input((5,))),
        r"the sequence has shape \(None, 5\); expected \[batch, steps, features\]",
    ),
    "no steps": (
        lambda: hk.AttentionPooling(3)(np.ones((2, 0, 5))),
        r"shape \(2, 0, 5\), no steps; expected .* one step",
    ),
    "unknown score": (
        lambda: hk.Attention(score="loung"),
        r"score is 'loung'; expected one of 'luong', 'bahdanau', 'dot', 'scaled_dot'\.",
    ),
    "ids": (
        lambda: hk.Attention()(np.ones((2, 7, 5), int)),
        r"the sequence is int\d+; expected floating-point features\. Put an embedding before",
    ),
    "mask of another type": (
        lambda: hk.Attention()(STEPS, mask=HALF),
        r"mask is float\d+; a mask is boolean, True = may look\. Write `mask=numbers > 0`",
    ),
    "mask of another shape": (
        lambda: hk.Attention()(STEPS, mask=np.ones((2, 6), bool)),
        r"mask has shape \(2, 6\); expected \[batch, steps\] = \[2, 7\]",
    ),
    "mask that is no list": (
        lambda: hk.DotAttention()([QUERY, STEPS], mask=np.ones((2, 7), bool)),
        r"mask is a \w+; expected a list, \[query_mask, value_mask\]",
    ),
    "no list": (lambda: hk.DotAttention()(STEPS), r"inputs is a single tensor; expected a list, \[query, value\] or"),
    "query of another size": (
        lambda: hk.DotAttention("dot")([QUERY, STEPS]),
        r'key has 5 features but query has 4; \'dot\' compares them directly\. Use score="general"',
    ),
    "sequence of another size": (
        lambda: used(hk.Attention(), STEPS)(STEPS[..., :4]),
        r"the sequence has 4 features; the layer expected 5\. Build it for 4, or project",
    ),
    "vector of another size": (
        lambda: used(hk.FeatureAttention(), HALF)(HALF[:, :5]),
        r"the input has 5 features; the layer expected 7\. Build it for 5",
    ),
    "sequence for a used vector layer": (
        lambda: used(hk.FeatureAttention(), HALF)(keras.Input((7, 5))),
        r"the input has shape \(None, 7, 5\); expected \[batch, features\]",
    ),
    "another query of another size": (
        lambda: used(hk.AdditiveAttention(6), [QUERY, STEPS])([QUERY[..., :3], STEPS]),
        r"query has 3 features; AdditiveAttention expected 4\. Build it for 3, or project query to 4",
    ),
    "another key of another size": (
        lambda: used(hk.DotAttention(), [QUERY, STEPS])([QUERY, STEPS[..., :3]]),
        r"key has 3 features; DotAttention expected 5\. Build it for 3, or project key to 5",
    ),
    "another query for a place": (
        lambda: used(hk.LuongLocalAttention(), [QUERY, STEPS])([QUERY[..., :3], STEPS]),
        r"query has 3 features; LuongLocalAttention expected 4",
    ),
    "another batch": (
        lambda: hk.DotAttention()([QUERY[:1], STEPS]),
        r"query has 1 batch items but key has 2; expected the same number",
    ),
    "fewer values than keys": (
        lambda: hk.DotAttention()([QUERY, STEPS[:, :6], STEPS]),
        r"value has shape \(2, 6, 5\); expected \[batch, keys, value_dim\] = \[2, 7, any\], one value for each key",
    ),
    "no size": (lambda: hk.AdditiveAttention(0), r"units is 0; expected a whole number \(int\) from 1 up"),
    "a share": (lambda: hk.DotAttention(dropout=1.5), r"dropout is 1\.5; expected a share of the weights from 0"),
    "unknown length": (
        lambda: hk.TemporalAttention()(keras.Input((None, 5))),
        r"an unknown number of steps; .*TemporalAttention\(max_steps=\.\.\.\)",
    ),
    "too long": (lambda: hk.TemporalAttention(6)(STEPS), r"has 7 steps; the layer expected at most 6.*max_steps=7"),
    "sequence for a vector": (
        lambda: hk.FeatureAttention()(STEPS),
        r"expected \[batch, features\]\. For sequences use",
    ),
    "directions": (
        lambda: hk.AttentionPooling(3)((STEPS, STEPS[:, :6])),
        r"the directions have shapes \(2, 7, 5\), \(2, 6, 5\); expected the same batch and steps",
    ),
    "one input": (lambda: hk.AttentionLayer()([STEPS]), r"inputs is 1 of them; expected a list of two"),
    "no attention": (
        lambda: hk.AttentionDecoder(9, 3, 4, "bahdanau"),
        r"attention is 'bahdanau'; expected a layer such as heedful\.keras\.AdditiveAttention\(units\)",
    ),
    "an attention that counts": (
        lambda: hk.AttentionDecoder(9, 3, 4, hk.LuongLocalAttention("monotonic")),
        r'attention is "monotonic", which counts queries; a step has one\. Use mode="predictive"',
    ),
    "an attention that drops": (
        lambda: hk.AttentionDecoder(9, 3, 4, hk.DotAttention(dropout=0.5)),
        r"the attention has dropout 0\.5; expected none, .*Use dropout= of the decoder",
    ),
    "an attention of other sizes": (
        lambda: hk.AttentionDecoder(9, 3, 6, used(hk.DotAttention(), [QUERY, STEPS]))([TOKENS, STEPS]),
        r"query has 6 features; DotAttention expected 4",
    ),
    "no tokens": (lambda: decoder([TOKENS[:, :0], STEPS]), r"tokens has shape \(2, 0\); expected \[batch, steps\]"),
    "tokens of another batch": (
        lambda: decoder([TOKENS[:1], STEPS]),
        r"tokens has 1 batch items but encoded has 2; expected the same number",
    ),
    "another encoder": (
        lambda: used(decoder, [TOKENS, STEPS])([TOKENS, STEPS[..., :4]]),
        r"encoded has 4 features; the decoder expected 5",
    ),
    "a mask for a list": (
        lambda: decoder([TOKENS, STEPS], mask=np.ones((2, 7), bool)),
        r"mask is a \w+; expected a list, \[None, encoder_mask\]",
    ),
    "a decoder without weights": (
        lambda: hk.AttentionDecoder(9, 3, 4, hk.DotAttention()).greedy(STEPS, 1, 2, 5),
        r"the decoder has no weights yet; expected a call on \[tokens, encoded\]",
    ),
    "no steps to say": (
        lambda: used(decoder, [TOKENS, STEPS]).greedy(STEPS, 1, 2, max_steps=0),
        r"max_steps is 0; expected a whole number \(int\) from 1 up",
    ),
    "tokens with an axis for a step": (
        lambda: used(decoder, [TOKENS, STEPS]).step(TOKENS, *decoder.start(keras.ops.convert_to_tensor(STEPS))),
        r"tokens has shape \(2, 3\); expected \[batch\]",
    ),
    "floats for tokens": (
        lambda: hk.AttentionDecoder(9, 3, 4, hk.DotAttention())([HALF, STEPS]),
        r"tokens is .*float\d+; expected whole numbers, ids below 9",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_says_what_came_what_was_expected_and_the_way_out(name):
    call, words = CALLS[name]
    with pytest.raises(ValueError, match=f"(?s){words}"):
        call()


SAME_WORDS = {
    "rank 2": (lambda: hk.AttentionPooling(3)(np.ones((2, 5))), lambda: AttentionPooling(5, 3)(torch.ones(2, 5))),
    "no steps": (
        lambda: hk.SelfAttentivePooling(3, 2)(np.ones((2, 0, 5))),
        lambda: StructuredSelfAttention(5, 3, 2)(torch.ones(2, 0, 5)),
    ),
    "unknown score": (lambda: hk.DotAttention("cosine"), lambda: LuongAttention(4, 5, "cosine")),  # pyright: ignore
    "ids": (
        lambda: hk.Attention()(np.ones((2, 7, 5), "int64")),
        lambda: LastStateAttention(5)(torch.ones(2, 7, 5, dtype=torch.int64)),
    ),
    "ids for queries": (
        lambda: hk.AdditiveAttention(3)([np.ones((2, 3, 4), "int64"), STEPS]),
        lambda: BahdanauAttention(4, 5, 3)(torch.ones(2, 3, 4, dtype=torch.int64), torch.ones(2, 7, 5)),
    ),
    "mask of another type": (
        lambda: hk.Attention()(STEPS, mask=HALF),
        lambda: LastStateAttention(5)(torch.ones(2, 7, 5), torch.ones(2, 7)),
    ),
    "mask of another shape": (
        lambda: hk.Attention()(STEPS, mask=np.ones((2, 6), bool)),
        lambda: LastStateAttention(5)(torch.ones(2, 7, 5), torch.ones(2, 6, dtype=torch.bool)),
    ),
    "query without its axis": (
        lambda: hk.AdditiveAttention(3)([np.ones((2, 4)), STEPS]),
        lambda: BahdanauAttention(4, 5, 3)(torch.ones(2, 4), torch.ones(2, 7, 5)),
    ),
    "another batch": (
        lambda: hk.AdditiveAttention(3)([QUERY[:1], STEPS]),
        lambda: BahdanauAttention(4, 5, 3)(torch.ones(1, 3, 4), torch.ones(2, 7, 5)),
    ),
    "sequence of another size": (
        lambda: used(hk.Attention(), STEPS)(STEPS[..., :4]),
        lambda: LastStateAttention(5)(torch.ones(2, 7, 4)),
    ),
    "too long": (
        lambda: hk.TemporalAttention(6)(STEPS),
        lambda: FeatureTemporalAttention(6)(torch.ones(2, 7, 5)),
    ),
    "no size": (lambda: hk.SelfAttentivePooling(3, 0), lambda: StructuredSelfAttention(5, 3, hops=0)),
    "a share": (lambda: hk.DotAttention(dropout=1.5), lambda: Attention(DotScore(4), dropout=1.5)),
}


@pytest.mark.messages
@pytest.mark.parametrize("name", SAME_WORDS)
def test_keras_and_pytorch_say_the_same(name):
    ours, twin = SAME_WORDS[name]
    with pytest.raises(ValueError, match=r"expected|boolean") as wanted:
        twin()
    words = str(wanted.value)
    # names of arguments, and the words that each layer knows, are its own
    words = words.split("expected one of")[0].split("max_len=")[0]
    # a backend may hold the same numbers in another width
    words = re.sub(r"(int|float)(32|64)", r"\1\\d\\d", re.escape(words))
    with pytest.raises(ValueError, match=words):
        ours()
