"""A language model from a recipe: trained, measured by a sum written out, and asked to go on with a text."""

import math
import re

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from heedful._errors import DataError, ModelFolderError, RecipeError
from heedful.cli.main import app
from heedful.data.bundled import load_pairs
from heedful.data.vocabulary import BOS, EOS
from heedful.tasks.corpora import read_part
from heedful.tasks.data_options import DataPart
from heedful.tasks.decoding_options import DecodingOptions
from heedful.tasks.dispatch import load_model, train_recipe
from heedful.tasks.hub import card
from heedful.tasks.language_model import Writer, evaluate_writer
from heedful.tasks.recipe import check_recipe
from heedful.tasks.translation import train_translator
from heedful.tasks.translator import Translator
from tests.small import small_content, write_pairs


def content(folder, **changes):
    write_pairs(folder)
    whole = small_content(folder, best_by="perplexity")
    for part in ("train", "valid"):
        whole["data"][part]["columns"] = [0, 0]
    whole["tokenizer"]["joint"] = True
    whole["model"] = {"decoder": "transformer", "embedding_dim": 12, "dropout": 0.0}
    whole["model"]["transformer"] = {"heads": 2, "hidden_units": 16}
    whole["decoding"] = {"beam": 2, "max_length": 12, "max_ratio": None}
    return {**whole, "task": "language_model", "evaluation": {"metrics": ["perplexity"]}, **changes}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return train_recipe(check_recipe(content(tmp_path_factory.mktemp("writer")), "the small recipe"))


def test_it_learns_and_is_measured_by_what_it_says_of_every_token(written):
    again = load_model(written.model)
    assert isinstance(again, Writer)
    texts = read_part(again.recipe.data.valid).target
    logs = []
    for text in texts:
        ids = again.tokenizers.target.encode(text)
        said = again.model(torch.tensor([[BOS, *ids]])).log_softmax(-1)[0].tolist()
        logs += [said[place][token] for place, token in enumerate([*ids, EOS])]
    expected = math.exp(-sum(logs) / len(logs))
    (found,) = evaluate_writer(again, read_part(again.recipe.data.valid))
    assert found.value == pytest.approx(expected, rel=1e-4)
    assert found == written.scores["valid"][0]
    assert found.value < 0.7 * again.tokenizers.target.vocab_size


def test_a_text_goes_on_the_same_alone_and_among_others(written):
    writer = written.translator
    texts = ["I", "", "I love", "You are not", "We have to"]
    together = writer.translate(texts)
    assert [one[0].text for one in together] == [writer.translate([text])[0][0].text for text in texts]
    assert together[1][0].text == ""
    for text, (found,) in zip(texts, together, strict=True):
        assert found.text.startswith(text)
        assert len(found.hypothesis.tokens) <= 12
    drawn = writer.translate(["I"], nbest=3, decoding=DecodingOptions(sample=True))[0]
    assert len({one.text for one in drawn}) > 1


def test_what_each_word_looked_at_is_itself_and_what_stood_before_it(written):
    shown = CliRunner().invoke(app, ["explain", str(written.model), "I love you.", "--faithfulness"])
    assert [name for name in ("attention", "rollout", "leave one out") if name not in shown.stdout] == []
    found = written.translator.explain("I love you.")
    picture = found.alignment
    assert picture.source == ["<s>", *picture.target]
    assert [round(float(row.sum()), 5) for row in picture.weights] == [1.0] * len(picture.target)
    for weights in (picture.weights, *picture.heads.values()):
        assert not np.triu(weights[:, 1:], 1).any()
    assert list(picture.heads) == ["layer 1, mean", "layer 1, head 1", "layer 1, head 2"]
    with pytest.raises(DataError, match="The sentence is empty"):
        written.translator.explain(" ")


def test_its_card_says_what_it_is_and_how_it_is_loaded(written):
    text = card(written.translator.recipe, written.translator.metrics)
    assert "pipeline_tag: text-generation" in text
    assert "A Transformer language model, trained with heedful" in text
    assert "from heedful.tasks.language_model import Writer" in text
    assert "| valid | perplexity |" in text


def test_one_task_does_not_take_the_model_or_the_recipe_of_the_other(written, small_run):
    with pytest.raises(ModelFolderError, match=r"is of a model for 'language_model', which Translator does not take"):
        Translator.load(written.model)
    with pytest.raises(ModelFolderError, match=r"Load it with heedful\.tasks\.translator\.Translator\."):
        Writer.load(small_run.model)
    with pytest.raises(RecipeError, match="the recipe's task is 'language_model'; train it by"):
        train_translator(written.translator.recipe)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": {}}, "a language model has one vocabulary; set tokenizer.joint: true"),
        ({"evaluation": {}}, "evaluation.metrics are bleu, chrf; a language model is measured by [perplexity] alone"),
        ({"training": {"max_steps": 1, "best_by": "bleu"}}, "training.best_by is 'bleu'; of a language model it can"),
    ],
)
def test_a_recipe_that_fits_no_language_model_is_refused(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        check_recipe(content(tmp_path, **changes), "the recipe")


def test_a_bundled_set_gives_its_columns_in_any_order():
    pairs = load_pairs("tatoeba_en_fr", "val")
    both = read_part(DataPart(bundled="tatoeba_en_fr", split="val", columns=[0, 0]))
    assert both.source == both.target == pairs.source
    assert read_part(DataPart(bundled="tatoeba_en_fr", split="val", columns=[1, 0])).target == pairs.source
    with pytest.raises(RecipeError, match="tatoeba_en_fr has the columns 0 and 1; came"):
        read_part(DataPart(bundled="tatoeba_en_fr", split="val", columns=[0, 2]))


def test_the_shell_measures_and_goes_on(written, tmp_path):
    def run(*words, stdin=b""):
        return CliRunner().invoke(app, [str(word) for word in words], input=stdin)

    (tmp_path / "texts.txt").write_text("I love you.\nWe have to go.\n")
    measured = run("evaluate", written.folder, tmp_path / "texts.txt")
    assert (measured.exit_code, measured.stdout.split()[0]) == (0, "perplexity")
    gone_on = run("translate", written.folder, stdin=b"I love\n")
    assert gone_on.stdout.startswith("I love")
