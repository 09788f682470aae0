"""Two levels of pooling against a loop over documents and sentences, and what may not be seen on either level."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful import AttentionPooling, HierarchicalAttention
from heedful.attention import LastPooling
from heedful.layers import TokenEmbedding
from heedful.models import RecurrentEncoder
from tests.tolerances import assert_close

SENTENCES, WORDS, DIM = 3, 4, 2


def network() -> HierarchicalAttention:
    torch.manual_seed(2)
    levels = (
        RecurrentEncoder(None, DIM, units=3),
        AttentionPooling(6, 5),
        RecurrentEncoder(None, 6, units=4),
        AttentionPooling(8, 7),
    )
    return HierarchicalAttention(*levels).double()


def documents(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, SENTENCES, WORDS, DIM, dtype=torch.float64, requires_grad=True)


def by_loop(model: HierarchicalAttention, document, lengths):
    """One document: a vector for each sentence in turn, then the document's."""
    sentences, words = [], []
    for sentence, length in zip(document, lengths.tolist(), strict=True):
        if not length:
            sentences.append(torch.zeros(6, dtype=torch.float64))
            words.append(torch.zeros(WORDS, dtype=torch.float64))
            continue
        outputs = model.word_encoder(sentence[None, :length], torch.tensor([length])).outputs
        vector, weights = model.word_pooling(outputs, need_weights=True)
        sentences.append(vector[0])
        words.append(torch.nn.functional.pad(weights[0], (0, WORDS - length)))
    real = lengths > 0
    if not real.any():
        return torch.zeros(8, dtype=torch.float64), torch.stack(words), torch.zeros(SENTENCES, dtype=torch.float64)
    end = int(real.nonzero().max()) + 1
    outputs = model.sentence_encoder(torch.stack(sentences)[None, :end], torch.tensor([end])).outputs
    vector, weights = model.sentence_pooling(outputs, real[None, :end], need_weights=True)
    return vector[0], torch.stack(words), torch.nn.functional.pad(weights[0], (0, SENTENCES - end))


some_lengths = st.lists(st.lists(st.integers(0, WORDS), min_size=SENTENCES, max_size=SENTENCES), min_size=1, max_size=3)


@given(some_lengths)
def test_it_is_the_loop_with_gradients_wherever_sentences_are_empty(lengths):
    model, lengths = network(), torch.tensor(lengths)
    texts = documents(len(lengths))
    found = model(texts, lengths, need_weights=True)
    wanted = [by_loop(model, one, own) for one, own in zip(texts, lengths, strict=True)]
    columns = zip(*wanted, strict=True)
    for ours, theirs in zip((found.vector, found.word_weights, found.sentence_weights), columns, strict=True):
        assert_close(ours, torch.stack(theirs))
    if found.vector.requires_grad and (lengths > 0).any():
        total = sum(vector.square().sum() for vector, _, _ in wanted)
        leaves = (texts, *model.parameters())
        ours, theirs = torch.autograd.grad(found.vector.square().sum(), leaves), torch.autograd.grad(total, leaves)
        for one, other in zip(ours, theirs, strict=True):
            assert_close(one, other)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_padding_on_both_levels_may_hold_anything(poison):
    model, lengths = network(), torch.tensor([[4, 0, 2], [1, 3, 0]])
    texts = documents()
    expected = model(texts, lengths).vector
    hidden = torch.arange(WORDS) >= lengths.unsqueeze(-1)
    poisoned = texts.detach().masked_fill(hidden.unsqueeze(-1), poison).requires_grad_()
    output = model(poisoned, lengths).vector
    assert_close(output, expected)
    gradients = torch.autograd.grad(output.sum(), (poisoned, *model.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not gradients[0][hidden].any()


def test_a_document_without_words_gives_zeros():
    document = network()(documents(), torch.tensor([[0, 0, 0], [1, 0, 0]]), need_weights=True)
    assert not document.vector[0].any()
    assert not document.sentence_weights[0].any()
    assert document.vector[1].any()


def test_one_sentence_is_the_word_level_alone():
    model = network()
    model.sentence_pooling = LastPooling()
    texts = documents()[:, :1]
    document = model(texts, torch.tensor([[4], [2]]), need_weights=True)
    assert document.sentence_weights.tolist() == [[1.0], [1.0]]
    alone = model.word_pooling(model.word_encoder(texts[0], torch.tensor([4])).outputs, need_weights=True)
    assert_close(document.word_weights[0], alone.weights)


def test_ids_are_read_through_an_embedding_and_weights_come_when_asked_for():
    encoder = RecurrentEncoder(TokenEmbedding(11, 3), 3, units=2)
    model = HierarchicalAttention(encoder, AttentionPooling(4, 5), RecurrentEncoder(None, 4, 3), AttentionPooling(6, 5))
    ids, lengths = torch.randint(1, 11, (2, SENTENCES, WORDS)), torch.tensor([[4, 1, 2], [3, 0, 0]])
    plain, asked = model(ids, lengths), model(ids, lengths, need_weights=True)
    assert plain.word_weights is plain.sentence_weights is None
    assert_close(plain.vector, asked.vector)
    assert_close(asked.word_weights.sum(-1), (lengths > 0).float())
    assert_close(asked.sentence_weights.sum(-1), torch.ones(2))


@pytest.mark.messages
def test_what_does_not_fit_is_refused():
    model = network()
    with pytest.raises(ValueError, match=r"and lengths \(2,\); expected \[batch, sentences, words, \.\.\.\] and"):
        model(documents(), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"expected at least one document, sentence and word\. Pad what is empty"):
        model(documents()[:, :, :0], torch.zeros(2, SENTENCES, dtype=torch.long))
    with pytest.raises(ValueError, match=r"lengths has 9, above max_len, 4"):
        model(documents(), torch.full((2, SENTENCES), 9))
