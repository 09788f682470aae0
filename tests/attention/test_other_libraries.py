"""Parity with what others wrote: torch's scaled dot product and its multi-head attention."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from heedful.attention import Attention
from heedful.attention.scores import DotScore, GeneralScore, ScaledDotScore
from heedful.attention.windows import CausalWindow
from tests.attention.cases import draw, gradients, some_mask
from tests.attention.rows import BATCH, KEYS
from tests.tolerances import assert_close

MASKS = {
    "none": lambda: None,
    "padding": lambda: torch.arange(KEYS).lt(torch.tensor([5, 2]).unsqueeze(1)).unsqueeze(1),
    "pairs": some_mask,
    "shared": lambda: some_mask()[:1],
}


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(
    ("score", "scale"),
    [(DotScore(4), 1.0), (ScaledDotScore(4), None), (ScaledDotScore(4, scale=0.3), 0.3)],
    ids=["dot", "scaled", "scale"],
)
def test_against_torch_scaled_dot_product_attention(score, scale, kind):
    attention = Attention(score)
    arguments, mask = draw(attention), MASKS[kind]()
    theirs = scaled_dot_product_attention(*arguments, attn_mask=mask, scale=scale)
    for need_weights in (False, True):
        ours = attention(*arguments, mask, need_weights).context
        assert_close(ours, theirs)
        for actual, expected in zip(gradients(ours, *arguments), gradients(theirs, *arguments), strict=True):
            assert_close(actual, expected)


def test_against_torch_causal_attention():
    attention = Attention(ScaledDotScore(4), CausalWindow())
    arguments = draw(attention, queries=KEYS)
    assert_close(attention(*arguments).context, scaled_dot_product_attention(*arguments, is_causal=True))


def test_against_torch_multi_head_attention():
    """One head of theirs is a general score: query . (W_q' W_k / sqrt(dim)) key, read through the projected values."""
    theirs = torch.nn.MultiheadAttention(4, 1, bias=False, kdim=6, vdim=7, batch_first=True, dtype=torch.float64)
    ours = Attention(GeneralScore(4, 6).double())
    query, key, value = draw(ours)
    padding = torch.arange(KEYS).ge(torch.tensor([5, 2]).unsqueeze(1))
    query_proj, key_proj, value_proj = (
        theirs.get_parameter(f"{name}_proj_weight").detach() for name in ("q", "k", "v")
    )
    ours.load_state_dict({"score.weight": query_proj.T @ key_proj / math.sqrt(4)})

    output = ours(query, key, value @ value_proj.T, ~padding.unsqueeze(1), need_weights=True)
    context, weights = theirs(query, key, value, key_padding_mask=padding)
    assert_close(theirs.out_proj(output.context), context)
    assert output.weights is not None
    assert_close(output.weights, weights)
    assert output.context.shape[0] == BATCH
