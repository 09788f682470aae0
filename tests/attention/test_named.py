"""Named mechanisms are compositions: equal, bit by bit, to the same parts put together by hand."""

import pytest
import torch

from heedful.attention import Attention, BahdanauAttention, LuongAttention, NormedBahdanauAttention
from heedful.attention.normalizers import SoftmaxNormalizer
from heedful.attention.scores import (
    AdditiveScore,
    ConcatScore,
    DotScore,
    GeneralScore,
    LocationScore,
    NormalizedAdditiveScore,
    ScaledDotScore,
)
from heedful.attention.windows import EverywhereWindow
from tests.attention.cases import draw, some_mask, weights_of

NAMED = [
    (lambda: BahdanauAttention(4, 6, 11), lambda: AdditiveScore(4, 6, 11)),
    (lambda: BahdanauAttention(4, 6, 11, bias=True), lambda: AdditiveScore(4, 6, 11, bias=True)),
    (lambda: NormedBahdanauAttention(4, 6, 11), lambda: NormalizedAdditiveScore(4, 6, 11)),
    (lambda: LuongAttention(4, 6), lambda: GeneralScore(4, 6)),
    (lambda: LuongAttention(4, 4, "dot"), lambda: DotScore(4)),
    (lambda: LuongAttention(4, 4, "scaled_dot"), lambda: ScaledDotScore(4)),
    (lambda: LuongAttention(4, 6, "general"), lambda: GeneralScore(4, 6)),
    (lambda: LuongAttention(4, 6, "concat"), lambda: ConcatScore(4, 6, 4)),
    (lambda: LuongAttention(4, 6, "concat", hidden_dim=11), lambda: ConcatScore(4, 6, 11)),
    (lambda: LuongAttention(4, 6, "location", max_keys=9), lambda: LocationScore(4, 6, 9)),
]


@pytest.mark.parametrize(("build", "score"), NAMED)
def test_a_named_mechanism_is_its_parts(build, score):
    named, by_hand = build(), Attention(score(), EverywhereWindow(), SoftmaxNormalizer())
    by_hand.load_state_dict(named.state_dict())
    arguments, mask = draw(named, dtype=torch.float32), some_mask()
    assert named(*arguments, mask).context.equal(by_hand(*arguments, mask).context)
    ours, theirs = (attention(*arguments, mask, need_weights=True) for attention in (named, by_hand))
    assert ours.context.equal(theirs.context)
    assert weights_of(ours).equal(weights_of(theirs))
