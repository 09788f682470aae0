"""Tables on a terminal of 80 columns."""

from io import StringIO

from rich.console import Console

from heedful.cli._tables import print_table
from heedful.visual.comparison import Table

SCORES = ["erased", "random", "reversed", "kept", "random", "reversed", "tau"]


def printed(table: Table) -> list[str]:
    console = Console(file=StringIO(), width=80)
    print_table(console, table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_title_wider_than_its_table_is_one_line():
    lines = printed(Table("BLEU by words of the source (how many)", ["model", "1+ (96)"], [["luong", "0.1"]]))
    assert lines[0] == "BLEU by words of the source (how many)"
    assert lines[-2:] == ["luong   0.1", ""]


def test_negative_numbers_leave_room_for_the_names_of_rows():
    lines = printed(Table("Faithfulness", ["scores", *SCORES], [["gradient x attention", *["-0.333"] * 7]]))
    assert lines[-2].split("  ")[0] == "gradient x attention"
    assert lines[-2].count("-0.333") == 7


def test_no_name_of_a_row_is_broken_and_no_number():
    header = ["model", "accuracy", "95 %", "to the first", "95 %", "p", *(f"seed {seed}" for seed in (1, 2, 3))]
    row = ["structured", "18.1", "11.4 to 25.0", "+14.0", "+3.1 to +23.4", "0.002", "17.3", "18.9", "18.9"]
    words = " ".join(printed(Table("Accuracy", header, [row]))[-3:]).split()
    assert sorted(words) == sorted(" ".join(row).split())
