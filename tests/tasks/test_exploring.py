"""What the page to explore is given: the weights of every layer and head, at each step that the run keeps."""

import shutil

import numpy as np
import pytest
import torch

from heedful._errors import DataError, ModelFolderError
from heedful.attention import Attention
from heedful.attention.normalizers import SoftmaxNormalizer, SparsemaxNormalizer
from heedful.attention.scores import DotScore
from heedful.attention.windows import LocalPredictiveWindow
from heedful.tasks.build import build_model, build_task
from heedful.tasks.exploring import explore, kept_weights, other_than_softmax
from heedful.tasks.language_model import Writer
from heedful.tasks.looking import ENCODER
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.transformer_options import TransformerOptions
from heedful.tasks.translated import read_pieces
from heedful.tasks.translator import Translator
from heedful.training.checkpoint import WeightFiles

SENTENCES = ["Tom is here.", "I love you."]
TRANSFORMER = TransformerOptions(heads=2, hidden_units=4)


@pytest.fixture
def nothing(tmp_path) -> WeightFiles:
    return WeightFiles(tmp_path / "nothing")


def transformer(small_run, **options) -> Translator:
    like = small_run.translator
    sizes = like.tokenizers.source.vocab_size, like.tokenizers.target.vocab_size
    made = ModelOptions(**({"architecture": "transformer", "embedding_dim": 8, "transformer": TRANSFORMER} | options))
    return Translator(build_model(made, *sizes), like.tokenizers, like.recipe)


def test_the_last_step_is_the_model_and_the_others_are_those_that_the_run_keeps(small_run, tmp_path):
    translator, kept = small_run.translator, WeightFiles(tmp_path / "weights")
    (explored, *_), _ = explore(translator, SENTENCES, kept_weights(small_run.model))
    weights = {name: torch.zeros_like(one) for name, one in translator.model.state_dict().items()}
    before = {name: one.clone() for name, one in translator.model.state_dict().items()}
    for step in (1200, 300):
        kept.save(step, weights)
    found, names = explore(translator, SENTENCES, kept)
    assert names == ["step 300", "step 1,200", "the model as it is"]
    for sentence, one in zip(SENTENCES, found, strict=True):
        best = translator.explain(sentence)
        assert (one.text, one.answer) == (sentence, best.text)
        (look,) = one.looks
        assert (look.keys, look.queries) == (read_pieces(best.source), read_pieces(best.target))
        # what greedy or beam search saw is what the model sees when it is fed the same
        np.testing.assert_allclose(look.weights[-1, 0, 0], best.hypothesis.weights, atol=1e-6)
        # a model of zeros finds all keys alike
        np.testing.assert_allclose(look.weights[:-1], 1 / len(look.keys), atol=1e-7)
    # the run was validated once, and that is the model
    np.testing.assert_array_equal(explored.looks[0].weights[0], explored.looks[0].weights[1])
    assert all(torch.equal(one, before[name]) for name, one in translator.model.state_dict().items())


def test_a_transformer_has_three_looks_of_all_layers_and_heads(small_run, nothing):
    translator = transformer(small_run, encoder_layers=3, decoder_layers=2)
    ((explored,), steps), best = explore(translator, SENTENCES[:1], nothing), translator.explain(SENTENCES[0])
    source, target = len(best.source.ids), len(best.target.ids)
    assert steps == ["the model as it is"]
    assert [one.weights.shape for one in explored.looks] == [
        (1, 2, 2, target, source),
        (1, 3, 2, source, source),
        (1, 2, 2, target, target),
    ]
    assert explored.looks[1].name == ENCODER
    cross, own, back = (one.weights for one in explored.looks)
    np.testing.assert_allclose(cross.mean((0, 1, 2)), best.hypothesis.weights, atol=1e-6)
    assert explored.looks[2].keys == ["<s>", *read_pieces(best.target)[:-1]]
    assert not np.triu(back, 1).any()
    np.testing.assert_allclose(own.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("architecture", ["recurrent", "transformer"])
def test_a_language_model_looks_back(small_run, nothing, architecture):
    like = small_run.translator
    sizes = like.tokenizers.source.vocab_size, like.tokenizers.target.vocab_size
    options = ModelOptions(
        architecture=architecture, embedding_dim=8, units=8, decoder_units=8, transformer=TRANSFORMER
    )
    writer = Writer(build_task("language_model", options, *sizes), like.tokenizers, like.recipe)
    ((explored,), _), found = explore(writer, SENTENCES[:1], nothing), writer.explain(SENTENCES[0])
    (look,) = explored.looks
    assert (explored.answer, look.keys) == ("", ["<s>", *look.queries])
    np.testing.assert_allclose(look.weights.mean((0, 1, 2)), found.hypothesis.weights, atol=1e-6)
    assert not np.triu(look.weights, 2).any()


def test_what_is_no_plain_softmax_is_named():
    window = LocalPredictiveWindow(4, 4, half_width=2)
    odd = torch.nn.ModuleList(
        [
            Attention(DotScore(4), normalizer=SoftmaxNormalizer(2.0)),
            Attention(DotScore(4), normalizer=SparsemaxNormalizer()),
            Attention(DotScore(4), window=window),
        ]
    )
    assert other_than_softmax(odd) == ["LocalPredictiveWindow", "SparsemaxNormalizer"]
    assert other_than_softmax(odd[:1]) == []


def test_what_cannot_be_explored_says_why(small_run, nothing, tmp_path):
    kept = WeightFiles(tmp_path / "weights")
    for broken in ({"odd": torch.ones(1)}, {"odd": 1}):
        kept.save(3, broken)
        with pytest.raises(ModelFolderError, match=r"step-3\.pt does not fit the model beside it; delete it"):
            explore(small_run.translator, SENTENCES, kept)
    with pytest.raises(DataError, match="The model has no attention to show"):
        explore(transformer(small_run, architecture="recurrent", attention="none"), SENTENCES, nothing)
    with pytest.raises(DataError, match="The sentence is empty"):
        explore(small_run.translator, ["  "], nothing)


def test_kept_steps_belong_to_the_model_of_a_run(small_run, tmp_path):
    assert kept_weights(small_run.model).steps() == [30]
    copied = shutil.copytree(small_run.model, tmp_path / "copied")
    assert kept_weights(copied).steps() == []
