"""Every task in a comparison: scored as `evaluate` scores it, on what each model answered; what a task cannot have."""

import csv

import numpy as np
import pytest
import torch

from heedful._errors import RecipeError
from heedful.data.readers import Pairs
from heedful.data.series import Windows
from heedful.data.shapes import write_shapes
from heedful.metrics.counts import METRICS
from heedful.metrics.significance import bootstrap_counts
from heedful.tasks import comparison
from heedful.tasks.comparable import speed_key
from heedful.tasks.comparison import parse_names, plan_comparison, with_limit
from heedful.tasks.comparison_report import write_results
from heedful.tasks.comparison_results import all_tables, conclusion, read_rows
from heedful.tasks.dispatch import COMPARABLE, TASKS, load_model
from heedful.tasks.recipe import check_recipe
from tests.small import small_recipe
from tests.tasks import test_classification, test_forecasting, test_language_model


def classification(folder):
    whole = test_classification.content(folder)
    return {**whole, "evaluation": {"metrics": ["macro_f1", "accuracy", "calibration_error"]}}, "attention,mean"


def forecast(folder):
    test_forecasting.write_series(folder / "waves.csv")
    return test_forecasting.content(folder), "bahdanau,none"


def language_model(folder):
    whole = test_language_model.content(folder)
    whole["model"] = {"attention": "luong", "embedding_dim": 8, "units": 7, "dropout": 0.0}
    # so that each says something
    whole["decoding"] = {**whole["decoding"], "min_length": 4}
    whole["data"]["test"] = whole["data"]["valid"]
    return whole, "luong,transformer"


def caption(folder):
    for seed, name in enumerate(("train", "valid", "test"), start=1):
        write_shapes(folder / name, 8, seed, unseen=False)
    parts = {
        name: {"features": str(folder / name / "features"), "captions": str(folder / name / "captions.jsonl")}
        for name in ("train", "valid", "test")
    }
    whole = language_model(folder)[0]
    return {
        **whole,
        "task": "caption",
        "data": parts,
        "tokenizer": {"kind": "word", "vocab_size": 60},
        "model": {"encoder": "regions", "attention": "visual", "embedding_dim": 6, "units": 7, "dropout": 0.0},
        "training": {**whole["training"], "best_by": "bleu"},
        "decoding": {"beam": 2, "max_length": 9, "min_length": 3},
        "evaluation": {"metrics": ["cer", "cider", "bleu"]},
    }, "visual,none"


RECIPES = {one.__name__: one for one in (classification, forecast, language_model, caption)}


def plan(task, folder, **more):
    whole, names = RECIPES[task](folder)
    recipe = with_limit(check_recipe({**whole, "output": str(folder / "run")}, "small"), 3)
    return plan_comparison(recipe, parse_names(names, task), folder / "out", seeds=1, **more)


@pytest.fixture(scope="module", params=RECIPES)
def compared(request, tmp_path_factory):
    """A comparison of two models of a task, trained in this process, and its rows."""
    found = plan(request.param, tmp_path_factory.mktemp(request.param), faithful=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "run_jobs", lambda jobs, *_: [job.work(lambda _: None) for job in jobs])
        comparison.run_comparison(found, 1)
    return found, read_rows(found)


def test_the_score_of_a_run_is_that_of_evaluate(compared):
    found, rows = compared
    for (contender, _, folder), row in zip(found.runs(), rows, strict=True):
        trained = load_model(folder / "model")
        assert contender.parameters == sum(one.numel() for one in trained.model.parameters())
        assert abs(contender.parameters / rows[0].contender.parameters - 1) < 0.1
        wanted = TASKS[found.recipe.task].evaluate(trained, found.measurement.test)
        for metric, one in zip(found.recipe.evaluation.metrics, wanted, strict=False):
            assert row.scores[metric].runs == pytest.approx([one.value], rel=1e-4), metric
            assert row.scores[metric].value == pytest.approx(one.value, rel=1e-4)


def test_tables_csv_and_page_hold_every_model(compared):
    found, rows = compared
    nouns, names = found.measurement.nouns, [row.contender.name for row in rows]
    for table in all_tables(rows, nouns):
        assert len({len(table.header), *map(len, table.rows)}) == 1
    files = [*write_results(found, rows)]
    lines = list(csv.DictReader(files[0].read_text("utf-8").splitlines()))
    assert [line["model"] for line in lines] == names
    assert all(float(line[speed_key(phase, nouns.speed)]) > 0 for line in lines for phase in ("training", "decoding"))
    # models without attention have none; of a classifier without, all words weigh alike
    measured = [bool(line["leave one out, comprehensiveness"]) for line in lines]
    assert measured == [True, names[1] != "none"]
    first = found.recipe.evaluation.metrics[0]
    assert float(lines[1][first]) == pytest.approx(rows[1].scores[first].value, abs=1e-5)
    page = files[1].read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert conclusion(rows, nouns) in page
    lower = [metric for metric in found.recipe.evaluation.metrics if METRICS[metric].lower]
    assert page.count("(lower is better)") == len(lower)
    assert ("<mark" in page) == (found.recipe.task == "classification")
    parts = [part.count for part in rows[0].parts]
    assert 1 < len(parts) <= 3
    assert "∅" not in page


def test_windows_that_share_rows_are_drawn_together(tmp_path):
    one, recipe = COMPARABLE["forecast"], check_recipe(forecast(tmp_path)[0], "small")
    blocks, horizon = 5, 3
    errors = np.random.default_rng(2).uniform(1, 2, (blocks, horizon, 3))
    windows = Windows(torch.zeros(9, 1), 2, horizon)
    counted = one.count("mae", {"errors": errors.tolist()}, windows, recipe)
    assert counted.by_unit() == pytest.approx(errors[:, :, 1:].sum(1))
    assert counted.sizes.tolist() == [1, 2, 3] * blocks
    found = bootstrap_counts({name: [counted.by_unit()] for name in "ab"}, counted.score)
    assert found["a"].value == pytest.approx(errors[..., 1].sum() / errors[..., 2].sum())
    # what is the same is no difference
    assert found["b"].difference.p_value == 1.0


def test_a_word_with_several_pronunciations_is_one_example(tmp_path):
    recipe = small_recipe(tmp_path)
    test = Pairs(["read", "lit", "read"], ["R EH D", "L IH T", "R IY D"], {}, "here")
    for metric, value in (("wer", 50), ("per", 100 * 2 / 6), ("exact_match", 50)):
        counted = COMPARABLE["translation"].count(metric, {"answers": ["R IY D", "L", "R IY D"]}, test, recipe)
        assert counted.score(counted.numbers.sum(0)) == pytest.approx(value)
        assert counted.sizes.tolist() == [4, 3]


@pytest.mark.parametrize(
    ("task", "changes", "more", "message"),
    [
        ("forecast", {"data.series.split": [90, 30, 12]}, {}, "windows for test, in one block of 11 that share rows"),
        ("classification", {}, {"gold": ["0-0"]}, "links are between the words of translations, but the task is class"),
        ("classification", {"data.test": None}, {}, r"has no data\.test to compare on; such as --set data\.test\.csv"),
        ("language_model", {"model": {"decoder": "transformer"}}, {}, "differ in their scores, but luong is none"),
    ],
)
def test_what_a_task_cannot_have_is_refused_before_any_training(tmp_path, task, changes, more, message):
    whole, names = RECIPES[task](tmp_path)
    for key, value in changes.items():
        *path, last = key.split(".")
        section = whole
        for name in path:
            section = section[name]
        section[last] = value
    recipe = with_limit(check_recipe(whole, "small"), 3)
    with pytest.raises(RecipeError, match=message):
        plan_comparison(recipe, parse_names(names, task), tmp_path / "out", **more)


@pytest.mark.parametrize(
    ("task", "names", "message"),
    [
        (
            "classification",
            "attention,luong",
            "'luong' is no value of model.pooling, by which models for class",
        ),
        ("forecast", "bahdanau,transformer", "'transformer' is no value of model.attention, by which models for forec"),
    ],
)
def test_names_are_those_of_the_task(task, names, message):
    with pytest.raises(ValueError, match=message):
        parse_names(names, task)
