"""The CSV files and TensorBoard's: what is written, and what a resumed run drops."""

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from heedful._errors import OutputError
from heedful.training.records import Records, Table


def write(folder: Path, *steps: int, start: int = 0, tensorboard: bool = False):
    records = Records(folder, start, tensorboard)
    for step in steps:
        records.write("batches", {"step": step, "loss": step / 3})
    records.flush()
    records.close()


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_rows_after_the_step_are_dropped_and_come_again(tmp_path):
    write(tmp_path, 1, 2, 3, 4, 5)
    write(tmp_path, 4, 5, 6, start=3)
    assert [row[0] for row in read(tmp_path / "batches.csv")] == ["step", "1", "2", "3", "4", "5", "6"]


def test_a_run_that_begins_afresh_drops_all_rows(tmp_path):
    write(tmp_path, 1, 2, 3)
    write(tmp_path, 1)
    assert read(tmp_path / "batches.csv") == [["step", "loss"], ["1", "0.333333"]]


@pytest.mark.parametrize("rest", ["4,0.2", "4,0", "4", ",", '"4', "\n\n", "not,a,row\n", "\ufffd\x00"])
def test_a_row_that_was_cut_off_is_dropped(tmp_path, rest):
    write(tmp_path, 1, 2)
    path = tmp_path / "batches.csv"
    path.write_text(path.read_text() + rest)
    write(tmp_path, 3, start=2)
    assert [row[0] for row in read(path)] == ["step", "1", "2", "3"]


def test_a_file_of_half_a_header_is_begun_afresh(tmp_path):
    (tmp_path / "batches.csv").write_text("step,lo")
    write(tmp_path, 8, start=7)
    assert read(tmp_path / "batches.csv") == [["step", "loss"], ["8", "2.66667"]]


def test_the_row_of_a_mean_is_dropped_and_comes_again(tmp_path):
    for _ in range(2):
        records = Records(tmp_path, step=4, tensorboard=False)
        records.write("validations", {"step": 4, "weights": "average", "loss": 1.0})
        records.close()
    assert len(read(tmp_path / "validations.csv")) == 2


def test_columns_are_those_of_the_first_row(tmp_path):
    table = Table(tmp_path / "t.csv", keep=lambda row: True)
    for row in ({"step": 1, "a": 1.0}, {"step": 2, "b": 2.0}, {"a": 3.0, "step": 3}):
        table.write(row)
    table.close()
    assert read(tmp_path / "t.csv") == [["step", "a"], ["1", "1"], ["2", ""], ["3", "3"]]


def test_nothing_is_left_behind_under_a_temporary_name(tmp_path):
    write(tmp_path, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"batches.csv", "epochs.csv", "validations.csv"}


def test_tensorboard_gets_the_same_numbers_and_no_step_twice(tmp_path):
    write(tmp_path, 1, 2, 3, tensorboard=True)
    write(tmp_path, 3, 4, start=2, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("batches/loss")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    assert [event.value for event in scalars] == pytest.approx([step / 3 for step in (1, 2, 3, 4)])


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "batches.csv").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*batches\.csv"):
        Records(tmp_path, tensorboard=False)
