"""`heedful doctor`: what is there, what is slow, what is broken."""

import re
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from heedful.cli import doctor


def test_it_names_versions_device_threads_path_fonts_and_cache(run):
    outcome = run("doctor")
    assert outcome.code == 0
    names = [re.split(r"\s{2,}", line)[0] for line in outcome.out.splitlines()]
    expected = [
        "heedful",
        "Python",
        *doctor.packages(),
        "device",
        "threads",
        "additive attention",
        "fonts for pictures",
    ]
    assert [name for name in expected if name not in names] == []


def test_it_names_every_package_that_heedful_was_installed_with_and_no_tool():
    named = [Requirement(line) for line in requires("heedful") or []]
    needed = {one.name for one in named if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert needed == set(doctor.packages()) > {"torch", "numba", "safetensors", "sacrebleu", "typer"}


def test_a_missing_package_is_named_and_ends_with_1_after_everything_else_was_said(run, monkeypatch):
    monkeypatch.setattr(doctor, "packages", lambda: ["torch", "no-such-package"])
    outcome = run("doctor")
    assert outcome.code == 1
    assert "no-such-package not installed; run: pip install no-such-package" in outcome.out
    assert "fonts for pictures" in outcome.out


def test_a_terminal_gets_whole_words_under_their_column():
    text = "Latin, Greek; Devanagari would be boxes"
    assert doctor.column(text, 40) == ["Latin, Greek;", "Devanagari would", "be boxes"]
    path = "somebody/long/.cache/heedful (can be written)"
    assert doctor.column(path, 40) == ["somebody/long/.cache/heedful", "(can be written)"]
    assert doctor.column(text, None) == [text]


def test_a_script_without_a_font_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "SCRIPTS", {"Latin": "é", "None": "\u0378"})
    ((_, text),) = doctor.fonts()
    assert text == "Latin; None would be boxes: install a font for them, such as Noto"


@pytest.mark.parametrize("name", ["file/inside", "nowhere"])
def test_a_cache_that_cannot_be_written_is_named(tmp_path, name):
    (tmp_path / "file").write_text("")
    assert doctor.writable(tmp_path / name).startswith("CANNOT be written, ")
