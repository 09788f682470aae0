"""Series from tables: what is read, what is refused in one sentence, and windows counted by hand."""

import gzip

import numpy as np
import pytest
import torch

from heedful._errors import DataError
from heedful.data.series import Series, Windows, read_series, split_rows

HOURS = [f"2020-01-01 {hour:02}:00" for hour in range(6)]


def write(folder, *lines, name="t.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_is_read_with_its_times_names_and_columns(tmp_path):
    path = write(tmp_path, "date,load,price", *(f"{time},{row},{row / 2}" for row, time in enumerate(HOURS)))
    series = read_series(path)
    assert series.names == ["load", "price"]
    assert series.times == HOURS
    assert series.values.tolist() == [[row, row / 2] for row in range(6)]
    assert read_series(path, ["price"]).values[:, 0].tolist() == [row / 2 for row in range(6)]
    assert read_series(path, [2, "load"], time="date").names == ["price", "load"]
    assert series.times_after(2) == ["2020-01-01 06:00:00", "2020-01-01 07:00:00"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_without_names_and_times_counts_both(tmp_path, separator):
    path = tmp_path / "t.txt.gz"
    path.write_bytes(gzip.compress(f"1{separator}2.5\n3{separator}-4e1\n".encode()))
    series = read_series(path)
    assert (series.names, series.times) == (["0", "1"], ["0", "1"])
    assert series.values.tolist() == [[1, 2.5], [3, -40]]
    assert series.times_after(2) == ["2", "3"]


@pytest.mark.parametrize(
    ("lines", "wish", "message"),
    [
        (["a,b", "1,2"], {"columns": ["c"]}, r"t\.csv has no column 'c'; it has a, b\.$"),
        (["a,b", "1,2"], {"time": 2}, r"no column 2; it has a, b\.$"),
        (["a,b", "1,x1", "2,3"], {}, r"line 2: column 'b' holds 'x1', which is no number such as 1\.5; correct it"),
        (["a,b", "1,2", "2,"], {}, r"line 3: column 'b' is empty; fill the gap in"),
        (["a,b", "1,2", "nan,3"], {}, r"line 3: column 'a' holds 'nan'; fill the gap in"),
        (["a,b", "1,2", "2"], {}, r"line 3 has 1 cells, but the first has 2"),
        (["a,a", "1,2"], {}, r"several columns 'a'"),
        ([",a", "1,2"], {}, r"column 0 is called '', which is no name of a series"),
        (["a,b"], {}, r"has no row of numbers"),
        (["t", HOURS[0]], {}, r"no column besides the time"),
        (["t,a", f"{HOURS[0]},1", "later,2"], {}, r"line 3: the time is 'later'; expected one such as"),
        (["t,a", f"{HOURS[1]},1", f"{HOURS[0]},2"], {}, r"line 3: the time .* does not come after"),
        (["t,a", *(f"{HOURS[row]},1" for row in (0, 1, 2, 5))], {}, r"line 5: the times jump from .*02:00 to .*05:00"),
        (["t,a", f"{HOURS[0]},1", f"{HOURS[1]}+00:00,2"], {}, r"some times have a time zone"),
        (["a,b", '1,"2'], {}, r"is no table of cells"),
    ],
)
def test_what_is_no_series_is_refused_in_one_sentence(tmp_path, lines, wish, message):
    path = write(tmp_path, *lines)
    with pytest.raises(DataError, match=message) as refused:
        read_series(path, **wish)
    assert "\n" not in str(refused.value)


def test_names_are_those_that_a_vocabulary_keeps(tmp_path):
    assert read_series(write(tmp_path, " u\u0308ber  all ,b", "1,2")).names == ["\u00fcber all", "b"]


def test_gaps_may_be_taken_as_they_are(tmp_path):
    path = write(tmp_path, "t,a", *(f"{HOURS[row]},1" for row in (0, 1, 2, 5)))
    assert len(read_series(path, gaps=True).values) == 4


def test_windows_are_all_stretches_of_rows():
    rows = torch.arange(22.0).reshape(11, 2)
    windows = Windows(rows, window=3, horizon=4)
    assert len(windows) == len(windows.inputs) == len(windows.answers) == 5
    for place in range(5):
        assert torch.equal(windows.inputs[place], rows[place : place + 3])
        assert torch.equal(windows.answers[place], rows[place + 3 : place + 7])
    batches = [*windows.examples(2, seed=1).epoch(0)]
    assert sorted(place for batch in batches for place in batch.index.tolist()) == [0, 1, 2, 3, 4]
    assert all(torch.equal(batch.answers, windows.answers[batch.index]) for batch in batches)
    assert [len(seen) for seen, _ in windows.blocks(2)] == [2, 2, 1]
    assert len(Windows(rows, window=8, horizon=4)) == 0


def test_rows_are_shared_out_in_their_order():
    assert [(part.start, part.stop) for part in split_rows(20, [0.5, 0.25, 0.25])] == [(0, 10), (10, 15), (15, 20)]
    assert [(part.start, part.stop) for part in split_rows(20, [0.5, 0.2, 0.2])] == [(0, 10), (10, 14), (14, 18)]
    assert [(part.start, part.stop) for part in split_rows(20, [7, 3, 5])] == [(0, 7), (7, 10), (10, 15)]
    with pytest.raises(ValueError, match="there are 20 rows, but the split takes 21"):
        split_rows(20, [10, 10, 1])


def test_times_go_on_in_the_usual_step():
    days = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"]
    assert Series(np.zeros((4, 1)), ["a"], days, "").times_after(1) == ["2020-01-07"]


@pytest.mark.parametrize(
    ("times", "later"),
    [
        (["1949-10", "1949-11", "1949-12"], ["1950-01", "1950-02", "1950-03"]),
        (["2015-10-01", "2015-11-01", "2015-12-01"], ["2016-01-01", "2016-02-01", "2016-03-01"]),
        (["2015-10-31", "2015-11-30", "2015-12-31"], ["2016-01-31", "2016-02-29", "2016-03-31"]),
        (["2015-03-31", "2015-06-30", "2015-09-30"], ["2015-12-31", "2016-03-31", "2016-06-30"]),
        (["2012-02-29", "2013-02-28"], ["2014-02-28", "2015-02-28", "2016-02-29"]),
        (
            ["2015-01-15 06:00", "2015-02-15 06:00"],
            ["2015-03-15 06:00:00", "2015-04-15 06:00:00", "2015-05-15 06:00:00"],
        ),
        # not whole months: days, as many as are usual
        (["2015-01-15", "2015-02-14"], ["2015-03-16", "2015-04-15", "2015-05-15"]),
        (["2015-01-01", "2015-01-02"], ["2015-01-03", "2015-01-04", "2015-01-05"]),
    ],
)
def test_times_go_on_by_whole_months_where_they_came_so(tmp_path, times, later):
    path = tmp_path / "months.csv"
    path.write_text("month,a\n" + "".join(f"{time},{place}\n" for place, time in enumerate(times)))
    series = read_series(path)
    assert (series.names, series.times) == (["a"], times)
    assert series.times_after(3) == later


@pytest.mark.parametrize(("name", "is_time"), [("date", True), ("Day", True), ("load", False)])
def test_plain_digits_are_times_where_the_column_is_called_so(tmp_path, name, is_time):
    path = tmp_path / "days.csv"
    path.write_text(f"{name},a\n20150130,1\n20150131,2\n")
    series = read_series(path)
    assert series.names == (["a"] if is_time else [name, "a"])
    assert series.times_after(1) == (["2015-02-01 00:00:00"] if is_time else ["2"])


def test_no_calendar_goes_on_for_ever(tmp_path):
    with pytest.raises(DataError, match="no calendar goes 2 steps beyond 9999-11"):
        Series(np.zeros((2, 1)), ["a"], ["9999-10", "9999-11"], "table").times_after(2)
