"""A classifier from a recipe: trained, judged by counts made here, asked, and told what it cannot use."""

import json
import math
import random
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from heedful._errors import DataError, ModelFolderError, RecipeError
from heedful.cli.main import app
from heedful.data.labelled import collate_labelled
from heedful.data.readers import Pairs
from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.data.vocabulary import EOS
from heedful.tasks.build import build_task
from heedful.tasks.classification import Classifier
from heedful.tasks.classification_batches import encode_texts, label_weights, make_vocabularies, words_of
from heedful.tasks.classification_report import judge
from heedful.tasks.corpora import read_part
from heedful.tasks.data_options import TokenizerOptions
from heedful.tasks.dispatch import load_model, train_recipe
from heedful.tasks.hub import card
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.rebuild import unique_state
from heedful.tasks.recipe import check_recipe
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.text_faithfulness import classifier_faithfulness
from heedful.tasks.transformer_options import TransformerOptions
from heedful.tasks.translator import Translator
from heedful.training import label_loss

TELLING = {"good": "lovely great superb", "bad": "awful dull poor", "so so": "fine average okay"}
FILLING = ["the", "film", "and", "a", "story", "with", "actors", "that", "we", "saw", "on", "some", "rainy", "day"]


def write_texts(path, count, seed, more=""):
    """A table of texts that each have one telling word, and their labels, unequally frequent."""
    chance = random.Random(seed)
    rows = ["text,label"]
    for _ in range(count):
        label = chance.choices([*TELLING], [5, 3, 2])[0]
        words = chance.choices(FILLING, k=chance.randint(1, 6))
        words.insert(chance.randint(0, len(words)), chance.choice(TELLING[label].split()))
        rows.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(rows) + f"\n{more}", encoding="utf-8")


def content(folder, **changes):
    """The values of a recipe that learns such texts in a few seconds."""
    write_texts(folder / "train.csv", 400, 1, ",good\nno label,\n")
    write_texts(folder / "valid.csv", 30, 2)
    write_texts(folder / "test.csv", 40, 3, "what is it,never seen\n ,good\n")
    parts = {name: {"csv": str(folder / f"{name}.csv"), "columns": ["text", "label"]} for name in PARTS}
    whole = {
        "name": "small",
        "task": "classification",
        "seed": 3,
        "output": str(folder / "run"),
        "data": {**parts, "max_length": 9},
        "tokenizer": {"kind": "word", "vocab_size": 40},
        "model": {"embedding_dim": 12, "units": 8, "dropout": 0.0},
        "training": {
            "max_steps": 40,
            "tokens_per_batch": 200,
            "learning_rate": 0.03,
            "validate_every": 20,
            "best_by": "macro_f1",
            "tensorboard": False,
            "device": "cpu",
        },
        "evaluation": {"metrics": ["accuracy", "macro_f1", "calibration_error"]},
    }
    return {**whole, **changes}


PARTS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    said = []
    run = train_recipe(check_recipe(content(tmp_path_factory.mktemp("labels")), "the recipe"), said.append)
    return run, said


@pytest.fixture
def shell(trained):
    def run(*words, stdin=""):
        return CliRunner().invoke(app, [str(word) for word in words], input=stdin)

    return run


def test_it_learns_which_words_tell_and_comes_back_from_its_folder(trained):
    run, said = trained
    again = load_model(run.model)
    assert isinstance(again, Classifier)
    assert again.labels == ["bad", "good", "so so"]
    texts = ["we saw a great film", "the story and poor actors", "okay", ""]
    answers = again.classify(texts)
    assert [one.label for one in answers] == ["good", "bad", "so so", ""]
    assert answers[3].probabilities == {}
    for text, answer in zip(texts[:3], answers, strict=False):
        (alone,) = run.translator.classify([text])
        assert alone.label == answer.label
        assert list(alone.probabilities.values()) == pytest.approx(list(answer.probabilities.values()), abs=1e-6)
        ids = torch.tensor([again.tokenizers.source.encode(text)])
        logits = again.model(ids, torch.tensor([ids.shape[1]])).answer[0].tolist()
        total = sum(math.exp(one) for one in logits)
        expected = dict(zip(again.labels, (math.exp(one) / total for one in logits), strict=True))
        assert answer.probabilities == pytest.approx(expected, rel=1e-5)
        assert list(answer.probabilities) == sorted(expected, key=lambda label: -expected[label])
    assert (run.folder / "confusion.png").stat().st_size > 1000
    assert "Left out 1 texts of" in " ".join(said)


def test_scores_are_those_counted_text_by_text(trained):
    run, _ = trained
    test = read_part(run.translator.recipe.data.test)
    known = [(text, label) for text, label in zip(test.source, test.target, strict=True) if label in TELLING]
    answers = [run.translator.classify([text])[0] for text, _ in known]
    right = [answer.label == label for answer, (_, label) in zip(answers, known, strict=True)]
    scores = {score.name: score for score in run.scores["test"]}
    assert scores["accuracy"].value == pytest.approx(100 * sum(right) / len(known))
    assert f"labels:3|texts:{len(known)}" in scores["accuracy"].signature
    assert scores["accuracy"].value > 90
    report = judge(run.translator, test)
    assert report.matrix.sum() == len(known) == len(test) - 1
    assert report.by_label["good"].support == sum(label == "good" for _, label in known)
    assert report.left_out == [f"Left out 1 texts of {test.origin}: training never saw their labels, 'never seen'."]


def test_what_was_looked_at_is_shown_by_word_and_the_rest_of_a_long_text_is_not_read(trained):
    classifier = trained[0].translator
    answer = classifier.explain("the superb film")
    (reading,) = answer.readings
    assert reading.words == ["the", "superb", "film"]
    assert reading.weights.sum() == pytest.approx(1)
    ids = torch.tensor([classifier.tokenizers.source.encode("the superb film")])
    seen = classifier.model(ids, torch.tensor([3]), need_weights=True).weights[0]
    assert reading.weights.tolist() == pytest.approx(seen.tolist(), abs=1e-6)
    assert (answer.label, answer.probabilities) == (
        "good",
        pytest.approx(classifier.classify(["the superb film"])[0].probabilities),
    )
    assert answer.needed.weights.argmax() == 1
    for word, loss in enumerate(answer.needed.weights):
        (other,) = classifier.classify([" ".join(text for place, text in enumerate(reading.words) if place != word)])
        assert loss == pytest.approx(max(answer.probabilities["good"] - other.probabilities["good"], 0), abs=1e-6)
    assert classifier.explain("lovely").needed.weights.tolist() == [classifier.explain("lovely").probabilities["good"]]
    long = "the film " * 7 + "awful"
    assert classifier.explain(long).readings[0].words == long.split()[:9]
    assert classifier.classify([long])[0].probabilities == classifier.classify([long[:-5]])[0].probabilities
    with pytest.raises(DataError, match="The text is empty"):
        classifier.explain(" ")


@pytest.mark.parametrize("pooling", get_args(ModelOptions.model_fields["pooling"].annotation))
@pytest.mark.parametrize("encoder", ["recurrent", "transformer", "none", "hierarchical"])
def test_every_pooling_over_every_encoder_learns_is_kept_and_explains(trained, tmp_path, encoder, pooling):
    options = {
        "encoder": encoder,
        "pooling": pooling,
        "looks": 3,
        "ngrams": 2,
        "transformer": TransformerOptions(heads=2),
    }
    recipe = trained[0].translator.recipe.model_copy(deep=True)
    values = recipe.model.model_dump(exclude={"transformer"}) | options
    if encoder == "hierarchical" and pooling in ("structured", "channel_statistics"):
        with pytest.raises(ValueError, match=f"pooling '{pooling}' has several weights for a word"):
            ModelOptions.model_validate(values)
        return
    recipe.model = ModelOptions.model_validate(values)
    tokenizers = trained[0].translator.tokenizers
    model = build_task(recipe.task, recipe.model, tokenizers.source.vocab_size, tokenizers.target.vocab_size)
    batch = collate_labelled([np.array([5, 6, 3, 7]), np.array([8])], np.array([2, 0]), [0, 1])
    label_loss(model, batch).total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    Classifier(model, tokenizers, recipe).save(tmp_path / "model")
    readings = load_model(tmp_path / "model").explain("the lovely film").readings
    assert len(readings) == (4 if pooling == "structured" else 1)
    for reading in readings:
        assert reading.weights.sum() == pytest.approx(1, abs=1e-5)


def test_a_run_that_was_stopped_goes_on_to_the_same_numbers(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "halves").mkdir()
    first = content(tmp_path / "whole")
    first["data"]["balance_labels"] = True
    first["data"]["streaming"] = True
    first["model"]["dropout"] = 0.2
    whole = train_recipe(check_recipe(first, "the recipe"))
    first["output"] = str(tmp_path / "halves" / "run")
    half = {**first, "training": {**first["training"], "max_steps": 20}}
    train_recipe(check_recipe(half, "the recipe"))
    resumed = train_recipe(check_recipe(first, "the recipe"))
    ours, theirs = (unique_state(run.translator.model) for run in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert whole.scores == resumed.scores


def test_a_word_of_several_pieces_is_looked_at_as_much_as_all_of_them(trained):
    recipe = trained[0].translator.recipe
    tokenizers = TokenizerPair(
        Tokenizer.train(["the superb film"], kind="character", vocab_size=30),
        trained[0].translator.tokenizers.target,
        False,
    )
    model = build_task(recipe.task, recipe.model, tokenizers.source.vocab_size, tokenizers.target.vocab_size).eval()
    reading = Classifier(model, tokenizers, recipe).explain("the superb film").readings[0]
    weights = model(torch.tensor([tokenizers.source.encode("the superb")[:9]]), torch.tensor([9]), True).weights[0]
    assert reading.words == ["the", "superb"]
    # a space belongs to the word after it
    assert reading.weights.tolist() == pytest.approx([weights[:3].sum().item(), weights[3:].sum().item()], abs=1e-6)


def test_what_the_label_loses_without_the_words_looked_at_is_measured(trained, shell, tmp_path):
    classifier, text = trained[0].translator, "the superb film"
    found = classifier_faithfulness(classifier, text)
    assert [*found] == ["attention", "gradient x attention", "leave one out"]
    whole = classifier.classify([text])[0].probabilities["good"]
    without = {rest: classifier.classify([rest])[0].probabilities["good"] for rest in ("the film", "the", "film")}
    order = np.argsort(-classifier.explain(text).needed.weights)
    assert order[0] == 1
    # up to a fifth of three words is one, a half is two
    last = without["the" if order[1] == 2 else "film"]
    expected = (4 * (whole - without["the film"]) + whole - last) / 5
    assert found["leave one out"].comprehensiveness.given == pytest.approx(expected, abs=1e-6)
    assert found["leave one out"].agreement == 1
    assert not np.isnan(classifier_faithfulness(classifier, "lovely")["attention"].sufficiency.given)
    seen = shell("explain", trained[0].folder, text, "--faithfulness", "--output", tmp_path / "look.json")
    assert "leave one out" in seen.stdout
    numbers = json.loads((tmp_path / "look.json").read_text())["faithfulness"]
    assert numbers["attention"] == pytest.approx(found["attention"].numbers(), abs=1e-6)


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """A classifier of documents, whose labels are relations."""
    whole = content(tmp_path_factory.mktemp("documents"))
    for part in PARTS:
        path = Path(whole["data"][part]["csv"])
        rows = [line.rsplit(",", 1) for line in path.read_text().splitlines()[1:]]
        labels = {"good": "likes(e1;e2)", "bad": "likes(e2;e1)"}
        rows = [f'"It rained. {text}! We left.","{labels.get(label, label).replace(";", ",")}"' for text, label in rows]
        path.write_text("\n".join(["text,label", *rows]) + "\n")
    whole["model"] |= {"encoder": "hierarchical", "word_encoder": "none", "word_dropout": 0.1}
    whole["evaluation"] = {"metrics": ["relation_f1", "accuracy"]}
    whole["training"]["best_by"] = "relation_f1"
    whole["data"]["max_length"] = 30
    return train_recipe(check_recipe(whole, "the recipe"))


def test_documents_are_read_sentence_by_sentence_and_explained_at_both_levels(nested, tmp_path):
    classifier, text = load_model(nested.model), "It rained. the superb film! We left."
    answer = classifier.explain(text)
    reading = answer.readings[0]
    assert [*reading.lines] == [3, 4, 3]
    assert reading.words == ["It", "rained", ".", "the", "superb", "film", "!", "We", "left", "."]
    assert reading.weights.sum() == pytest.approx(1, abs=1e-6)
    ids = encode_texts(classifier.tokenizers.source, [text], nested=True)[0].tolist()
    assert words_of(classifier.tokenizers.source, text, True, 99).ids == ids
    encode = classifier.tokenizers.source.encode
    assert ids == [*encode("It rained."), EOS, *encode("the superb film!"), EOS, *encode("We left."), EOS]
    sizes = torch.tensor([[3, 4, 3]])
    sentences = torch.tensor([[[*ids[:3], 0], ids[4:8], [*ids[9:12], 0]]])
    read = classifier.model.levels(sentences, sizes, need_weights=True)
    assert reading.line_weights == pytest.approx(read.sentence_weights[0].detach().numpy(), abs=1e-6)
    assert answer.needed.weights.argmax() == 4
    assert answer.label == "likes(e1,e2)"
    assert answer.probabilities == pytest.approx(classifier.classify([text])[0].probabilities, abs=1e-6)
    shown = CliRunner().invoke(app, ["explain", str(nested.model), text, "--output", str(tmp_path / "look.json")])
    assert shown.exit_code == 0, shown.output
    lines = json.loads((tmp_path / "look.json").read_text())["sentences"]
    assert [line["words"] for line in lines] == [reading.words[:3], reading.words[3:7], reading.words[7:]]
    seen = CliRunner().invoke(app, ["explain", str(nested.model), text]).stdout.splitlines()
    assert [line.split("% ")[-1] for line in seen if "%" in line][:3] == [
        "It rained .",
        "the superb film !",
        "We left .",
    ]


def test_relations_are_scored_by_relation_and_direction(nested):
    scores = {score.name: score for score in nested.scores["test"]}
    assert list(scores) == ["relation_f1", "accuracy"]
    test = read_part(nested.translator.recipe.data.test)
    report = judge(nested.translator, test)
    known = [pair for pair in zip(test.source, test.target, strict=True) if pair[1] in report.labels]
    said = [(right, nested.translator.classify([text])[0].label) for text, right in known]
    hits = sum(right == given for right, given in said if "likes" in right)
    counts = sum("likes" in right for right, _ in said) + sum("likes" in given for _, given in said)
    assert scores["relation_f1"].value == pytest.approx(200 * hits / counts)
    assert scores["relation_f1"].value > 90


def test_relation_f1_is_refused_where_no_label_has_a_direction(tmp_path):
    with pytest.raises(DataError, match=r"but the labels are 'bad', 'good', 'so so'; measure them by macro_f1"):
        train_recipe(check_recipe(content(tmp_path, evaluation={"metrics": ["relation_f1"]}), "the recipe"))


def test_a_long_sentence_is_cut_and_a_document_is_read_as_far_as_it_may_be(nested):
    tokenizer = nested.translator.tokenizers.source
    read = words_of(tokenizer, "a film " * 30 + "end. Next one.", True, 66)
    assert (len(read.ids), read.lines) == (66, [62, 2])
    assert read.ids == encode_texts(tokenizer, ["a film " * 30 + "end. Next one."], nested=True)[0].tolist()[:66]
    assert read.word_of[49:52] == [49, 49, 50]
    assert words_of(tokenizer, "One. Two. ", True, 3).lines == [2]


def test_balanced_labels_count_the_same():
    counts = np.array([30, 0, 10, 5])
    weights = label_weights(counts).double().numpy()
    sums = (weights * counts)[counts > 0]
    assert sums == pytest.approx([15.0] * 3)


def test_training_goes_on_from_a_trained_classifier(trained, tmp_path):
    whole = content(tmp_path)
    whole["start_from"] = str(trained[0].folder)
    whole["training"] |= {"max_steps": 1, "validate_every": 1, "learning_rate": 1e-9}
    run = train_recipe(check_recipe(whole, "the recipe"))
    assert run.scores["valid"][0].value == trained[0].scores["valid"][0].value


def test_texts_that_no_classifier_can_learn_from_are_refused(tmp_path):
    whole = content(tmp_path)
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,x\nc,x\n")
    with pytest.raises(DataError, match=r"All texts of .+train\.csv have the label 'x'; a classifier needs two"):
        train_recipe(check_recipe(whole, "the recipe"))
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\nc,z\n")
    with pytest.raises(DataError, match=r"No label of .+train\.csv occurs twice, such as 'x', 'y', 'z'; see that"):
        train_recipe(check_recipe(whole, "the recipe"))
    write_texts(tmp_path / "train.csv", 30, 1)
    (tmp_path / "valid.csv").write_text("text,label\na,x\nb,y\n")
    with pytest.raises(DataError, match=r"training saw, 'bad', 'good', 'so so'; its labels are 'x', 'y'. See that"):
        train_recipe(check_recipe(whole, "the recipe"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation": {}}, "evaluation.metrics are bleu, chrf; a classification is measured by some of accuracy"),
        (
            {"task": "translation", "training": {"max_steps": 1}},
            "a classification is measured by some of accuracy, macro_f1, calibration_error, relation_f1, and",
        ),
        ({"evaluation": {"metrics": ["accuracy", "bleu"]}}, "evaluation.metrics name bleu, which measures no labels"),
        ({"tokenizer": {"joint": True}}, "labels are not text; leave tokenizer.joint and"),
        ({"training": {"max_steps": 1, "best_by": "bleu"}}, "best_by is 'bleu'; it should be one of loss, accuracy, m"),
        ({"model": {"pooling": "median"}}, "model.pooling is 'median'"),
        (
            {"task": "translation", "model": {"encoder": "none"}},
            "'none', which goes with task: classification alone; use recurrent",
        ),
    ],
)
def test_a_recipe_that_fits_no_classifier_is_refused(tmp_path, changes, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        check_recipe(content(tmp_path, **changes), "the recipe")


def test_one_task_does_not_take_the_model_of_another(trained, small_run, shell):
    with pytest.raises(ModelFolderError, match=r"Load it with heedful\.tasks\.classification\.Classifier\."):
        Translator.load(trained[0].model)
    with pytest.raises(ModelFolderError, match="which Classifier does not take; expected one for 'classification'"):
        Classifier.load(small_run.model)
    assert "is a classifier, which gives labels and no text" in shell("translate", trained[0].folder).stderr
    explored = shell("explain", trained[0].folder, "Good.", "--explore", "--output", trained[0].folder / "a.html")
    assert "is for classification; leave it out" in " ".join(explored.stderr.replace("│", " ").split())
    assert "is no classifier but for translation; use heedful translate." in shell("classify", small_run.folder).stderr


def test_a_folder_without_two_labels_is_refused(trained, tmp_path):
    one = Tokenizer.from_entries(["good"], LABEL)
    classifier = trained[0].translator
    tokenizers = TokenizerPair(classifier.tokenizers.source, one, joint=False)
    Classifier(classifier.model, tokenizers, classifier.recipe).save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match=r"there are 1 labels; a classifier needs two to choose from"):
        load_model(tmp_path / "model")


def test_its_card_says_what_it_is_and_how_it_is_asked(trained):
    text = card(trained[0].translator.recipe, trained[0].translator.metrics)
    assert "pipeline_tag: text-classification" in text
    assert "A classifier (recurrent encoder, pooling: attention), trained with heedful" in text
    assert 'print(classifier.classify(["..."])[0].label)' in text
    assert "| test | macro_f1 |" in text


def test_the_shell_labels_judges_and_explains(trained, shell, tmp_path, monkeypatch):
    folder, test = trained[0].folder, trained[0].translator.recipe.data.test.csv
    labelled = shell("classify", folder, "--best", "2", stdin="a dull film\n\nlovely\n")
    lines = [line.split("\t") for line in labelled.stdout.split("\n")]
    assert [line[0] for line in lines] == ["bad", "", "good", ""]
    assert len(lines[0]) == 4
    assert "Left empty what cannot be labelled: 1 (1 empty line)." in labelled.stderr
    objects = [json.loads(line) for line in shell("classify", folder, "--json", stdin="lovely\n\n").stdout.splitlines()]
    assert [one["label"] for one in objects] == ["good", None]
    assert sum(objects[0]["probabilities"].values()) == pytest.approx(1)
    judged = shell("evaluate", folder, test, "--columns", "text,label", "--picture", tmp_path / "matrix.png")
    assert judged.stdout.startswith(str(trained[0].scores["test"][0]))
    assert "so so" in judged.stdout
    assert "training never saw their labels, 'never seen'" in judged.stderr
    assert (tmp_path / "matrix.png").exists()
    content = json.loads(shell("evaluate", folder, test, "--columns", "text,label", "--json").stdout)
    assert np.sum(content["confusion"]) == 40
    assert content["labels"]["bad"]["support"] == sum(content["confusion"][0])
    seen = shell("explain", folder, "a lovely film")
    assert seen.stdout.startswith("good\t")
    assert "looked at most: " in seen.stdout
    assert "needed most: lovely" in seen.stdout
    for ending in (".html", ".json", ".png"):
        assert shell("explain", folder, "a lovely film", "--output", tmp_path / f"look{ending}").exit_code == 0
    assert '<mark style="--share:1.000"' in (tmp_path / "look.html").read_text()
    assert json.loads((tmp_path / "look.json").read_text())["words"] == ["a", "lovely", "film"]
    monkeypatch.setattr("heedful.cli._labels.WORDS_DRAWN", 2)
    wide = shell("explain", folder, "a lovely film", "--output", tmp_path / "wide.png")
    assert (wide.exit_code, wide.stdout) == (2, "")
    assert "the text has 3 words, and a picture shows 2 at most" in " ".join(wide.stderr.split())


def test_inspect_counts_labels_and_says_how_unequal_they_are(tmp_path, shell):
    rows = ["good day,spam"] * 6 + ["bad day,ham", "good day,ham", ",ham"]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]))
    seen = shell("inspect", tmp_path / "texts.csv", "--columns", "text,label", "--labels").stdout
    assert "8 texts with 2 labels from" in seen
    assert "left out 1 (1 empty line)" in seen
    assert "'spam' has 3.0 times as many texts as 'ham'" in seen
    assert "is right for 75.0 %, with a macro-F1 of 42.9." in seen
    assert "of them with more than one label: 1" in seen
    recipe = load_recipe("classify", [f"data.train={{csv: {tmp_path}/texts.csv, columns: [text, label]}}"])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe.model_dump()))
    assert "8 texts with 2 labels from" in shell("inspect", tmp_path / "mine.yaml").stdout


def test_labels_are_whole_texts_and_numbers_stand_in_their_order():
    pairs = Pairs(["a", "b", "a", "b", "a"], ["New York", "10", "9", "9", " New  York"], {}, "here")
    found = make_vocabularies(pairs, TokenizerOptions(kind="word"))
    assert [found.target.decode([number]) for number in range(4, found.target.vocab_size)] == [
        "New York",
        "9",
        "10",
    ]
    assert found.target.encode_batch(["New York ", "York", "9"]) == [[4], [1], [5]]
