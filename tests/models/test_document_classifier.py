"""Documents and bags of words: sentences cut as by a loop, padding without influence, words hidden in training."""

import pytest
import torch
from torch import nn

from heedful.attention import AttentionPooling, HierarchicalAttention, MeanPooling
from heedful.layers import NgramEmbedding, TokenEmbedding
from heedful.models import DocumentClassifier, EmbeddingEncoder, RecurrentEncoder, SequenceClassifier
from heedful.models.document_classifier import cut_sentences
from tests.tolerances import assert_close

END = 3


def documents() -> DocumentClassifier:
    ngrams = NgramEmbedding(3, 7)
    ngrams.learn([torch.arange(4, 17)])
    words, sentences = EmbeddingEncoder(TokenEmbedding(17, 3), 3, ngrams), RecurrentEncoder(None, 3, 2)
    levels = HierarchicalAttention(words, AttentionPooling(3, 5), sentences, AttentionPooling(4, 7))
    return DocumentClassifier(levels, nn.Linear(4, 2), END).double().eval()


TEXTS = [
    [4, 5, END, 6, 7, 8, END, 9],
    [7, END],
    # ends without a word before them
    [END, 4, END, END, 11, 12, END],
]


def padded(texts: list[list[int]], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([text + [0] * (width - len(text)) for text in texts]), torch.tensor([*map(len, texts)])


def test_a_document_is_what_its_sentences_make_one_by_one():
    model, (ids, lengths) = documents(), padded(TEXTS, 9)
    answer, weights = model(ids, lengths, need_weights=True)
    for row, text in enumerate(TEXTS):
        sentences, places = [], []
        for place, token in enumerate(text):
            if not place or text[place - 1] == END:
                sentences.append([])
                places.append([])
            if token != END:
                sentences[-1].append(token)
                places[-1].append(place)
        read = [
            model.levels.word_pooling(model.levels.word_encoder(torch.tensor([one])).outputs, None, True)
            if one
            else None
            for one in sentences
        ]
        vectors = torch.stack([torch.zeros(3).double() if one is None else one.vector[0] for one in read])
        outputs = model.levels.sentence_encoder(vectors.unsqueeze(0)).outputs
        real = torch.tensor([[bool(one) for one in sentences]])
        whole = model.levels.sentence_pooling(outputs, real, True)
        assert_close(answer[row], model.head(whole.vector)[0])
        expected = torch.zeros(9).double()
        for number, one in enumerate(read):
            if one is not None:
                expected[places[number]] = one.weights[0] * whole.weights[0, number]
        assert_close(weights[row], expected)


def test_padding_and_what_stands_in_it_have_no_influence():
    model = documents()
    narrow, wide = padded(TEXTS, 8), padded(TEXTS, 11)
    filled = wide[0].clone()
    filled[1, 5:] = torch.tensor([4, END, 5, END, 6, 7])
    assert_close(model(*wide).answer, model(*narrow).answer)
    assert_close(model(filled, wide[1]).answer, model(*narrow).answer)


def test_words_that_are_not_kept_are_as_if_they_were_not_there():
    ids, lengths = padded(TEXTS, 8)
    kept = torch.ones_like(ids, dtype=torch.bool)
    kept[0, [0, 4]] = False
    kept[1] = False
    found, sizes, places = cut_sentences(ids, lengths, END, kept)
    assert found[0].tolist() == [[5, 0], [6, 8], [9, 0], [0, 0]]
    assert sizes[:2].tolist() == [[1, 2, 1, 0], [0, 0, 0, 0]]
    row, step, sentence, place = places
    assert torch.equal(ids[row, step], found[row, sentence, place])
    assert len(row) == sizes.sum()


@pytest.mark.parametrize("kind", ["bag", "document"])
def test_words_are_hidden_in_training_alone_and_none_of_them_may_be_left(kind):
    encoder = EmbeddingEncoder(TokenEmbedding(17, 4), 4)
    model = SequenceClassifier(encoder, MeanPooling(), nn.Linear(4, 2, bias=False), word_dropout=0.5)
    if kind == "document":
        levels = HierarchicalAttention(encoder, MeanPooling(), EmbeddingEncoder(None, 4), MeanPooling())
        model = DocumentClassifier(levels, nn.Linear(4, 2, bias=False), END, word_dropout=0.5)
    ids, lengths = torch.full((2000, 2), 5), torch.full((2000,), 2)
    ids[:, 1] = 6
    torch.manual_seed(1)
    answers = model.train()(ids, lengths).answer
    alone = [model.eval()(ids[:1, [place]], lengths[:1] - 1).answer[0] for place in (0, 1)]
    both = model(ids[:1], lengths[:1]).answer[0]
    for expected in (alone[0], alone[1], both, torch.zeros(2)):
        share = (answers - expected).abs().amax(1).lt(1e-6).double().mean().item()
        assert share == pytest.approx(0.25, abs=0.05)


def test_a_bag_is_the_sum_of_words_and_ngrams_and_hides_padding():
    ngrams = NgramEmbedding(3, 7)
    ngrams.learn([torch.tensor([4, 5, 6])])
    torch.nn.init.normal_(ngrams.table.weight)
    encoder = EmbeddingEncoder(TokenEmbedding(17, 3), 3, ngrams).eval()
    ids = torch.tensor([[4, 5, 6], [7, 9, 9]])
    read = encoder(ids, torch.tensor([3, 1]))
    assert ngrams(ids)[0, 1:].all()
    assert_close(read.outputs[0], (encoder.embedding(ids) + ngrams(ids))[0])
    assert_close(read.outputs[1, 0], encoder.embedding(ids)[1, 0])
    assert not read.outputs[1, 1:].any()
    assert_close(read.summary, torch.stack([read.outputs[0].mean(0), read.outputs[1, 0]]))
    assert_close(encoder(ids[:1]).summary, read.summary[:1])
    with pytest.raises(ValueError, match="n-grams are made of ids"):
        EmbeddingEncoder(None, 3, NgramEmbedding(3, 7))
    with pytest.raises(ValueError, match="lengths go from 0 to 3"):
        encoder(ids, torch.tensor([3, 0]))
