"""What a window adds to the scores for a distance: Transformer-XL and the adaptive span, against loops."""

import math

import pytest
import torch
from torch import Tensor

from heedful import padding_mask
from heedful.attention import Attention, TransformerXLAttention
from heedful.attention.normalizers import SigmoidNormalizer
from heedful.attention.scores import ScaledDotScore
from heedful.attention.windows import AdaptiveSpanWindow, CausalWindow, RelativeWindow
from heedful.attention.windows.relative import distance_products
from tests.attention.cases import draw, gradients, weights_of
from tests.attention.test_hidden import POISONS
from tests.tolerances import assert_close

BATCH, KEYS, DIM, POSITION_DIM = 2, 5, 4, 6


def distance_features(distance: int) -> Tensor:
    row = []
    for feature in range(POSITION_DIM):
        angle = distance / 10000 ** ((feature - feature % 2) / POSITION_DIM)
        row.append(math.cos(angle) if feature % 2 else math.sin(angle))
    return torch.tensor(row, dtype=torch.float64)


def relative(attention, query, key, distance):
    """Dai 2019, section 3.3: (q + u) . k + (q + v) . W R"""
    p = dict(attention.named_parameters())
    content = (query + p["score.bias"]) @ key
    place = (query + p["window.bias"]) @ (p["window.position_proj"] @ distance_features(distance))
    return ((content + place) / math.sqrt(DIM)).exp()


def spanned(attention, query, key, distance):
    """Sukhbaatar 2019: m(t - r) exp(s)"""
    window = attention.window
    factor = (window.ramp + window.max_span * window.share - distance) / window.ramp
    return factor.clamp(0, 1) * (query @ key / math.sqrt(DIM)).exp()


def span(start: float = 0.3) -> Attention:
    return Attention(ScaledDotScore(DIM), AdaptiveSpanWindow(max_span=4, ramp=3, start=start))


ROWS = [
    pytest.param(lambda: TransformerXLAttention(DIM, POSITION_DIM), relative, True, id="TransformerXLAttention"),
    pytest.param(lambda: TransformerXLAttention(DIM, POSITION_DIM, causal=False), relative, False, id="both ways"),
    pytest.param(span, spanned, True, id="AdaptiveSpanWindow"),
]


def by_hand(attention, similarity, causal, query, key, mask):
    weights = torch.zeros(len(query), query.shape[1], key.shape[1], dtype=torch.float64)
    first = key.shape[1] - query.shape[1]
    rows = []
    for item in range(len(query)):
        for q in range(query.shape[1]):
            powers = [
                similarity(attention, query[item, q], key[item, k], first + q - k)
                if mask[item, 0, k] and (not causal or k <= first + q)
                else query.sum() * 0
                for k in range(key.shape[1])
            ]
            total = torch.stack(powers).sum()
            rows.append(torch.stack(powers) / torch.where(total > 0, total, 1))
    return torch.stack(rows).view(weights.shape)


def build(make):
    attention = make()
    for name, parameter in attention.named_parameters():
        if name != "window.share":
            torch.nn.init.normal_(parameter)
    return attention.double()


@pytest.mark.parametrize(("make", "similarity", "causal"), ROWS)
@pytest.mark.parametrize("queries", [3, 5])
def test_context_weights_and_gradients_are_those_of_the_loop(make, similarity, causal, queries):
    attention, mask = build(make), padding_mask(torch.tensor([5, 3]), KEYS)
    query, key, value = draw(attention, queries=queries)
    leaves = (query, key, value, *attention.parameters())
    weights = by_hand(attention, similarity, causal, query, key, mask)
    output = attention(query, key, value, mask, need_weights=True)
    assert_close(weights_of(output), weights)
    assert_close(output.context, weights @ value)
    assert attention(query, key, value, mask).context.equal(output.context)
    for ours, theirs in zip(gradients(output.context, *leaves), gradients(weights @ value, *leaves), strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize(("make", "similarity", "causal"), ROWS)
def test_what_is_hidden_may_hold_anything_and_an_empty_item_reads_zeros(make, similarity, causal):
    attention = build(make)
    query, key, value = draw(attention)
    visible = torch.tensor([[True, True, False, True, False], [False] * 5])
    leaves = (query, key, value, *attention.parameters())
    output = attention(query, key, value, visible.unsqueeze(1)).context
    wanted = gradients(output, *leaves)
    assert not output[1].any()
    assert not any(slope[1].any() for slope in wanted[:3])
    for poison in POISONS:
        with torch.no_grad():
            key[~visible], value[~visible] = poison, poison
        poisoned = attention(query, key, value, visible.unsqueeze(1)).context
        assert poisoned.equal(output)
        assert all(map(torch.equal, gradients(poisoned, *leaves), wanted))


@pytest.mark.parametrize(("make", "similarity", "causal"), ROWS)
@torch.no_grad()
def test_cached_step_by_step_equals_all_at_once(make, similarity, causal):
    if not causal:
        return
    attention = build(make)
    query, key, value = draw(attention, queries=KEYS)
    together = attention(query, key, value).context
    memory, state = attention.remember(key[:, :0], value[:, :0]), None
    for place in range(KEYS):
        now = slice(place, place + 1)
        memory = attention.extend(memory, key[:, now], value[:, now])
        output, state = attention.step(query[:, now], memory, state)
        assert_close(output.context, together[:, now])


@pytest.mark.parametrize(("make", "similarity", "causal"), ROWS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@torch.no_grad()
def test_other_types_agree_with_float64(make, similarity, causal, dtype):
    attention = make().to(dtype)
    exact = make().double()
    exact.load_state_dict(attention.state_dict())
    arguments = draw(attention, dtype=dtype)
    output, wanted = attention(*arguments).context, exact(*(one.double() for one in arguments)).context
    assert output.dtype == dtype
    assert_close(output, wanted, dtype)


def test_a_product_with_the_features_of_a_distance_for_places_in_any_order():
    features = torch.randn(2, 3, POSITION_DIM, dtype=torch.float64)
    positions = torch.tensor([[0, 7, 2], [100_004, 1, 1]])
    products = distance_products(features, positions, KEYS)
    for item in range(2):
        for q in range(3):
            for k in range(KEYS):
                expected = features[item, q] @ distance_features(int(positions[item, q]) - k)
                assert_close(products[item, q, k], expected)


def test_a_window_of_the_whole_span_is_a_causal_one():
    query, key, value = torch.randn(3, 2, KEYS, DIM, dtype=torch.float64)
    whole = Attention(ScaledDotScore(DIM), AdaptiveSpanWindow(9, ramp=1, start=1.0))
    plain = Attention(ScaledDotScore(DIM), CausalWindow())
    assert_close(whole(query, key, value).context, plain(query, key, value).context)


def test_the_span_learns_and_comes_back_from_beyond_its_ends():
    attention = span().double()
    query, key, value = draw(attention, queries=KEYS)

    def read(share):
        return torch.func.functional_call(attention, {"window.share": share}, (query, key, value)).context

    assert torch.autograd.gradcheck(read, torch.tensor(0.3, dtype=torch.float64, requires_grad=True))
    window = AdaptiveSpanWindow(4, ramp=3)
    for share, expected in ((-0.5, 0.0), (0.5, 2.0), (1.5, 4.0)):
        with torch.no_grad():
            window.share.fill_(share)
        assert window.span.item() == expected
        assert torch.autograd.grad(window.span, window.share)[0].item() == 4


def test_the_gradient_is_finite_where_the_span_ends_on_a_key():
    attention = span(start=0.5)
    query, key, value = torch.randn(3, 2, KEYS + 2, DIM)
    attention(query, key, value).context.square().sum().backward()
    assert attention.window.share.grad.isfinite()


def test_a_bias_composes_with_another_normaliser():
    attention = Attention(ScaledDotScore(DIM), RelativeWindow(DIM), SigmoidNormalizer()).double()
    query, key, value = draw(attention)
    assert attention(query, key, value).context.isfinite().all()


@pytest.mark.messages
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelativeWindow(4, 5), "position_dim is 5; expected an even number, a sine and a cosine each"),
        (lambda: TransformerXLAttention(0), "dim is 0; expected a whole number"),
        (lambda: AdaptiveSpanWindow(0), "max_span is 0; expected a whole number"),
        (lambda: AdaptiveSpanWindow(3, start=1.5), r"start is 1\.5; expected a share of max_span"),
    ],
)
def test_messages(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.compile
@pytest.mark.parametrize(("make", "similarity", "causal"), ROWS)
def test_compiled_in_one_graph(make, similarity, causal):
    attention = build(make)
    arguments = draw(attention)
    eager = attention(*arguments).context
    compiled = torch.compile(attention, fullgraph=True, backend="aot_eager")(*arguments).context
    assert_close(compiled, eager)
    leaves = (*arguments, *attention.parameters())
    for ours, theirs in zip(gradients(compiled, *leaves), gradients(eager, *leaves), strict=True):
        assert_close(ours, theirs)
