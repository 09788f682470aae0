"""Token embeddings: padding, pretrained vectors, dropout."""

import pytest
import torch

from heedful.layers import TokenEmbedding

IDS = torch.tensor([[1, 2, 0], [6, 0, 0]])


@pytest.mark.parametrize("matrix", [None, torch.ones(7, 3)])
@pytest.mark.parametrize("optimiser", [torch.optim.AdamW, torch.optim.SGD])
def test_padding_is_zero_and_stays_zero(optimiser, matrix):
    embedding = TokenEmbedding(7, 3, matrix=matrix)
    steps = optimiser(embedding.parameters(), lr=0.1)
    before = embedding.weight.detach().clone()
    for _ in range(5):
        assert embedding(IDS)[IDS == 0].eq(0).all()
        steps.zero_grad()
        (embedding(IDS) - 1.7).square().sum().backward()
        steps.step()
    assert embedding.weight[0].eq(0).all()
    assert not torch.equal(embedding.weight[1], before[1])


def test_padding_gives_zeros_whatever_another_user_of_the_table_did_to_its_row():
    """A tied output layer sends gradients to every row, that of padding too."""
    embedding = TokenEmbedding(7, 3)
    with torch.no_grad():
        embedding.weight[0] = float("nan")
    vectors = embedding(IDS)
    assert vectors[IDS == 0].eq(0).all()
    vectors.sum().backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad[0].eq(0).all()


def test_vectors_are_the_rows_of_the_table():
    embedding = TokenEmbedding(7, 3)
    assert torch.equal(embedding(IDS)[0, 1], embedding.weight[2])
    assert torch.equal(embedding(IDS)[1, 0], embedding.weight[6])


def test_a_pretrained_matrix_is_copied_and_trained():
    matrix = torch.randn(7, 3)
    kept = matrix.clone()
    embedding = TokenEmbedding(7, 3, matrix=matrix)
    assert torch.equal(embedding.weight[1:], matrix[1:])
    embedding(IDS).sum().backward()
    torch.optim.SGD(embedding.parameters(), lr=1.0).step()
    assert torch.equal(matrix, kept)
    assert torch.equal(embedding.weight[1], matrix[1] - 1)


@pytest.mark.messages
def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(
        ValueError, match=r"matrix has shape \(3, 7\); expected \[vocab_size, dim\] = \[7, 3\]. Give one"
    ):
        TokenEmbedding(7, 3, matrix=torch.ones(3, 7))


def test_dropout_works_in_training_only():
    embedding = TokenEmbedding(7, 50, dropout=0.5)
    assert not torch.equal(embedding(IDS), embedding(IDS))
    embedding.eval()
    assert torch.equal(embedding(IDS)[0, 0], embedding.weight[1])
