"""Encoder, pooling, head: the parts in their order, padding without influence, and the sizes of the old models."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn

from heedful.attention import AttentionPooling, LastPooling, LastStateAttention, StructuredSelfAttention
from heedful.data.examples import Examples
from heedful.layers import TokenEmbedding
from heedful.models import RecurrentEncoder, SequenceClassifier, count_parameters, predict_all
from tests.tolerances import assert_close

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str):
    """A script of examples/ as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(masked: bool = True) -> SequenceClassifier:
    encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, units=5, cell="lstm", bidirectional=False)
    return SequenceClassifier(encoder, LastStateAttention(5, units=7), nn.Linear(7, 1), masked).eval()


def test_it_is_its_parts_by_hand():
    model, ids, lengths = made(), torch.tensor([[4, 5, 6], [7, 8, 0]]), torch.tensor([3, 2])
    answer, weights = model(ids, lengths, need_weights=True)
    for row, length, one, own in zip(ids, lengths, answer, weights, strict=True):
        outputs, _ = model.encoder.rnn(model.encoder.embedding(row[:length].unsqueeze(0)))
        vector, seen = model.pooling(outputs, need_weights=True)
        assert_close(one, model.head(vector).squeeze())
        assert_close(own[:length], seen.squeeze(0))
        assert not own[length:].any()


def test_padding_has_no_influence_unless_it_is_wanted():
    ids, wide = torch.tensor([[4, 5]]), torch.tensor([[4, 5, 0, 0]])
    length = torch.tensor([2])
    model = made()
    assert_close(model(wide, length).answer, model(ids, length).answer)
    model.masked = False
    assert not torch.allclose(model(wide, length).answer, model(ids, length).answer)


def test_an_encoder_without_lengths_reads_every_step():
    encoder = RecurrentEncoder(TokenEmbedding(11, 3, padding=False), 3, units=5, cell="gru").eval()
    ids = torch.tensor([[4, 5, 0], [7, 0, 8]])
    whole, packed = encoder(ids), encoder(ids, torch.tensor([3, 3]))
    assert_close(whole.outputs, packed.outputs)
    assert_close(whole.summary, packed.summary)


def test_an_encoder_without_embedding_reads_vectors():
    encoder = RecurrentEncoder(None, 2, units=5, cell="lstm", bidirectional=False)
    vectors = torch.randn(3, 4, 2)
    assert_close(encoder(vectors).outputs, encoder.rnn(vectors)[0])
    model = SequenceClassifier(encoder, LastPooling(), nn.Linear(5, 1))
    assert_close(model(vectors).answer, model.head(encoder.rnn(vectors)[0][:, -1]).squeeze(1))


@pytest.mark.parametrize(
    ("script", "arguments", "numbers"),
    [
        ("imdb", ["attention"], 248_929),
        ("imdb", ["none"], 248_901),
        ("imdb_pooling", [], 1_241_301),
        ("add_two_numbers", [], 86_629),
        ("find_max", [], 115_841),
    ],
)
def test_the_old_models_have_their_parameters(script, arguments, numbers):
    assert count_parameters(example(script).build(*arguments)) == numbers


def test_all_batches_are_answered_in_their_order():
    model, ids, lengths = made(), torch.randint(1, 11, (7, 4)), torch.tensor([4, 1, 2, 3, 4, 2, 1])
    examples = Examples(ids, torch.zeros(7), batch_size=3, lengths=lengths)
    answer, weights = predict_all(model, examples.in_order())
    expected = model(ids, lengths, need_weights=True)
    assert_close(answer, expected.answer)
    assert_close(weights, expected.weights)
    assert not answer.requires_grad


def test_a_pooling_with_its_own_weights_shows_them():
    model = SequenceClassifier(RecurrentEncoder(None, 2, units=5), AttentionPooling(10, 3), nn.Linear(10, 1))
    answer, weights = model(torch.randn(3, 4, 2), torch.tensor([4, 1, 2]), need_weights=True)
    assert_close(weights.sum(1), torch.ones(3))
    assert model(torch.randn(3, 4, 2)).weights is None
    assert answer.shape == (3,)


def test_several_labels_and_several_looks():
    encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, units=5)
    model = SequenceClassifier(encoder, StructuredSelfAttention(10, 3, hops=2), nn.Linear(20, 4)).eval()
    ids, lengths = torch.tensor([[4, 5, 6], [7, 8, 0]]), torch.tensor([3, 2])
    answer, weights = model(ids, lengths, need_weights=True)
    assert answer.shape == (2, 4)
    for row, length, one, own in zip(ids, lengths, answer, weights, strict=True):
        outputs = encoder(row[:length].unsqueeze(0)).outputs
        looks, seen = model.pooling(outputs, need_weights=True)
        assert_close(one, model.head(torch.cat([looks[0, 0], looks[0, 1]])))
        assert_close(own[:, :length], seen[0])
