"""The benchmarks' own machinery: rows are kept, the table shows the last ones, trainings run in turn."""

import csv
import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

TRAINING = """
import time
from paced import Pace
pace = Pace(parameters=7)
for step in range(100):
    pace.tick(tokens=step)
    print("not an answer")
    time.sleep(0.001)
"""


@pytest.fixture
def script(monkeypatch):
    """A script of benchmarks as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_column_stays_empty_in_the_rows_before_and_no_row_is_lost(script, monkeypatch, tmp_path):
    record = script("record")
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    record.append("speed", fast=1)
    record.append("speed", fast=2, slow=3)
    record.append("speed", slow=4)
    rows = _rows(tmp_path / "speed.csv")
    assert [(row["fast"], row["slow"]) for row in rows] == [("1", ""), ("2", "3"), ("", "4")]
    assert all(row["torch"] for row in rows)


def test_the_table_shows_the_last_row_of_a_shape_and_the_fastest_peer(script, tmp_path):
    additive = script("additive")
    columns = ["shape", "direction", "heedful ms", "floor ms", "eager ms", "torch.compile ms", "keras jax ms"]
    lines = [
        ["16x64x64x128", "forward", "9", "9", "9", "9", "9"],
        ["16x64x64x128", "forward", "2", "1", "30", "12", "7"],
        ["1x1024x1024x128", "forward", "4", "5", "600", "70.2", ""],
    ]
    path = tmp_path / "additive.csv"
    path.write_text("\n".join(",".join(line) for line in [columns, *lines]))
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in additive.table(path).splitlines()]
    assert len(found) == 2 + 2
    assert found[2][:6] == ["1, 1024, 1024, 128", "forward", "**4.00**", "5.00 (0.80 x)", "600", "70.2"]
    assert found[3][2:] == ["**2.00**", "1.00 (2.00 x)", "30.0", "12.0", "-", "-", "7.00", "-", "3.5 x"]


def test_a_paced_training_answers_for_each_block_and_waits_between(script, tmp_path):
    paced = script("paced")
    (tmp_path / "training.py").write_text(TRAINING)
    command = [str(tmp_path / "training.py")]
    (tmp_path / "paced.py").write_text((BENCHMARKS / "paced.py").read_text())
    training = paced.PacedTraining("ours", command, tmp_path / "log", threads=1)
    assert training.parameters == 7
    assert training.run(3)[0] == 0 + 1 + 2
    tokens, seconds = training.run(2)
    assert (tokens, seconds > 0.002) == (3 + 4, True)
    training.close()
    assert "not an answer" in (tmp_path / "log").read_text()


def test_a_paced_training_that_dies_is_named_with_its_last_words(script, tmp_path):
    paced = script("paced")
    (tmp_path / "training.py").write_text("raise SystemExit('no such data')")
    with pytest.raises(SystemExit, match=r"(?s)ours ended:.*no such data"):
        paced.PacedTraining("ours", [str(tmp_path / "training.py")], tmp_path / "log", threads=1)


def test_without_joeynmt_the_message_says_how_to_install_it(script, tmp_path):
    with pytest.raises(
        SystemExit, match=r"holds no JoeyNMT; install it there:\s+pip install --no-deps --target FOLDER"
    ):
        script("joeynmt_training").check_installed(str(tmp_path))


def test_a_finished_run_becomes_one_row_and_the_table_reads_both_protocols(script, monkeypatch, tmp_path, capsys):
    experiments, record = script("experiments"), script("record")
    for module in (experiments, record):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    for seed, accuracies in ((1, [0.85, 0.88, 0.87]), (2, [0.86, 0.84, 0.85])):
        for protocol, chosen in (("published", max(accuracies)), ("honest", 0.8 + seed / 100)):
            run = tmp_path / "runs" / f"attention-{protocol}-{seed}"
            run.mkdir(parents=True)
            lines = [f"{place},{place},1.5,step,0,0.3,{accuracy}" for place, accuracy in enumerate(accuracies, 1)]
            (run / "validations.csv").write_text("\n".join(["step,epoch,seconds,weights,best,loss,accuracy", *lines]))
            figures = {"model": "attention", "protocol": protocol, "seed": seed, "test_accuracy": chosen}
            (run / "result.json").write_text(json.dumps(figures))
    (tmp_path / "runs" / "unfinished").mkdir()
    keras = tmp_path / "runs" / "zz-of-keras"
    keras.mkdir()
    (keras / "epochs.csv").write_text(
        "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.7,0.5,0.8,0.4\n1,0.8,0.4,0.9,0.3\n"
    )
    (keras / "result.json").write_text(json.dumps({"model": "attention", "backend": "jax"}))
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["experiments.py", str(tmp_path / "runs")])
        experiments.main()
    rows = _rows(tmp_path / "results" / "experiments.csv")
    assert len(rows) == 5
    assert [row["accuracy by epoch"] for row in rows[-2:]] == ["0.86 0.84 0.85", "0.8 0.9"]
    assert experiments.table(rows).splitlines()[2:] == [
        "| attention | published | 2 | 88.00 | 87.00 | 1.41 | 85.83 |  |",
        "| attention | honest | 2 |  |  |  |  | 81.50 ± 0.71 |",
    ]


def test_what_is_recorded_is_not_trained_again_and_the_table_shows_the_seeds(script, monkeypatch, tmp_path, capsys):
    sine, record = script("sine"), script("record")
    for module in (sine, record):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(sine.torch, "set_num_threads", int)  # of the tests after this one
    record.append("sine", task="adding", length=8, side="sine", seed=1, updates=2, error=0.25)
    given = ["--tasks", "copying", "adding", "--lengths", "8", "--sides", "tanh", "sine", "--seeds", "1", "2"]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["sine.py", *given, "--updates", "2"])
        sine.main()
    rows = _rows(tmp_path / "sine.csv")
    assert len({sine.key_of(row) for row in rows}) == len(rows) == 2 * 2 * 2
    assert rows[0]["error"] == "0.25"
    assert {row["attention parameters"] for row in rows if row["task"] == "copying"} == {"1539", "1558"}
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["sine.py", "--table"])
    sine.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2
    assert lines[2].startswith("| adding, 8 | ")
    assert lines[2].count(" (") == 2


def test_the_sides_of_sine_attention_have_as_many_parameters(script):
    tasks = script("sine_tasks")
    for query_dim, key_dim in ((32, 48), (32, 32)):
        for side in tasks.SIDES:
            model = tasks.build_side(side, query_dim, key_dim)
            count = sum(parameter.numel() for parameter in model.parameters())
            assert abs(count / (query_dim * key_dim) - 1) < 0.04
