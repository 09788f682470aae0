"""The terminal picture: fits the width, marks the hot cell, and survives terminals without colour or Unicode."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

from heedful.visual.alignment import Alignment
from heedful.visual.terminal import TerminalHeatmap, terminal_heatmap

from .samples import SOURCE, TARGET, example, hostile, one_hot, parts


def printed(alignment, **options) -> str:
    Style._add.cache_clear()  # rich keeps the colours of the first console that showed a style
    file = io.StringIO()
    Console(file=file, width=options.pop("width", 100), **options).print(TerminalHeatmap(alignment))
    return file.getvalue()


def test_wide_enough_it_reads_like_a_table():
    alignment = Alignment(["the", "black", "cat"], ["le", "chat", "noir"], np.eye(3)[[0, 2, 1]])
    assert terminal_heatmap(alignment, width=60).splitlines() == [
        "     the  black cat",
        "  le ████ ····· ····  the 100%",
        "chat ···· ····· ████  cat 100%",
        "noir ···· █████ ····  black 100%",
    ]


def test_copied_words_are_underlined_and_named_with_their_chances():
    alignment = Alignment(["ask", "Ann"], ["query", "Ann"], np.array([[0.5, 0.5], [0, 1]]), copied=[0.04, 0.97])
    assert terminal_heatmap(alignment, width=40).splitlines()[-3:] == [
        "",
        "copied from the source: Ann 97%; from",
        "the vocabulary: query 96%",
    ]
    assert "\x1b[4mAnn\x1b[0m" in printed(alignment, force_terminal=True, color_system="standard")
    with pytest.raises(ValueError, match="copied has 1 numbers but there are 2 target tokens"):
        Alignment(["a"], ["b", "c"], np.ones((2, 1)), copied=[0.5])


def test_narrow_it_writes_source_tokens_letter_below_letter():
    alignment = Alignment(["the", "black", "cat"], ["le", "chat"], np.eye(3)[[0, 2]])
    assert terminal_heatmap(alignment, width=26).splitlines() == [
        "        b",
        "        l",
        "     t  a  c",
        "     h  c  a",
        "     e  k  t",
        "  le ██ ·· ··  the 100%",
        "chat ·· ·· ██  cat 100%",
    ]


def test_narrower_still_it_continues_below():
    text = terminal_heatmap(one_hot([0, 29], 30), width=40)
    bands = text.split("\n\n")
    assert len(bands) == 2
    rows = [[line for line in band.splitlines() if line.lstrip().startswith("t")] for band in bands]
    cells = ["".join(row.split()[1:]) for row in (rows[0][0] + rows[1][0][2:], rows[0][1] + rows[1][1][2:])]
    assert cells[0] == "█" + "·" * 29
    assert cells[1] == "·" * 29 + "█"


@given(parts(longest=40), st.integers(20, 130), st.booleans())
def test_no_line_is_wider_than_the_terminal(sentence, width, ascii_only):
    text = terminal_heatmap(Alignment(*sentence), width, ascii_only)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not ascii_only or text.isascii()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_heavier_weights_never_have_lighter_shades(weights):
    alignment = Alignment([f"s{i}" for i in range(len(weights))], ["t"], np.array([weights]))
    for ascii_only, shades in ((False, "·░▒▓█"), (True, ".:+#@")):
        row = terminal_heatmap(alignment, 80, ascii_only).splitlines()[1]
        drawn = [shades.index(cell[0]) for cell in row.split()[1 : 1 + len(weights)]]
        order = np.argsort(weights, kind="stable")
        assert (np.diff(np.array(drawn)[order]) >= 0).all()


def test_each_row_names_its_token_and_what_it_looked_at_most():
    alignment = example()
    rows = terminal_heatmap(alignment, width=100).splitlines()[1:]
    for row, token, weights in zip(rows, TARGET, alignment.weights, strict=True):
        assert row.split()[0] == token
        assert row.endswith(f"{SOURCE[weights.argmax()]} {weights.max():.0%}")


def test_a_row_that_looks_at_nothing_says_so():
    assert terminal_heatmap(Alignment(["a"], ["x"], np.zeros((1, 1)))).splitlines()[1].split() == ["x", "····", "-"]


def test_colours_cover_the_shades_and_without_them_the_shades_remain():
    alignment = one_hot([1, 0], 2)
    colored = printed(alignment, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in colored
    assert "48;2;255;214;110" in colored
    plain = printed(alignment, force_terminal=True, color_system="truecolor", no_color=True)
    assert "48;2" not in plain
    assert "████" in plain
    assert printed(alignment).rstrip("\n") == terminal_heatmap(alignment, 100)


def test_a_terminal_without_unicode_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    Console(file=stream, width=80).print(TerminalHeatmap(Alignment(["été", "日本"], ["où"], np.array([[0.9, 0.1]]))))
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert "ete" in text
    assert "ou @@@@ ::::" in text
    assert "??" in text


def test_tokens_cannot_send_commands_to_the_terminal():
    text = printed(hostile(), width=120)
    assert "\x1b" not in text
    assert "\t" not in text


def test_markup_in_tokens_is_text():
    assert "[bold]" in printed(Alignment(["[bold]"], ["x"], np.ones((1, 1))))


def test_wide_characters_keep_their_columns():
    alignment = Alignment(["我", "昨天看到了", "他"], ["я", "видел"], np.eye(3)[[0, 2]])
    rows = terminal_heatmap(alignment, 70).splitlines()
    assert rows[0] == "      我   昨天看到了 他"
    assert rows[2] == "видел ···· ·········· ████  他 100%"


def test_too_narrow_a_terminal_is_refused():
    with pytest.raises(ValueError, match="width is 19; a heat map needs at least 20 cells"):
        terminal_heatmap(example(), width=19)
