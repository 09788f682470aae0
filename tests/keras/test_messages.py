"""What a user reads after a wrong call: what came, what was expected, the way out."""

import numpy as np
import pytest

from tests.keras.running import hk, keras

STEPS, QUERY = np.ones((2, 7, 5)), np.ones((2, 3, 4))
HALF = np.ones((2, 7), "float32")

CALLS = {
    "rank 2": (
        lambda: hk.Attention()(np.ones((2, 5))),
        r"the sequence has shape \(2, 5\); expected \[batch, steps, features\].*return_sequences=True",
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
        r"the sequence is int\d+; expected floating-point features\. Put keras\.layers\.Embedding before",
    ),
    "mask of another type": (
        lambda: hk.Attention()(STEPS, mask=HALF),
        r"mask is float\d+; a mask is boolean, True where one may look\. Write `mask=numbers > 0`",
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
    "fewer values than keys": (
        lambda: hk.DotAttention()([QUERY, STEPS[:, :6], STEPS]),
        r"value has shape \(2, 6, 5\); expected \[batch, keys, value_dim\] = \[2, 7, any\], one value for each key",
    ),
    "no size": (lambda: hk.AdditiveAttention(0), r"units is 0; expected a positive number of features"),
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
