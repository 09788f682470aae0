"""Named mechanisms are compositions: equal, bit by bit, to the same parts put together by hand."""

import pytest
import torch

from heedful.attention import (
    Attention,
    BahdanauAttention,
    LuongAttention,
    LuongLocalAttention,
    NormedBahdanauAttention,
    ScaledLuongAttention,
    SelfAttention,
)
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
from heedful.attention.windows import (
    CausalWindow,
    EverywhereWindow,
    LocalMonotonicWindow,
    LocalPredictiveWindow,
    SlidingWindow,
)
from tests.attention.cases import draw, gradients, some_mask, weights_of
from tests.tolerances import assert_close

# named, and its score; its window, where it has one
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
    (lambda: ScaledLuongAttention(4, 6), lambda: GeneralScore(4, 6, learned_scale=True)),
    (lambda: SelfAttention(4), lambda: ScaledDotScore(4)),
    (lambda: SelfAttention(4, CausalWindow()), lambda: ScaledDotScore(4), CausalWindow),
    (lambda: SelfAttention(4, SlidingWindow(1, 0)), lambda: ScaledDotScore(4), lambda: SlidingWindow(1, 0)),
    (lambda: LuongLocalAttention(4, 6), lambda: GeneralScore(4, 6), lambda: LocalPredictiveWindow(4, 4, 10)),
    (
        lambda: LuongLocalAttention(4, 6, score="concat", half_width=2, hidden_dim=11),
        lambda: ConcatScore(4, 6, 11),
        lambda: LocalPredictiveWindow(4, 11, 2),
    ),
    (
        lambda: LuongLocalAttention(4, 4, "monotonic", "dot", 1, clamp=True),
        lambda: DotScore(4),
        lambda: LocalMonotonicWindow(1, clamp=True),
    ),
    (
        lambda: LuongLocalAttention(4, 4, "monotonic", "scaled_dot"),
        lambda: ScaledDotScore(4),
        lambda: LocalMonotonicWindow(10),
    ),
]


@pytest.mark.parametrize(("build", "score", "window"), [(*row, EverywhereWindow)[:3] for row in NAMED])
def test_a_named_mechanism_is_its_parts(build, score, window):
    named, by_hand = build(), Attention(score(), window(), SoftmaxNormalizer())
    by_hand.load_state_dict(named.state_dict())
    # options that few queries do not show
    ours, theirs = (
        {name: part for name, part in vars(one.window).items() if name[0] != "_"} for one in (named, by_hand)
    )
    assert ours == theirs
    arguments, mask = draw(named, dtype=torch.float32), some_mask()
    assert named(*arguments, mask).context.equal(by_hand(*arguments, mask).context)
    ours, theirs = (attention(*arguments, mask, need_weights=True) for attention in (named, by_hand))
    assert ours.context.equal(theirs.context)
    assert weights_of(ours).equal(weights_of(theirs))


def test_self_attention_drops_the_weights_it_is_told_to():
    assert SelfAttention(4, dropout=0.3).dropout.p == 0.3


def test_a_scaled_general_score_is_one_of_a_longer_matrix_and_learns_its_scale():
    scaled, plain = ScaledLuongAttention(4, 6).double(), LuongAttention(4, 6).double()
    scale, weight = scaled.score.get_parameter("scale"), scaled.score.get_parameter("weight")
    assert scale == 1
    torch.nn.init.constant_(scale, 1.7)
    plain.load_state_dict({"score.weight": weight * 1.7})
    query, key, value = draw(scaled)
    mask = some_mask()
    for need_weights in (False, True):
        ours, theirs = (one(query, key, value, mask, need_weights) for one in (scaled, plain))
        assert_close(ours.context, theirs.context)
        # scale and length of the matrix stand for each other
        slopes = gradients(ours.context, scale, weight)
        assert_close(slopes[0] * 1.7, (slopes[1] * weight).sum())
