"""Faithfulness of classifiers and language models: gradients by the weights themselves, and words that are gone."""

import numpy as np
import pytest
import torch

from heedful._errors import DataError
from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.data.vocabulary import BOS
from heedful.functional import padding_mask
from heedful.metrics.evidence import attention_rollout
from heedful.models.document_classifier import cut_sentences
from heedful.tasks import text_faithfulness
from heedful.tasks.build import build_task
from heedful.tasks.classification import Classifier
from heedful.tasks.language_faithfulness import _gradients, _scores, writer_faithfulness
from heedful.tasks.language_model import Writer
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.transformer_options import TransformerOptions
from tests.small import small_recipe

TEXT = "we saw a great film"
SIZES = {"embedding_dim": 8, "units": 6, "dropout": 0.0, "transformer": TransformerOptions(heads=2, hidden_units=9)}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return small_recipe(tmp_path_factory.mktemp("recipe"))


def made(recipe, task, kind, **options):
    """A model whose weights are new, of words and two labels."""
    torch.manual_seed(4)
    words = Tokenizer.from_entries(TEXT.split(), "word")
    labels = Tokenizer.from_entries(["bad", "good"], LABEL) if kind is Classifier else words
    own = ModelOptions(**SIZES, **options)
    model = build_task(task, own, words.vocab_size, labels.vocab_size).eval()
    return kind(model, TokenizerPair(words, labels, kind is Writer), recipe.model_copy(update={"model": own}))


@pytest.mark.parametrize("pooling", ["gated", "attention", "att_blstm", "structured", "mean"])
def test_the_gradient_of_a_classifier_is_that_by_its_weights(recipe, pooling):
    classifier = made(recipe, "classification", Classifier, pooling=pooling)
    model, ids = classifier.model, classifier.read(TEXT).ids
    found = text_faithfulness._piece_scores(model, ids, 1)[text_faithfulness.GRADIENT]
    # what the weights are, and the logit as a function of them alone
    outputs = model.encoder(torch.tensor([ids]), torch.tensor([len(ids)])).outputs.detach()
    weights = model.pooling(outputs, None, True).weights.detach().reshape(1, -1, len(ids)).requires_grad_()
    vector = weights @ outputs
    logit = model.head((torch.tanh(vector) if pooling == "att_blstm" else vector).flatten(1))[0, 1]
    assert logit.item() == pytest.approx(model(torch.tensor([ids])).answer[0, 1].item(), abs=1e-5)
    (gradient,) = torch.autograd.grad(logit, weights)
    assert found == pytest.approx((weights * gradient)[0].sum(0).detach().numpy(), abs=1e-6)


def test_which_scores_a_classifier_has_hangs_on_its_parts(recipe):
    all_names = ["attention", "gradient x attention", "rollout", "leave one out"]
    for options, names in (
        ({"encoder": "transformer"}, all_names),
        ({"encoder": "none"}, [*all_names[:2], all_names[3]]),
        ({"pooling": "max"}, [all_names[0], all_names[3]]),
        ({"pooling": "channel_statistics"}, [all_names[0], all_names[3]]),
        ({"encoder": "hierarchical"}, [*all_names[:2], all_names[3]]),
        ({"encoder": "hierarchical", "pooling": "max"}, [all_names[0], all_names[3]]),
    ):
        found = text_faithfulness.classifier_faithfulness(
            made(recipe, "classification", Classifier, **options), TEXT, draws=1
        )
        assert [*found] == names, options
        assert found["leave one out"].agreement == pytest.approx(1)


def test_the_gradient_of_a_language_model_is_that_by_its_weights(recipe):
    writer = made(recipe, "language_model", Writer, attention="luong")
    model, ids = writer.model, writer.tokenizers.target.encode(TEXT)
    tokens = torch.tensor([[BOS, *ids]])
    found = _gradients(writer, tokens)
    assert found is not None
    hidden = model.decoder.recurrent(model.embedding(tokens), model._begin(tokens).recurrent)[0].detach()
    for end in range(len(ids)):
        looked = model.look(tokens)
        assert looked is not None
        weights = looked[0, end].detach().requires_grad_()
        features = torch.tanh(model.decoder.combine(torch.cat((weights @ hidden[0], hidden[0, end]))))
        logit = model.output(features.view(1, 1, -1))[0, 0, ids[end]]
        assert logit.item() == pytest.approx(model(tokens)[0, end, ids[end]].item(), abs=1e-5)
        (gradient,) = torch.autograd.grad(logit, weights)
        assert found[end] == pytest.approx((weights * gradient).detach().numpy(), abs=1e-6)


def test_the_gradient_of_a_transformer_is_that_by_its_weights(recipe):
    writer = made(recipe, "language_model", Writer, decoder="transformer", decoder_layers=2)
    model, ids = writer.model, writer.tokenizers.target.encode(TEXT)
    # biases of values are weighed, too
    for layer in model.decoder.stack.layers:
        torch.nn.init.normal_(layer.self_attention.value_proj.bias)
    tokens, factors = torch.tensor([[BOS, *ids]]), []

    def weigh(_, inputs, output):
        factors.append(torch.ones_like(output[0], requires_grad=True))
        return output[0] * factors[-1], *output[1:]

    found = _scores(writer, ids)["gradient x attention"]
    hooks = [one.self_attention.attention.normalizer.register_forward_hook(weigh) for one in model.decoder.stack.layers]
    logits = model.output(model._run(tokens, model._begin(tokens), need_weights=True).features)[0]
    assert len(factors) == 2
    for end in range(len(ids)):
        parts = torch.autograd.grad(logits[end, ids[end]], factors, retain_graph=True)
        # each layer's look of this step, all heads
        wanted = torch.stack([part.reshape(2, 1 + len(ids), -1)[:, end].sum(0) for part in parts]).sum(0)
        assert found[end] == pytest.approx(wanted.numpy(), abs=1e-6)
        assert wanted[: end + 1].abs().min() > 1e-6
    for hook in hooks:
        hook.remove()


def test_the_gradient_of_a_document_is_that_by_the_weights_of_both_levels(recipe):
    classifier = made(recipe, "classification", Classifier, encoder="hierarchical")
    read = classifier.read("we saw. a great. film a film great")
    model, ids = classifier.model, read.ids
    found = text_faithfulness._piece_scores(model, ids, 1)[text_faithfulness.GRADIENT]
    (documents,), (sizes,), places = cut_sentences(torch.tensor([ids]), torch.tensor([len(ids)]), model.end)
    levels, count = model.levels, len(sizes)
    assert count == 3
    assert len({*sizes.tolist()}) > 1
    outputs = levels.word_encoder(documents, sizes).outputs.detach()
    shares = levels.word_pooling(outputs, padding_mask(sizes, documents.shape[1]), True).weights
    words = shares.detach().requires_grad_()
    sentences = levels.sentence_encoder((words.unsqueeze(1) @ outputs).transpose(0, 1), torch.tensor([count])).outputs
    # how the sentences are weighed hangs on their words
    weights = levels.sentence_pooling(sentences, None, True).weights
    logit = model.head(weights @ sentences[0])[0, 1]
    assert logit.item() == pytest.approx(
        model(torch.tensor([ids]), torch.tensor([len(ids)])).answer[0, 1].item(), abs=1e-5
    )
    of_words, of_sentences = torch.autograd.grad(logit, [words, weights])
    both = words * of_words + words * (weights * of_sentences)[0, :, None]
    wanted = np.zeros(len(ids))
    for _, step, sentence, word in places.T.tolist():
        wanted[step] = both[sentence, word].item()
    assert found == pytest.approx(wanted, abs=1e-6)
    assert np.count_nonzero(wanted) == int(sizes.sum())


@pytest.mark.parametrize(
    "options", [{"attention": "bahdanau"}, {"attention": "multi_head"}, {"decoder": "transformer"}]
)
def test_what_a_language_model_says_without_the_words_is_measured(recipe, options):
    writer = made(recipe, "language_model", Writer, **options)
    ids = writer.tokenizers.target.encode("we saw a")
    found = writer_faithfulness(writer, [ids], draws=1)
    assert [*found] == ["attention", "gradient x attention", *["rollout"] * ("decoder" in options), "leave one out"]
    scores = _scores(writer, ids)["attention"]
    if "decoder" in options:
        layers = writer.model.look(torch.tensor([[BOS, *ids]]))[0].detach().double().numpy()
        assert _scores(writer, ids)["rollout"] == pytest.approx(attention_rollout(list(layers))[-1])

    def chance(before, answer):
        logits = writer.model(torch.tensor([[BOS, *before]]))[0, -1]
        return logits.double().softmax(-1)[answer].item()

    # one token before the second, two before the third: up to half of two is one
    lost = [chance(ids[:1], ids[1]) - chance([], ids[1])]
    rest = [ids[1]] if scores[2, 1] >= scores[2, 2] else [ids[0]]
    lost.append(chance(ids[:2], ids[2]) - chance(rest, ids[2]))
    assert found["attention"].comprehensiveness.given == pytest.approx(np.mean(lost), abs=1e-6)


def test_without_a_look_back_or_a_second_token_there_is_nothing_to_measure(recipe):
    with pytest.raises(DataError, match="has no attention to measure"):
        writer_faithfulness(made(recipe, "language_model", Writer, attention="none"), [[4, 5]])
    with pytest.raises(DataError, match="No text has two tokens"):
        writer_faithfulness(made(recipe, "language_model", Writer), [[4], []])
