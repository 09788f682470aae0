"""The Transformer: torch's layers with the same weights, a cache against the whole, padding, and blocks that misfit."""

import math
import re

import pytest
import torch
from torch import nn

from heedful._pytree import reorder
from heedful.attention import Attention, BahdanauAttention, MultiHeadAttention, QueryKeyTransform
from heedful.attention.normalizers import SparsemaxNormalizer
from heedful.attention.scores import ScaledDotScore
from heedful.attention.windows import CausalWindow, SlidingWindow
from heedful.layers import (
    FeedForward,
    LearnedPositions,
    Recurrent,
    RotaryPositions,
    SinusoidalPositions,
    TokenEmbedding,
)
from heedful.models import (
    LookThenUpdateDecoder,
    OutputLayer,
    RecurrentEncoder,
    Seq2Seq,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from tests.tolerances import assert_close

DIM, HEADS, HIDDEN, SOURCE_VOCAB, TARGET_VOCAB = 12, 2, 10, 17, 19
SOURCE, LENGTHS = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 11, 0, 0], [12, 4, 0, 0, 0]]), torch.tensor([5, 3, 2])
TARGET = torch.tensor([[2, 4, 5, 6], [2, 7, 8, 0], [2, 9, 0, 0]])


def transform(kind):
    if kind not in ("rotary", "normed"):
        return None
    norm = "rms" if kind == "normed" else None
    return QueryKeyTransform(DIM // HEADS, norm, RotaryPositions(DIM // HEADS))


def positions(kind):
    return {"sines": SinusoidalPositions(DIM), "table": LearnedPositions(9, DIM)}.get(kind)


def heads(kind="sines", causal=False, **sizes):
    inner = Attention(ScaledDotScore(DIM // HEADS), CausalWindow() if causal else None)
    return MultiHeadAttention(DIM, HEADS, attention=inner, transform=transform(kind), **sizes)


def encoder(kind="sines", layers=2, embedding=True, **residual):
    stack = [TransformerEncoderLayer(heads(kind), FeedForward(DIM, HIDDEN), **residual) for _ in range(layers)]
    return TransformerEncoder(TokenEmbedding(SOURCE_VOCAB, DIM) if embedding else None, stack, positions(kind))


def decoder(kind="sines", layers=2, key_dim=DIM, **residual):
    stack = [
        TransformerDecoderLayer(
            heads(kind, causal=True), heads("none", key_dim=key_dim), FeedForward(DIM, HIDDEN, "gelu"), **residual
        )
        for _ in range(layers)
    ]
    return TransformerDecoder(stack, positions(kind))


def model(kind="sines", **residual):
    embedding = TokenEmbedding(TARGET_VOCAB, DIM)
    output = OutputLayer(DIM, TARGET_VOCAB, tied=embedding)
    return randomised(Seq2Seq(encoder(kind, **residual), embedding, decoder(kind, **residual), output))


def randomised(module):
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


# --- torch's layers ---


def copy_attention(theirs):
    return MultiHeadAttention.from_torch(theirs)


def copy_rest(ours, theirs, norms):
    for mine, other in zip(
        (ours.feed_forward.inner, ours.feed_forward.outer), (theirs.linear1, theirs.linear2), strict=True
    ):
        mine.load_state_dict(other.state_dict())
    for residual, norm in norms.items():
        getattr(ours, residual).norm.load_state_dict(getattr(theirs, norm).state_dict())


def shaken(layer):
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer.double().eval()


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_layer_is_that_of_torch(norm_first):
    theirs = shaken(
        nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, 0.0, "relu", batch_first=True, norm_first=norm_first)
    )
    ours = TransformerEncoderLayer(
        copy_attention(theirs.self_attn), FeedForward(DIM, HIDDEN), norm_first=norm_first
    ).double()
    copy_rest(ours, theirs, {"self_residual": "norm1", "feed_residual": "norm2"})
    steps, hidden = torch.randn(3, 5, DIM, dtype=torch.float64, requires_grad=True), torch.arange(5) >= LENGTHS[:, None]
    expected = theirs(steps, src_key_padding_mask=hidden)
    actual, _ = ours(steps, ~hidden.unsqueeze(1))
    assert_close(actual[~hidden], expected[~hidden])


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_layer_is_that_of_torch(norm_first):
    theirs = shaken(
        nn.TransformerDecoderLayer(DIM, HEADS, HIDDEN, 0.0, "gelu", batch_first=True, norm_first=norm_first)
    )
    causal = copy_attention(theirs.self_attn)
    causal.attention.window = CausalWindow()
    cross, feed = copy_attention(theirs.multihead_attn), FeedForward(DIM, HIDDEN, "gelu")
    ours = TransformerDecoderLayer(causal, cross, feed, norm_first=norm_first).double()
    copy_rest(ours, theirs, {"self_residual": "norm1", "residual": "norm2", "feed_residual": "norm3"})
    steps, source = torch.randn(3, 4, DIM).double(), torch.randn(3, 5, DIM).double()
    hidden, future = torch.arange(5) >= LENGTHS[:, None], torch.triu(torch.ones(4, 4, dtype=torch.bool), 1)
    expected = theirs(steps, source, tgt_mask=future, memory_key_padding_mask=hidden)
    from heedful.models.transformer import LayerState

    actual = ours(steps, LayerState(), cross.remember(source, mask=~hidden.unsqueeze(1))).features
    assert_close(actual, expected)


# --- the whole model ---

each_kind = pytest.mark.parametrize("kind", ["sines", "table", "rotary", "normed"])


@each_kind
@pytest.mark.parametrize("norm_first", [False, True])
def test_steps_with_a_cache_equal_the_whole_and_beams_may_swap(kind, norm_first):
    seq2seq = model(kind, norm_first=norm_first, norm="rms")
    whole, aligned = seq2seq(SOURCE, LENGTHS, TARGET), seq2seq.align(SOURCE, LENGTHS, TARGET)
    assert aligned is not None
    encoded = seq2seq.encode(SOURCE, LENGTHS)
    state, order = seq2seq.start(encoded), torch.arange(3)
    for place in range(TARGET.shape[1]):
        output, state = seq2seq.step(TARGET[order, place], state, encoded, need_weights=True)
        assert_close(output.logits, whole[order, place])
        assert_close(output.weights, aligned[order, place])
        swap = torch.tensor([2, 0, 1])
        order, state, encoded = order[swap], reorder(state, swap), reorder(encoded, swap)
    assert state.position.tolist() == [4, 4, 4]


@each_kind
def test_padding_changes_nothing(kind):
    seq2seq = model(kind)
    wider = torch.cat((SOURCE, torch.full((3, 3), 5)), 1)
    assert_close(seq2seq(wider, LENGTHS, TARGET), seq2seq(SOURCE, LENGTHS, TARGET))
    alone = seq2seq(SOURCE[1:2, :3], torch.tensor([3]), TARGET[1:2])
    assert_close(alone, seq2seq(SOURCE, LENGTHS, TARGET)[1:2])


def test_no_step_sees_what_comes_after_it():
    seq2seq = model()
    other = TARGET.clone()
    other[:, 3] = 13
    assert_close(seq2seq(SOURCE, LENGTHS, other)[:, :3], seq2seq(SOURCE, LENGTHS, TARGET)[:, :3])


def test_the_foot_of_the_stack_is_that_of_the_paper():
    seq2seq = model()
    vectors = seq2seq.embedding(TARGET)
    place, feature = 3, 4
    expected = vectors[0, place, feature] * math.sqrt(DIM) + math.sin(place / 10000 ** (feature / DIM))
    assert_close(seq2seq.decoder.stack.enter(vectors)[0, place, feature], expected)


def test_every_layer_and_head_is_shown():
    seq2seq = model()
    output = seq2seq.encoder(SOURCE, LENGTHS, need_weights=True)
    assert output.weights is not None
    assert output.weights.shape == (3, 2, HEADS, 5, 5)
    assert_close(output.weights.sum(-1), torch.ones(3, 2, HEADS, 5))
    assert not output.weights[2, ..., 2:].any()
    encoded = seq2seq.encode(SOURCE, LENGTHS)
    looked = seq2seq.decoder(seq2seq.embedding(TARGET), seq2seq.start(encoded), encoded, need_weights=True).weights
    assert looked.shape == (3, 2, HEADS, 4, 5)
    assert_close(seq2seq.align(SOURCE, LENGTHS, TARGET), looked.flatten(1, 2).mean(1))
    assert_close(output.outputs, seq2seq.encoder(SOURCE, LENGTHS).outputs)


def test_heads_of_a_given_target_are_those_of_its_alignment():
    seq2seq = model()
    cross, own, back = seq2seq.align_heads(SOURCE, LENGTHS, TARGET)
    assert cross is not None
    assert own is not None
    assert back is not None
    assert back.shape == (3, 2, HEADS, 4, 4)
    assert not back.triu(1).any()
    assert cross.shape == (3, 2, HEADS, 4, 5)
    assert own.shape == (3, 2, HEADS, 5, 5)
    assert_close(cross.flatten(1, 2).mean(1), seq2seq.align(SOURCE, LENGTHS, TARGET))


def test_recurrent_and_attending_sides_mix():
    recurrent = RecurrentEncoder(TokenEmbedding(SOURCE_VOCAB, 5), 5, units=4)
    embedding = TokenEmbedding(TARGET_VOCAB, DIM)
    one = Seq2Seq(recurrent, embedding, decoder(key_dim=8), OutputLayer(DIM, TARGET_VOCAB))
    sizes = {"embedding_dim": DIM, "context_dim": DIM, "summary_dim": DIM, "output_dim": 6}
    looking = LookThenUpdateDecoder(BahdanauAttention(7, DIM, 9), Recurrent("gru", 2 * DIM, 7), **sizes)
    other = Seq2Seq(encoder(), embedding, looking, OutputLayer(6, TARGET_VOCAB))
    many = LookThenUpdateDecoder(
        MultiHeadAttention(8, 2, key_dim=DIM), Recurrent("gru", DIM + 8, 8), **{**sizes, "context_dim": 8}
    )
    third = Seq2Seq(encoder(), embedding, many, OutputLayer(6, TARGET_VOCAB))
    for seq2seq, has_heads in ((one, True), (other, False), (third, True)):
        randomised(seq2seq)
        whole, encoded = seq2seq(SOURCE, LENGTHS, TARGET), seq2seq.encode(SOURCE, LENGTHS)
        output, _ = seq2seq.step(TARGET[:, 0], seq2seq.start(encoded), encoded, need_weights=True)
        assert_close(output.logits, whole[:, 0])
        assert output.weights.shape == (3, 5)
        cross, _, _ = seq2seq.align_heads(SOURCE, LENGTHS, TARGET)
        assert (cross is not None) == has_heads


def test_windows_and_normalizers_of_the_catalogue_fit_into_every_place():
    inner = {
        "self_attention": Attention(ScaledDotScore(6), SlidingWindow(1, 1), SparsemaxNormalizer()),
        "causal": Attention(ScaledDotScore(6), SlidingWindow(1, 0), SparsemaxNormalizer()),
        "cross": Attention(ScaledDotScore(6), normalizer=SparsemaxNormalizer()),
    }
    made = {name: MultiHeadAttention(DIM, HEADS, attention=attention) for name, attention in inner.items()}
    feeds = FeedForward(DIM, HIDDEN), FeedForward(DIM, HIDDEN)
    read = TransformerEncoder(
        TokenEmbedding(SOURCE_VOCAB, DIM), [TransformerEncoderLayer(made["self_attention"], feeds[0])]
    )
    write = TransformerDecoder([TransformerDecoderLayer(made["causal"], made["cross"], feeds[1])])
    seq2seq = randomised(Seq2Seq(read, TokenEmbedding(TARGET_VOCAB, DIM), write, OutputLayer(DIM, TARGET_VOCAB)))
    output = seq2seq.encoder(SOURCE, LENGTHS, need_weights=True)
    assert output.weights is not None
    looked = output.weights[0, 0, 0]
    assert not looked[torch.arange(5)[:, None].sub(torch.arange(5)).abs() > 1].any()
    whole, encoded = seq2seq(SOURCE, LENGTHS, TARGET), seq2seq.encode(SOURCE, LENGTHS)
    state = seq2seq.start(encoded)
    for place in range(4):
        output, state = seq2seq.step(TARGET[:, place], state, encoded)
        assert_close(output.logits, whole[:, place])


def test_gradients_reach_every_parameter_and_training_drops():
    seq2seq = model(dropout=0.3, drop_path=0.2).train()
    first, second = seq2seq(SOURCE, LENGTHS, TARGET), seq2seq(SOURCE, LENGTHS, TARGET)
    assert not first.equal(second)
    first.square().mean().backward()
    for name, parameter in seq2seq.named_parameters():
        # a shift of all keys changes no softmax
        assert parameter.grad is not None, name
        assert parameter.grad.any() or "key_proj.bias" in name, name


# --- what does not fit ---


@pytest.mark.messages
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: TransformerDecoderLayer(heads(), None, FeedForward(DIM, HIDDEN)),
            "self_attention has a EverywhereWindow, which may show the steps to come; expected a window for",
        ),
        (lambda: TransformerEncoderLayer(heads(), FeedForward(5, HIDDEN)), "feed_forward's dim is 5; expected 12"),
        (lambda: TransformerEncoderLayer(heads(key_dim=5), FeedForward(DIM, 3)), "self_attention's key_dim is 5"),
        (lambda: encoder(norm="batch"), "norm is 'batch'"),
        (lambda: encoder(dropout=1.0), "dropout is 1.0"),
        (lambda: encoder(layers=0), "layers is empty; expected at least one layer."),
        (
            lambda: TransformerEncoder(TokenEmbedding(3, 5), list(encoder().stack.layers)),
            "embedding's dim is 5; expected 12",
        ),
        (
            lambda: TransformerDecoder(
                [
                    *decoder(layers=1).stack.layers,
                    TransformerDecoderLayer(heads(causal=True), None, FeedForward(DIM, HIDDEN)),
                ]
            ),
            "1 of 2 layers look at a source; expected all, or none for a language model.",
        ),
    ],
)
def test_blocks_that_misfit_are_refused(build, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        build()


@pytest.mark.messages
def test_a_sentence_past_a_learned_table_is_refused():
    with pytest.raises(ValueError, match="reach beyond the table of 9 places"):
        model("table")(torch.full((1, 10), 4), torch.tensor([10]), TARGET[:1])
