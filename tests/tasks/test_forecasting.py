"""A forecaster from a recipe: trained, judged by sums made here, asked, and told what it cannot use."""

import csv
import json
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from heedful._errors import DataError, ModelFolderError, RecipeError
from heedful.cli._shell import load_translator
from heedful.cli.main import app
from heedful.data.series import read_series
from heedful.metrics.faithfulness import faithfulness, rank_agreement
from heedful.models import last_value
from heedful.tasks.build import build_task
from heedful.tasks.dispatch import load_model, train_recipe
from heedful.tasks.forecast_options import ForecastOptions
from heedful.tasks.forecasting import Forecaster, prepare_series
from heedful.tasks.hub import card
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.recipe import check_recipe
from heedful.tasks.recipe_files import load_recipe
from heedful.tasks.series_faithfulness import _gradients, forecaster_faithfulness
from heedful.tasks.transformer_options import TransformerOptions

ROWS, WINDOW, HORIZON = 150, 8, 3


def write_series(path, rows=ROWS, change=None):
    """Hours with two waves and their sum; `change` makes other numbers of it."""
    hours = np.arange(rows)
    first, second = np.sin(hours / 2) + 5, 3 * np.cos(hours / 5)
    values = np.stack([first, second, first + second], 1)
    values = values if change is None else change(values)
    lines = ["date,a,b,sum"]
    lines += [f"2020-01-{1 + hour // 24:02} {hour % 24:02}:00,{','.join(map(str, values[hour]))}" for hour in hours]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return values


def content(folder, **changes):
    """The values of a recipe that learns them in a second."""
    whole = {
        "name": "waves",
        "task": "forecast",
        "seed": 3,
        "output": str(folder / "run"),
        "data": {"train": {"csv": str(folder / "waves.csv")}, "series": {"split": [90, 30, 30]}},
        "model": {
            "forecast": {"window": WINDOW, "horizon": HORIZON, "patch": 2},
            "bidirectional": False,
            "embedding_dim": 3,
            "units": 5,
            "dropout": 0.0,
        },
        "training": {
            "max_steps": 24,
            "tokens_per_batch": 16 * (WINDOW + HORIZON),
            "learning_rate": 0.1,
            "validate_every": 12,
            "best_by": "mse",
            "tensorboard": False,
            "device": "cpu",
        },
        "evaluation": {"metrics": ["mse", "mae"]},
    }
    return {**whole, **changes}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, said = tmp_path_factory.mktemp("waves"), []
    values = write_series(folder / "waves.csv")
    run = train_recipe(check_recipe(content(folder), "the recipe"), said.append)
    return run, values, folder / "waves.csv", said


@pytest.fixture
def shell():
    def run(*words):
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def test_it_learns_and_is_judged_on_every_window_of_the_test_rows(trained):
    run, values, _, said = trained
    model = load_model(run.model)
    assert isinstance(model, Forecaster)
    assert model.names == ["a", "b", "sum"]
    mean, deviation = values[:90].mean(0), values[:90].std(0)
    np.testing.assert_allclose(model.model.mean.numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(model.model.deviation.numpy(), deviation, rtol=1e-6)
    scores = {name: {one.name: one.value for one in found} for name, found in run.scores.items()}
    standard = torch.from_numpy((values - mean) / deviation).float()
    for name, first, last in (("valid", 90, 120), ("test", 120, 150)):
        gaps = {"MSE": [], "MSE of the last value": []}
        for place in range(first, last - HORIZON + 1):  # counted by hand: each step that is forecast lies in the part
            seen, came = standard[place - WINDOW : place].unsqueeze(0), standard[place : place + HORIZON]
            gaps["MSE"].append((model.model(seen).answer[0] - came).detach().numpy())
            gaps["MSE of the last value"].append((last_value(seen, HORIZON)[0] - came).numpy())
        assert len(gaps["MSE"]) == 28
        for of, found in gaps.items():
            assert scores[name][of] == pytest.approx(np.square(found).mean(), rel=1e-5)
            assert scores[name][of.replace("MSE", "MAE")] == pytest.approx(np.abs(found).mean(), rel=1e-5)
        assert scores[name]["MSE"] < 0.9 * scores[name]["MSE of the last value"]
    assert scores["test"]["MSE of the linear model"] < scores["test"]["MSE"]  # waves are linear
    assert "windows:28" in run.scores["test"][0].signature
    assert (run.folder / "forecast.png").stat().st_size > 1000
    assert (run.folder / "loss_curve.png").stat().st_size > 1000
    assert "training on 80 windows" in " ".join(said)


def erased(model, gaps, kept):
    """The forecast less the simple one, by hand, of a window some of whose patches take its mean."""
    seen = gaps.clone()
    for place in {*range(WINDOW // 2)} - {*kept}:
        seen[2 * place : 2 * place + 2] = gaps.mean(0)
    encoded, _ = model.encoder(seen.unsqueeze(0))
    memory = model.decoder.remember(encoded, torch.ones(1, 1, WINDOW // 2, dtype=torch.bool))
    said = model.decoder(model.steps.unsqueeze(0), model.decoder.start(memory), memory)
    return model.output(said.features)[0].double().numpy()


@torch.no_grad()
def test_faithfulness_is_by_how_much_a_forecast_changes_when_patches_take_the_mean(trained):
    run, values, _, _ = trained
    forecaster = load_model(run.model)
    model, inputs = forecaster.model, forecaster.unit.into(values[120 - WINDOW : 120])
    gaps, everything = inputs - inputs[-1:], [*range(WINDOW // 2)]
    left = cache(lambda row: erased(model, gaps, row))
    full = left(tuple(everything))
    found = forecaster_faithfulness(forecaster, inputs, draws=2)
    assert [*found] == ["attention", "gradient x attention", "leave one out"]
    looked = model(inputs.unsqueeze(0), need_weights=True).weights[0]
    wanted, orders = [], []
    for step in range(HORIZON):

        def predict(rows, step=step):
            return np.array([[1 - np.abs(left(tuple(row)) - full)[step].mean()] for row in rows])

        scores = looked[step].reshape(-1, 2).sum(1).numpy()
        one = faithfulness(predict, everything, scores, draws=2)
        wanted.append([*vars(one.comprehensiveness).values(), *vars(one.sufficiency).values()])
        alone = 1 - predict([[other for other in everything if other != place] for place in everything])[:, 0]
        orders.append(rank_agreement(scores, alone))
    numbers = [*found["attention"].numbers().values()]
    assert numbers == pytest.approx([*np.mean(wanted, 0), np.nanmean(orders)], abs=1e-6)
    assert min(numbers[0], numbers[3]) > 1e-3
    assert found["leave one out"].agreement == pytest.approx(1)


@pytest.mark.parametrize("attention", ["luong", "multi_head"])
def test_the_gradient_of_a_forecast_is_that_by_its_weights(attention):
    torch.manual_seed(1)
    sizes = {"embedding_dim": 3, "units": 4, "decoder_units": 6, "transformer": TransformerOptions(heads=2)}
    options = ModelOptions(attention=attention, wiring="luong", bidirectional=False, dropout=0.0, **sizes)
    options = options.model_copy(update={"forecast": ForecastOptions(window=6, horizon=5, patch=2)})
    model = build_task("forecast", options, 4 + 2, 4 + 2).eval()
    torch.nn.init.normal_(model.output.weight)
    gaps = torch.randn(1, 6, 2)
    found = _gradients(model, gaps, np.array([0, 2, 4]))
    assert found is not None
    encoded, weights = model.read(gaps)[0], None
    inner = model.decoder.attention
    own = inner.attention.normalizer if attention == "multi_head" else inner.normalizer

    def keep(_, inputs, output):
        nonlocal weights
        weights = output[0].detach().requires_grad_()
        return weights, *output[1:]

    own.register_forward_hook(keep)
    said = model.output(model.say(encoded, need_weights=True).features)[0]
    for row, step in enumerate((0, 2, 4)):
        assert weights is not None
        parts = [torch.autograd.grad(said[step, series], weights, retain_graph=True)[0] * weights for series in (0, 1)]
        wanted = torch.stack([part.reshape(-1, 5, 3)[:, step].sum(0) for part in parts]).abs().mean(0)
        assert found[row] == pytest.approx(wanted.detach().numpy(), abs=1e-6)
        assert wanted.min() > 1e-5


def test_faithfulness_of_a_forecast_is_shown_and_stands_in_the_json(trained, shell, tmp_path):
    run, _, table, _ = trained
    told = shell("explain", run.folder, table, "--faithfulness", "--output", tmp_path / "a.json")
    assert told.exit_code == 0, told.output
    numbers = json.loads((tmp_path / "a.json").read_text())["faithfulness"]["attention"]
    row = next(line.split() for line in told.stdout.splitlines() if line.startswith("attention "))
    assert row == ["attention", *(f"{value:z.3f}" for value in numbers.values())]
    assert "by how much the forecast changes, in deviations" in told.stdout


def test_what_comes_later_changes_nothing(trained, tmp_path):
    """Neither the statistics and the linear map, nor what is learnt from, nor a forecast, know of the rows behind."""
    run, values, _, _ = trained

    def change(values):
        return np.where(np.arange(len(values))[:, None] < 120, values, 1e3 * values + 7)

    whole = content(tmp_path)
    whole["data"]["train"]["csv"] = str(tmp_path / "other.csv")
    write_series(tmp_path / "other.csv", change=change)
    recipe = check_recipe(whole, "the recipe")
    material = prepare_series(recipe, tmp_path, lambda _: None)
    model = run.translator.model
    fresh = type(
        "Empty", (), {name: torch.zeros_like(getattr(model, name)) for name in ("mean", "deviation", "linear")}
    )
    assert material.begin is not None
    material.begin(fresh)
    for name in ("mean", "deviation", "linear"):
        assert torch.equal(getattr(fresh, name), getattr(model, name))
    own = prepare_series(run.translator.recipe, tmp_path, lambda _: None)
    for ours, theirs in zip(own.batches.epoch(0), material.batches.epoch(0), strict=True):
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.answers, theirs.answers)
    first, second = (read_series(path) for path in (run.folder.parent / "waves.csv", tmp_path / "other.csv"))
    for place in (WINDOW, 100, 120):
        found = [run.translator.forecast_at(series, place).values for series in (first, second)]
        np.testing.assert_array_equal(*found)
        if place == 120:
            later = [run.translator.forecast_at(series, place + 1).values for series in (first, second)]
            assert not np.allclose(*later)
    np.testing.assert_allclose(run.translator.forecast_at(first, 120).came, values[120:123])


def test_a_table_is_forecast_in_its_own_units_and_times(trained, shell, tmp_path):
    run, values, path, _ = trained
    done = shell("forecast", run.folder, path)
    assert done.exit_code == 0
    header, *rows = csv.reader(done.stdout.splitlines())
    assert header == ["time", "a", "b", "sum"]
    assert [row[0] for row in rows] == ["2020-01-07 06:00:00", "2020-01-07 07:00:00", "2020-01-07 08:00:00"]
    model = run.translator.model
    seen = torch.from_numpy(values[-WINDOW:]).float()
    expected = model(((seen - model.mean) / model.deviation).unsqueeze(0)).answer[0] * model.deviation + model.mean
    np.testing.assert_allclose([list(map(float, row[1:])) for row in rows], expected.detach().numpy(), rtol=1e-4)
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join(",".join(line.split(",")[::-1]) for line in path.read_text().splitlines()))
    assert shell("forecast", run.folder, turned, "--output", tmp_path / "next.csv").exit_code == 0
    ahead = list(csv.reader((tmp_path / "next.csv").read_text().splitlines()))
    assert [row[1:] for row in ahead] == [row[1:] for row in [header, *rows]]
    assert [row[0] for row in ahead[1:]] == ["150", "151", "152"]
    short = tmp_path / "short.csv"
    short.write_text("\n".join(path.read_text().splitlines()[: WINDOW - 1]))
    assert "has 6 rows to look at, but the model looks at 8" in shell("forecast", run.folder, short).stderr
    short.write_text("date,a,b\n2020-01-01 00:00,1,2\n")
    assert "has no column 'sum'" in shell("forecast", run.folder, short).stderr


def test_evaluate_says_the_scores_of_the_run_again(trained, shell):
    run, _, path, _ = trained
    done = shell("evaluate", run.folder, "--json")
    scores = {one["name"]: one["value"] for one in json.loads(done.stdout)["scores"]}
    assert scores == pytest.approx({one.name: one.value for one in run.scores["test"]}, rel=1e-6)
    assert len(scores) == 6
    lines = shell("evaluate", run.folder, path).stdout.splitlines()
    assert lines[0].startswith("MSE ")
    assert f"windows:{ROWS - WINDOW - HORIZON + 1}|" in lines[0]
    assert shell("evaluate", run.folder, "--beam", "3").exit_code == 2


@pytest.mark.parametrize("ending", ["png", "html", "json", None])
def test_explain_shows_what_was_looked_at(trained, shell, tmp_path, ending):
    run, _, path, _ = trained
    if ending is None:
        text = shell("explain", run.folder, path).stdout
        assert "looked at" in text
        assert "2020-01-07 06:00:00" in text
        return
    output = tmp_path / f"look.{ending}"
    assert shell("explain", run.folder, path, "--output", output).exit_code == 0
    assert output.stat().st_size > 500
    if ending == "json":
        found = json.loads(output.read_text())
        assert np.shape(found["weights"]) == (HORIZON, WINDOW)
        np.testing.assert_allclose(np.sum(found["weights"], 1), 1, rtol=1e-5)
        np.testing.assert_allclose(np.sum(found["input_weights"], 1), np.ones(WINDOW), rtol=1e-5)


def test_inspect_measures_series(trained, shell, tmp_path):
    run, _, path, _ = trained
    text = shell("inspect", path, "--series").stdout
    assert "150 rows of 3 series, from 2020-01-01 00:00 to 2020-01-07 05:00" in text
    recipe = tmp_path / "waves.yaml"
    recipe.write_text(yaml.safe_dump(content(run.folder.parent)))
    text = shell("inspect", recipe).stdout
    assert "valid: 30 rows, 2020-01-04 18:00 to 2020-01-05 23:00" in text
    assert "how far valid and test have moved" in text
    assert shell("inspect", path, "--series", "--columns", "a,b").exit_code == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data.series.split": [140, 30, 30]},
            r"there are 150 rows, but the split takes 200; lower data\.series\.split",
        ),
        ({"data.series.split": [9, 100, 30]}, r"9 are for train, but a window of 8 and a horizon of 3 need 11 there"),
        ({"data.series.split": [100, 2, 30]}, r"2 are for valid, .* need 3 there; give more rows"),
        ({"data.series.columns": ["a", "c"]}, r"has no column 'c'; it has date, a, b, sum"),
        ({"data.train": {"csv": "nowhere.csv"}}, r"no file nowhere\.csv"),
    ],
)
def test_data_that_make_no_forecaster_are_refused_in_one_sentence(trained, tmp_path, change, message):
    whole = content(trained[0].folder.parent)
    for key, value in change.items():
        *sections, last = key.split(".")
        place = whole
        for name in sections:
            place = place[name]
        place[last] = value
    with pytest.raises(DataError, match=message) as refused:
        prepare_series(check_recipe(whole, "the recipe"), tmp_path, lambda _: None)
    assert "\n" not in str(refused.value)


def test_a_series_that_never_moves_is_refused(tmp_path):
    write_series(tmp_path / "waves.csv", change=lambda values: np.where([[False, True, False]], 4.0, values))
    with pytest.raises(DataError, match="column 'b' is 4 in every row that is learnt from; leave it out"):
        prepare_series(check_recipe(content(tmp_path), "the recipe"), tmp_path, lambda _: None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.series.split=[0.5,0.5]", r"split is \[0\.5, 0\.5\]; expected three shares"),
        ("data.series.split=[0.5,0.5,0.2]", "expected three shares"),
        ("data.series.split=[0.5,10,20]", "expected three shares"),
        ("data.series.columns=[a,a]", "it names 'a' more than once"),
        ("data.valid={csv: a.csv}", "a forecast learns from one table"),
        ("data.train={jsonl: a.jsonl, columns: [a, b]}", "a forecast learns from one table"),
        ("data.train={csv: a.csv, columns: [a, b]}", r"name them as data\.series\.columns"),
        ("model.bidirectional=true", r"set model\.bidirectional: false"),
        ("model.decoder=transformer", "a forecaster is recurrent"),
        ("model.forecast.patch=5", "window 96 is not cut evenly by patch 5"),
        ("evaluation.metrics=[bleu]", "a forecast is measured by some of mse, mae"),
        ("training.best_by=bleu", "it should be one of loss, mse, mae"),
    ],
)
def test_a_recipe_that_makes_no_forecast_is_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("forecast", [change])


def test_other_tasks_have_no_series():
    others = ["task=translation", "training.best_by=loss"]
    with pytest.raises(RecipeError, match="a forecast is measured by some of mse, mae, and no other task is"):
        load_recipe("forecast", others)
    with pytest.raises(RecipeError, match=r"data\.series goes with task: forecast, but the task is 'translation'"):
        load_recipe("forecast", [*others, "evaluation.metrics=[bleu]", "data.series.gaps=true"])


def test_it_goes_on_from_a_trained_model_in_its_units(trained, tmp_path):
    run = trained[0]
    write_series(tmp_path / "waves.csv", change=lambda values: 2 * values)
    whole = content(tmp_path, start_from=str(run.folder))
    whole["training"]["max_steps"] = 1
    again = train_recipe(check_recipe(whole, "the recipe")).translator
    for name in ("mean", "deviation", "linear"):
        assert torch.equal(getattr(again.model, name), getattr(run.translator.model, name))
    whole["data"]["series"]["columns"] = ["a", "b"]
    with pytest.raises(RecipeError, match="knows the series a, b, sum, but the table has a, b"):
        prepare_series(check_recipe(whole, "the recipe"), tmp_path, lambda _: None)


def test_others_refuse_a_forecaster_and_its_card_says_what_it_is(trained, shell):
    run, _, path, _ = trained
    with pytest.raises(
        ModelFolderError, match="is a forecaster, which gives numbers and no text; use heedful forecast"
    ):
        load_translator(run.folder)
    assert "is no classifier but for forecast" in shell("classify", run.folder, path).stderr
    text = card(run.translator.recipe, run.translator.metrics)
    assert "A forecaster of 3 steps by 8 (DA-RNN)" in text
    assert "| test | MSE of the last value |" in text
