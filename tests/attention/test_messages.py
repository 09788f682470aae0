"""What a person reads after a wrong call: what came, what was expected, the way out."""

import pytest
import torch

from heedful.attention import (
    Attention,
    BahdanauAttention,
    FlatMultiSourceAttention,
    ForwardAttention,
    LatentAttention,
    LearnedQueryPooling,
    LinearAttention,
    LuongAttention,
    MilkAttention,
    MochaAttention,
    MonotonicAttention,
    MultiHeadAttention,
    MultiSourceAttention,
    StepwiseAttention,
    TwoLevelAttention,
)
from heedful.attention.normalizers import (
    ConstrainedSoftmaxNormalizer,
    MonotonicNormalizer,
    SoftmaxNormalizer,
    SparsemaxNormalizer,
)
from heedful.attention.scores import (
    AdditiveScore,
    BilinearScore,
    ConcatScore,
    DistanceScore,
    DotScore,
    GeneralScore,
    PairedScore,
    ScaledDotScore,
    SineScore,
    SoftcapScore,
    TransitionScore,
)
from heedful.attention.windows import (
    AndWindow,
    CausalWindow,
    LocalPredictiveWindow,
    OrWindow,
    RelativeBias,
    RelativeWindow,
    ScoreBias,
)
from tests.attention.rows import BATCH, KEYS, QUERIES

pytestmark = pytest.mark.messages

QUERY, KEY, VALUE = torch.zeros(BATCH, QUERIES, 4), torch.zeros(BATCH, KEYS, 6), torch.zeros(BATCH, KEYS, 7)
MASK = torch.ones(BATCH, 1, KEYS, dtype=torch.bool)


@pytest.fixture
def attention():
    return BahdanauAttention(query_dim=4, key_dim=6, hidden_dim=11)


def test_a_query_without_its_axis(attention):
    message = r"query has shape \(2, 4\); expected \[batch, queries, features\]\. .* write query\[:, None\];"
    with pytest.raises(ValueError, match=message):
        attention(torch.zeros(2, 4), KEY)
    with pytest.raises(ValueError, match=message):
        attention.step(torch.zeros(2, 4), attention.remember(KEY))


def test_a_key_without_its_axis(attention):
    message = r"key has shape \(2, 6\); expected \[batch, keys, features\]\. .* write key\[:, None\];"
    with pytest.raises(ValueError, match=message):
        attention(QUERY, torch.zeros(2, 6))
    with pytest.raises(ValueError, match=message):
        attention.remember(torch.zeros(2, 6))


def test_a_query_of_the_wrong_size(attention):
    message = r"query has 5 features; AdditiveScore expected 4\. Build it for 5, or project query to 4\."
    with pytest.raises(ValueError, match=message):
        attention(torch.zeros(BATCH, QUERIES, 5), KEY)


def test_a_key_of_the_wrong_size(attention):
    message = r"key has 5 features; AdditiveScore expected 6\. Build it for 5, or project key to 6\."
    with pytest.raises(ValueError, match=message):
        attention(QUERY, torch.zeros(BATCH, KEYS, 5))
    with pytest.raises(ValueError, match=message):
        attention.extend(attention.remember(KEY), torch.zeros(BATCH, 1, 5))


@pytest.mark.parametrize("score", [DotScore(4), ScaledDotScore(4), ScaledDotScore(4, learned=True)], ids=str)
def test_sizes_that_a_product_cannot_compare(score):
    message = (
        rf"key has 6 features but query has 4; {type(score).__name__} compares them directly\. "
        r"Use GeneralScore\(query_dim=4, key_dim=6\)\."
    )
    with pytest.raises(ValueError, match=message):
        Attention(score)(QUERY, KEY)
    assert Attention(GeneralScore(query_dim=4, key_dim=6))(QUERY, KEY).context.shape == (BATCH, QUERIES, 6)


@pytest.mark.parametrize("name", ["dot", "scaled_dot"])
def test_sizes_that_luong_attention_cannot_compare(name):
    message = (
        rf"key has 6 features but query has 4; '{name}' compares them directly\. "
        r'Use LuongAttention\(4, 6, score="general"\)\.'
    )
    with pytest.raises(ValueError, match=message):
        LuongAttention(query_dim=4, key_dim=6, score=name)


def test_batches_of_different_sizes(attention):
    with pytest.raises(ValueError, match=r"query has 3 batch items but key has 2; expected the same number\."):
        attention(torch.zeros(3, QUERIES, 4), KEY)
    with pytest.raises(ValueError, match=r"query has 3 batch items but key has 2; expected the same number\."):
        attention.step(torch.zeros(3, 1, 4), attention.remember(KEY))


@pytest.mark.parametrize("shape", [(BATCH, 3, 7), (3, KEYS, 7), (KEYS, 7)], ids=str)
def test_values_that_do_not_fit_the_keys(attention, shape):
    message = r"value has shape .*; expected \[batch, keys, value_dim\] = \[2, 5, any\], one value for each key\."
    with pytest.raises(ValueError, match=message):
        attention(QUERY, KEY, torch.zeros(shape))
    with pytest.raises(ValueError, match=message):
        attention.remember(KEY, torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_a_mask_that_is_not_boolean(attention, dtype):
    message = rf"mask is {str(dtype)[6:]}; a mask is boolean, True = may look\. Write `mask=numbers > 0`\."
    for call in (attention, lambda _, *rest, mask: attention.remember(*rest, mask=mask)):
        with pytest.raises(ValueError, match=message):
            call(QUERY, KEY, mask=MASK.to(dtype))
    with pytest.raises(ValueError, match=message):
        attention.extend(attention.remember(KEY), KEY, mask=MASK.to(dtype))


@pytest.mark.parametrize("place", range(3))
def test_whole_numbers(place):
    given = [QUERY, KEY, VALUE]
    given[place] = given[place].long()
    name = ("query", "key", "value")[place]
    message = rf"{name} is int64; expected floating-point features\. Put an embedding before, or cast it\."
    with pytest.raises(ValueError, match=message):
        BahdanauAttention(query_dim=4, key_dim=6, hidden_dim=11)(*given)


def test_a_wrong_type_is_a_type_error_and_a_value_error(attention):
    for kind in (TypeError, ValueError):
        with pytest.raises(kind, match="a mask is boolean"):
            attention(QUERY, KEY, mask=MASK.float())


def test_a_mask_that_is_no_tensor(attention):
    with pytest.raises(TypeError, match=r"mask is a list; a mask is boolean"):
        attention(QUERY, KEY, mask=[True, False])


@pytest.mark.parametrize("shape", [(BATCH, KEYS), (BATCH, KEYS, QUERIES), (3, 1, KEYS), (BATCH, 1, QUERIES, KEYS)])
def test_a_mask_of_the_wrong_shape(attention, shape):
    message = (
        r"mask has shape .*; expected something that broadcasts to \[batch, queries, keys\] = \[2, 3, 5\]\. "
        r".*padding_mask\(lengths, max_len\).*mask\.unsqueeze\(1\)"
    )
    with pytest.raises(ValueError, match=message):
        attention(QUERY, KEY, mask=torch.ones(shape, dtype=torch.bool))


def test_a_memory_has_one_mask_for_all_queries(attention):
    with pytest.raises(ValueError, match=r"mask has shape \(2, 3, 5\); .* = \[2, 1, 5\]"):
        attention.remember(KEY, mask=torch.ones(BATCH, QUERIES, KEYS, dtype=torch.bool))


@pytest.mark.parametrize(("key", "value"), [(KEY[:1], VALUE[:1]), (KEY, KEY)], ids=["batch", "features"])
def test_keys_that_do_not_continue_the_memory(attention, key, value):
    message = r"the further values have shape .*; expected \[2, any, 7\] to continue a memory of shape \(2, 5, 7\)\."
    with pytest.raises(ValueError, match=message):
        attention.extend(attention.remember(KEY, VALUE), key, value)


def test_an_unknown_score():
    message = r"score is 'cosine'; expected one of 'dot', 'scaled_dot', 'general', 'concat', 'location'\."
    with pytest.raises(ValueError, match=message):
        LuongAttention(4, 6, score="cosine")  # pyright: ignore[reportArgumentType]


def test_a_location_score_without_places():
    with pytest.raises(
        ValueError, match=r"max_keys is None; 'location' expected the number of places .*: max_keys=100"
    ):
        LuongAttention(4, 6, score="location")


def test_an_unknown_start():
    with pytest.raises(ValueError, match=r"init is 'zeros'; expected 'glorot' or 'paper'\."):
        AdditiveScore(4, 6, 11, init="zeros")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 50, float("nan")])
def test_a_dropout_that_is_no_share(dropout):
    message = rf"dropout is {dropout}; expected a share of the weights from 0 to below 1\."
    with pytest.raises(ValueError, match=message):
        Attention(DotScore(4), dropout=dropout)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DotScore(0), "query_dim is 0"),
        (lambda: GeneralScore(4, -1), "key_dim is -1"),
        (lambda: ConcatScore(4, 6, 0), "hidden_dim is 0"),
        (lambda: LuongAttention(4, 6, "concat", hidden_dim=0), "hidden_dim is 0"),
        (lambda: BahdanauAttention(4, 6, -3), "hidden_dim is -3"),
        (lambda: SineScore(4, 6, 11, harmonics=0), "harmonics is 0"),
    ],
)
def test_sizes_below_one(build, message):
    with pytest.raises(ValueError, match=message + "; expected a whole number"):
        build()


@pytest.mark.parametrize("place", ["query", "key", "value"])
def test_what_is_no_tensor_at_all(attention, place):
    with pytest.raises(ValueError, match=f"{place} is a list; expected a tensor\\. Write torch.as_tensor"):
        attention(**({"query": QUERY, "key": KEY, "value": VALUE} | {place: [[[1.0]]]}))
    with pytest.raises(TypeError, match="key is a NoneType; expected a tensor"):
        attention(QUERY, None)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Attention("dot"), "score is 'dot'; expected an instance of Score. Build one, as DotScore"),
        (lambda: Attention(DotScore), r"score is the class DotScore itself; expected .* Build one, as DotScore\(...\)"),
        (lambda: Attention(DotScore(4), "causal"), "window is 'causal'; expected an instance of Window"),
        (lambda: Attention(DotScore(4), SparsemaxNormalizer()), "window is of the type SparsemaxNormalizer; expected"),
        (lambda: Attention(DotScore(4), None, SparsemaxNormalizer), r"Build one, as SparsemaxNormalizer\(...\) does"),
        (lambda: MultiHeadAttention(8, 2, attention="dot"), "attention is 'dot'; expected an instance of Attention"),
        (lambda: SoftcapScore("dot"), "score is 'dot'; expected an instance of Score"),
        (lambda: TransitionScore("dot"), "score is 'dot'; expected an instance of Score"),
        (lambda: PairedScore(DotScore(4), "dot"), "second is 'dot'; expected an instance of Score"),
        (lambda: TwoLevelAttention(3, DotScore(4)), "a score is of the type int; expected an instance of Score"),
        (lambda: LearnedQueryPooling(3), "attention is of the type int; expected an instance of AttentionLayer"),
        (lambda: FlatMultiSourceAttention(DotScore(4), [3]), "attention is of the type DotScore; expected an instance"),
        (lambda: MultiSourceAttention(3), "attentions is of the type int; expected a list, one for each source"),
        (lambda: MultiSourceAttention([3]), "an attention is of the type int; expected an instance of Attention"),
        (lambda: BilinearScore(4, 6, "tanh"), "activation is 'tanh'; expected a function, such as torch.tanh"),
        (lambda: Attention(DotScore(4), dropout="0.1"), "dropout is '0.1'; expected a number"),
        (lambda: SoftmaxNormalizer(None), "temperature is None; expected a number"),
        (lambda: MonotonicNormalizer(noise=True), "noise is True; expected a number"),
        (lambda: ConstrainedSoftmaxNormalizer("2"), "fertility is '2'; expected a number"),
        (lambda: DistanceScore(4, "1"), "gamma is '1'; expected a number"),
        (lambda: AndWindow("causal"), "a window is 'causal'; expected an instance of Window"),
        (lambda: OrWindow(CausalWindow), r"Build one, as CausalWindow\(...\) does"),
    ],
)
def test_a_part_is_built_and_of_its_kind(build, message):
    with pytest.raises(TypeError, match=message):
        build()


@pytest.mark.parametrize("window", [LocalPredictiveWindow, RelativeWindow, lambda size: RelativeBias(size, 2)])
def test_a_window_that_reads_queries_of_another_size(window):
    for wrong in (window(6), AndWindow(CausalWindow(), window(6))):
        with pytest.raises(ValueError, match=r"query has 4 features; \w+ expected 6\. Build it for 4"):
            Attention(GeneralScore(4, 6), wrong)
    assert Attention(GeneralScore(4, 6), window(4))


LAYERS = {
    "Memory": lambda: Attention(DotScore(4)),
    "HeadsMemory": lambda: MultiHeadAttention(4, 2),
    "LatentMemory": lambda: LatentAttention(4, 2, 3, rotary_dim=2),
    "KernelMemory": lambda: LinearAttention(4, 2),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_memory_and_state_are_what_the_layer_gives(kind):
    layer, query, key = LAYERS[kind](), torch.ones(1, 1, 4), torch.ones(1, 3, 4)
    memory = layer.remember(key)
    for other in [LAYERS[name]().remember(key) for name in LAYERS.keys() - {kind}] + [key]:
        words = rf"memory is of the type {type(other).__name__}; expected an instance of {kind}\. .*attention\.remember"
        for call in (lambda it=other: layer.step(query, it), lambda it=other: layer.extend(it, key)):
            with pytest.raises(TypeError, match=words):
                call()
    with pytest.raises(ValueError, match="state is of 2 batch items but query and memory of 1; expected as many"):
        layer.step(query, memory, layer.begin(layer.remember(key.repeat(2, 1, 1))))
    with pytest.raises(
        ValueError, match=r"state is of the type Tensor; expected an instance of AttentionState\. Build"
    ):
        layer.step(query, memory, query)
    assert layer.step(query, memory, layer.begin(memory))


@pytest.mark.parametrize("shape", [(KEYS + 1,), (QUERIES, KEYS + 1), (QUERIES + 1, 1), (BATCH, QUERIES + 1, KEYS)])
def test_a_bias_for_other_places(shape):
    window = ScoreBias(lambda query, key: torch.zeros(shape))
    with pytest.raises(ValueError, match=r"the bias has shape .*; expected \[queries, keys\] = \[3, 5\]"):
        Attention(GeneralScore(4, 6), window)(QUERY, KEY)


@pytest.mark.parametrize("kind", [MonotonicAttention, MochaAttention, StepwiseAttention, MilkAttention])
@pytest.mark.parametrize("training", [False, True])
def test_a_state_of_the_other_mode(kind, training):
    layer = kind(3, 4, 5).train(training)
    state = layer.step(torch.ones(2, 1, 3), layer.remember(torch.ones(2, 6, 4)))[1]
    layer.train(not training)
    expected = r"\(2, 6\), but in this mode it is a place" if training else r"\(2,\), but .* numbers \[batch, keys\]"
    with pytest.raises(ValueError, match=rf"the state has shape {expected}"):
        layer.step(torch.ones(2, 1, 3), layer.remember(torch.ones(2, 6, 4)), state)


def test_a_state_of_a_longer_memory():
    layer = ForwardAttention(3, 4, 5)
    state = layer.step(torch.ones(2, 1, 3), layer.remember(torch.ones(2, 6, 4)))[1]
    with pytest.raises(ValueError, match="the state knows 6 keys, but there are 5"):
        layer.step(torch.ones(2, 1, 3), layer.remember(torch.ones(2, 5, 4)), state)
