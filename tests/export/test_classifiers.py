"""A classifier as one graph: the same labels, probabilities and weights, in a padded batch of texts of any length."""

import random

import pytest
import torch
from torch.export import Dim

from heedful.attention import (
    AttBlstmPooling,
    AttentionPooling,
    AttentiveStatisticsPooling,
    ChannelStatisticsPooling,
    GatedPooling,
    LastPooling,
    LastStateAttention,
    MaxPooling,
    MeanPooling,
)
from heedful.cli.export import _facts
from heedful.data.batching import pad
from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.data.vocabulary import EOS
from heedful.export import export_onnx, export_torch, make_graphs
from heedful.export.trees import quiet
from heedful.functional import padding_mask
from heedful.models import DocumentClassifier
from heedful.models.document_classifier import cut_sentences
from heedful.tasks.build import build_classifier
from heedful.tasks.classification import Classifier, learn_ngrams
from heedful.tasks.recipe_files import load_recipe
from tests.export.small import example, shake
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

LABELS = ["good", "bad", "so so"]
TEXT = "the film was a lovely story , it is not dull ! or so they say . we saw it on some rainy day ?"
SIZES = ["model.embedding_dim=12", "model.units=5", "model.ngrams=2", "model.ngram_rows=30", "data.max_length=23"]
ROWS = {
    "texts": ("classify", ["model.encoder=none", "model.pooling=structured", "tokenizer.kind=character"]),
    "documents": ("documents", ["model.bidirectional=false"]),
}


def texts(count=200):
    """Some of one word, and most of the others longer than what is read."""
    chance = random.Random(4)
    return [" ".join(chance.choices(TEXT.split(), k=chance.choice([1, 2, 5, 40]))) for _ in range(count)]


@pytest.fixture(scope="module", params=ROWS)
def case(request):
    name, changes = ROWS[request.param]
    recipe = load_recipe(name, ['data.train={"csv": "mine.csv"}', "data.test=null", *SIZES, *changes])
    torch.manual_seed(6)
    tokenizer = Tokenizer.train([TEXT], recipe.tokenizer.kind, vocab_size=60)
    model = build_classifier(recipe.model, tokenizer.vocab_size, len(LABELS))
    learn_ngrams(model, texts(), tokenizer, recipe)
    classifier = Classifier(
        shake(model), TokenizerPair(tokenizer, Tokenizer.from_entries(LABELS, LABEL), False), recipe
    )
    expected = classifier.classify(texts())
    assert {one.label for one in expected} == {*LABELS}
    return classifier, expected, make_graphs(classifier.model)


def test_onnxruntime_gives_the_same_labels_probabilities_and_weights(case, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    classifier, expected, graphs = case
    folder = export_onnx(
        classifier.model, classifier.tokenizers, tmp_path / "out", graphs=graphs, facts=_facts(classifier)
    )
    ours = example("onnx_classify").Classifier(folder)
    for some in (slice(0, 1), slice(1, 200)):
        found = ours.classify(texts()[some])
        assert [next(iter(one)) for one in found] == [one.label for one in expected[some]]
        for one, theirs in zip(found, expected[some], strict=True):
            theirs = [theirs.probabilities[label] for label in LABELS]
            assert_close(torch.tensor([one[label] for label in LABELS]), torch.tensor(theirs))
    # of a text, and of a longer one beside it
    for long in (0, 1):
        text = sorted(texts(), key=len)[-long]
        output = ours.run([ours.read(one) for one in (text, max(texts(), key=len))])
        assert_close(looks(output), words(classifier, text))


def looks(output):
    """What the first text of a batch was looked at, its padding left out."""
    if "weights" in output:
        weights = torch.tensor(output["weights"][0])
    else:
        weights = torch.tensor(output["word_weights"][0] * output["sentence_weights"][0, :, None]).flatten()
    return weights[..., weights.reshape(-1, weights.shape[-1]).sum(0) > 0]


def words(classifier, text):
    """The same, as heedful tells it of the text alone."""
    ids = torch.tensor([classifier.read(text).ids])
    weights = classifier.model(ids, torch.tensor([ids.shape[1]]), need_weights=True).weights[0]
    return weights[..., (ids[0] != EOS)]


@torch.no_grad()
def test_torch_gives_the_same_probabilities_without_heedful(case, tmp_path):
    classifier, expected, graphs = case
    folder = export_torch(classifier.model, classifier.tokenizers, tmp_path / "out", graphs=graphs)
    program = torch.export.load(folder / "model.pt2")
    assert "heedful" not in f"{program.call_spec}" + "".join(str(node.target) for node in program.graph.nodes)
    whole, lengths = pad([one.tolist() for one in classifier._ids(texts())[0]])
    for some in (slice(0, 1), slice(1, 200)):
        batch = whole[some], lengths[some]
        if isinstance(classifier.model, DocumentClassifier):
            batch = cut_sentences(*batch, EOS)[:2]
        found = program.module()(*batch)["probabilities"]
        theirs = [[one.probabilities[label] for label in LABELS] for one in expected[some]]
        assert_close(found, torch.tensor(theirs, dtype=torch.float64))


@pytest.mark.parametrize(
    "pooling",
    [
        AttBlstmPooling(6),
        AttentionPooling(6, 5),
        AttentiveStatisticsPooling(6, 5),
        ChannelStatisticsPooling(6, 5),
        GatedPooling(6, 5),
        LastPooling(),
        LastStateAttention(6, 5),
        MaxPooling(),
        MeanPooling(),
    ],
    ids=lambda pooling: type(pooling).__name__,
)
@torch.no_grad()
def test_a_graph_of_a_pooling_takes_any_batch_and_length(pooling):
    def inputs(batch, steps):
        lengths = torch.arange(batch) % steps + 1
        return torch.randn(batch, steps, 6), padding_mask(lengths, steps).squeeze(1), True

    axes = {0: Dim.AUTO, 1: Dim.AUTO}
    with quiet():
        program = torch.export.export(pooling.eval(), inputs(2, 5), dynamic_shapes=(axes, axes, None), strict=False)
    for sizes in ((7, 3), (3, 11), (1, 1)):
        given = inputs(*sizes)
        for ours, theirs in zip(program.module()(*given), pooling(*given), strict=True):
            assert_close(ours, theirs)
