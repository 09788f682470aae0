"""A forecaster as one graph: rows of a table in its own units, and the rows to come, of 200 windows."""

import pytest
import torch

from heedful.data.tokenizers import LABEL, Tokenizer, TokenizerPair
from heedful.export import export_onnx, export_torch, make_graphs
from heedful.models.seq2seq import mean_of_heads
from heedful.tasks.build import build_forecaster
from heedful.tasks.forecasting_data import Unit
from heedful.tasks.model_options import ModelOptions
from tests.export.small import SIZES, program, shake
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

NAMES = ["load", "oil", "heat"]
FORECAST = {"window": 4, "horizon": 2, "patch": 2, "base": "linear", "input_attention": "bahdanau"}


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(9)
    options = {**SIZES, "cell": "gru", "wiring": "luong", "attention": "coverage", "forecast": FORECAST}
    model = shake(build_forecaster(ModelOptions.model_validate(options), len(NAMES)))
    model.mean.copy_(torch.tensor([1e6, -3.0, 0.01]))
    model.deviation.copy_(torch.tensor([2.0, 70.0, 1e-4]))
    model.linear.normal_()
    rows = torch.randn(200, 4, 3).double() * model.deviation + model.mean
    named = Tokenizer.from_entries(NAMES, LABEL)
    return model, TokenizerPair(named, named, True), rows, make_graphs(model)


@torch.no_grad()
def expected(model, rows):
    unit = Unit(model.mean, model.deviation)
    found = model(torch.stack([unit.into(one.numpy()) for one in rows]), need_weights=True)
    answer = torch.stack([torch.from_numpy(unit.back(one)) for one in found.answer])
    return {"forecast": answer, "weights": mean_of_heads(found.weights), "input_weights": found.input_weights}


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_it_forecasts_the_same_and_looks_at_the_same(case, form, tmp_path):
    model, named, rows, graphs = case
    theirs = expected(model, rows)
    if form == "onnx":
        pytest.importorskip("onnxscript")
        runtime = pytest.importorskip("onnxruntime")
        folder = export_onnx(model, named, tmp_path / "out", graphs=graphs)
        session = runtime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        names = [one.name for one in session.get_outputs()]
        found = dict(zip(names, map(torch.from_numpy, session.run(names, {"rows": rows.numpy()})), strict=True))
    else:
        graph = program(export_torch(model, named, tmp_path / "out", graphs=graphs), "model")
        with torch.no_grad():
            found = graph(rows)
            assert graph(rows[:1])["forecast"].shape == (1, 2, 3)
    assert {*found} == {*theirs}
    for name, one in theirs.items():
        if name == "forecast":
            # in units of the deviation, as the model computes
            found[name], one = ((each - model.mean) / model.deviation for each in (found[name], one))
        assert_close(found[name], one, torch.float32)


def test_the_manifest_names_the_series(case, tmp_path):
    model, named, _, graphs = case
    folder = export_torch(model, named, tmp_path / "out", graphs=graphs)
    about = (folder / "heedful.json").read_text(encoding="utf-8")
    assert '"task": "forecast"' in about
    assert all(f'"{name}"' in about for name in NAMES)
    assert sorted(one.name for one in folder.iterdir()) == ["heedful.json", "model.pt2"]
