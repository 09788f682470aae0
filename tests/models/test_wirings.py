"""Every wiring against a hand-rolled loop of cells: values, weights and the gradient of every parameter."""

import itertools

import pytest
import torch
from torch import nn

from heedful.attention import MultiHeadAttention
from heedful.layers import Recurrent
from heedful.models import EncoderOutput, UpdateLookAddDecoder
from tests.models import oracles
from tests.models.tiny import LOOKING, WIRINGS, batch_of, model_of
from tests.tolerances import assert_close

SCORES = ("bahdanau", "general")
CASES = [
    *itertools.product(LOOKING, ("gru", "lstm"), (1, 2), SCORES),
    *itertools.product(("plain",), ("gru", "lstm"), (1, 2), ("none",)),
]
each_case = pytest.mark.parametrize(("wiring", "cell", "layers", "score"), CASES)


def _model(wiring, cell, layers, score, **options):
    return model_of(wiring, cell, layers, "bahdanau" if score == "none" else score, **options)


def _oracle(model, wiring, source, lengths, target):
    rows = [
        oracles.logits_and_weights(model, wiring, ids[:length].tolist(), fed.tolist())[0]
        for ids, length, fed in zip(source, lengths, target, strict=True)
    ]
    return torch.stack(rows)


def _gradients(model, logits, direction):
    model.zero_grad()
    (logits * direction).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same_values_and_gradients(model, wiring):
    source, lengths, target = batch_of()
    ours, theirs = model(source, lengths, target), _oracle(model, wiring, source, lengths, target)
    assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    mine, expected = (_gradients(model, logits, direction) for logits in (ours, theirs))
    for name, gradient in mine.items():
        assert gradient.abs().max() > 0, f"{name} has no gradient: the test proves nothing of it"
        assert_close(gradient, expected[name])


@each_case
def test_logits_and_gradients_are_those_of_a_loop_of_cells(wiring, cell, layers, score):
    assert_same_values_and_gradients(_model(wiring, cell, layers, score), wiring)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("merge", ["concat", "sum"])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_tied_and_summed_models_are_those_of_a_loop_of_cells(wiring, merge, tied):
    model = model_of(wiring, merge=merge, tied=tied)
    assert_same_values_and_gradients(model, wiring)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("wiring", LOOKING)
def test_weights_are_those_of_a_loop_of_cells(wiring, score):
    model = model_of(wiring, layers=2, score=score)
    source, lengths, target = batch_of()
    weights = model.align(source, lengths, target)
    assert weights is not None
    for row, length in enumerate(lengths.tolist()):
        _, looks = oracles.logits_and_weights(model, wiring, source[row, :length].tolist(), target[row].tolist())
        assert_close(weights[row, :, :length], torch.stack(looks))
        assert weights[row, :, length:].eq(0).all()


def test_a_plain_model_aligns_nothing():
    assert model_of("plain").align(*batch_of()) is None


def test_adding_what_was_seen_is_torchs_attention_of_one_head_added_and_normalised():
    theirs = nn.MultiheadAttention(7, 1, kdim=4, vdim=4, batch_first=True)
    decoder = UpdateLookAddDecoder(
        MultiHeadAttention.from_torch(theirs), Recurrent("gru", 5, 7), summary_dim=4
    ).double()
    memory, embedded = torch.randn(2, 6, 4).double(), torch.randn(2, 3, 5).double()
    hidden = torch.tensor([[False] * 6, [False] * 4 + [True] * 2])
    encoded = decoder.remember(EncoderOutput(memory, memory.mean(1)), ~hidden.unsqueeze(1))
    output = decoder(embedded, decoder.start(encoded), encoded, need_weights=True)
    states = []
    for item, vectors in enumerate(embedded):
        state = oracles.first_state(decoder.bridge, memory[item].mean(0), 1)
        for vector in vectors:
            h, state = oracles.stack(decoder.recurrent.rnn, vector, state)
            states.append(h)
    states = torch.stack(states).view(2, 3, 7)
    context, weights = theirs.double()(states, memory, memory, key_padding_mask=hidden)
    assert_close(output.features, nn.functional.layer_norm(states + context, (7,)))
    assert_close(output.weights.squeeze(1), weights)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_source_and_a_target_of_one_token(wiring):
    model = model_of(wiring)
    source, lengths, target = batch_of((1,), target_len=1, extra=0)
    assert_close(model(source, lengths, target), _oracle(model, wiring, source, lengths, target))
