"""The catalogue is read from the code, and the page in docs/ is read from the catalogue."""

import ast
import inspect
import re

import pytest

import heedful
from heedful import decoding
from heedful.attention import normalizers, scores, windows
from heedful.attention.catalogue import catalogue, markdown
from heedful.attention.normalizers import Normalizer
from heedful.attention.scores import Score
from heedful.attention.source import Source, mechanism
from heedful.attention.windows import Window
from heedful.layers import positions
from heedful.tasks.companions import companions
from tests.attention.rows import exported
from tests.reached import names_reached, words
from tests.test_house import ROOT

KINDS = ["score", "window", "normalizer", "mechanism", "pooling", "layer"]
PAGE = ROOT / "docs" / "mechanisms.md"
each_entry = pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)


def names(kind: str) -> set[str]:
    return {entry.name for entry in catalogue() if entry.kind == kind}


@pytest.mark.parametrize(
    ("kind", "folder", "base"),
    [("score", scores, Score), ("window", windows, Window), ("normalizer", normalizers, Normalizer)],
)
def test_every_exported_class_has_its_line(kind, folder, base):
    builders = {name for name, thing in vars(folder).items() if inspect.isfunction(thing) and hasattr(thing, "source")}
    assert names(kind) == exported(folder, base) | builders


def test_every_builder_has_its_line():
    builders = {name for name, thing in vars(heedful.attention).items() if inspect.isfunction(thing)}
    assert names("mechanism") >= builders >= {"BahdanauAttention", "NormedBahdanauAttention", "LuongAttention"}


def test_the_named_mechanisms_of_the_front_door_are_listed():
    listed = names("mechanism") | names("pooling") | names("layer")
    assert {name for name in heedful.__all__ if name.endswith("Attention")} - {"Attention"} <= listed


@each_entry
def test_a_line_says_where_it_stands_and_where_it_is_from(entry):
    assert (ROOT / "src" / entry.file).is_file()
    assert f"{entry.name}(" in (ROOT / "src" / entry.file).read_text(encoding="utf-8")
    assert entry.paper.count(": ") >= 1, "authors: title"
    assert any(word in entry.place for word in ("section", "equation", "appendix", "function", "algorithm"))
    assert 1950 < entry.year < 2100
    assert entry.formula.endswith(".")
    assert entry.time, 'no paragraph "Cost: time ...; memory ...."'
    assert entry.memory, 'no paragraph "Cost: time ...; memory ...."'
    folder = {"score": scores, "window": windows, "normalizer": normalizers}.get(entry.kind, heedful.attention)
    if getattr(getattr(folder, entry.name), "stateful", False) is True:
        assert entry.state, 'no paragraph "State: ..."'
    assert "\n" not in entry.formula


@each_entry
def test_the_first_line_of_its_file_says_what_it_is_and_from_which_year(entry):
    first = (ROOT / "src" / entry.file).read_text(encoding="utf-8").partition("\n")[0]
    assert any(str(other.year) in first for other in catalogue() if other.file == entry.file), first


def parts_of(builder: str) -> set[str]:
    """What of the catalogue a function puts together, from its source."""
    found = (vars(package).get(builder) for package in (heedful.attention, scores, windows, normalizers))
    thing = next(filter(None, found))
    if not inspect.isfunction(thing):
        return set()
    known = {entry.name for entry in catalogue()} - {builder}
    return words(ast.parse(inspect.getsource(inspect.unwrap(thing)))) & known


def test_every_mechanism_is_compiled_by_some_test_or_says_why_not():
    """By name, in a row or in what a compiled test builds; what is put together of compiled parts is their sum."""
    compiled = names_reached("compile")
    for entry in catalogue():
        compiled |= parts_of(entry.name) if entry.name in compiled else set()
    missing = {entry.name for entry in catalogue() if not entry.uncompiled} - compiled
    missing -= {name for name in missing if parts_of(name) and parts_of(name) <= compiled}
    assert not missing, f"no test marked `compile` has a row with {', '.join(sorted(missing))}"


def test_the_catalogue_is_in_order():
    kinds = [entry.kind for entry in catalogue()]
    assert list(dict.fromkeys(kinds)) == KINDS
    assert kinds == sorted(kinds, key=KINDS.index)
    for kind in set(kinds):
        lines = [(entry.year, entry.name) for entry in catalogue() if entry.kind == kind]
        assert lines == sorted(lines)


def test_the_page_is_the_catalogue():
    assert PAGE.read_text(encoding="utf-8").endswith("\n" + markdown([*catalogue(), *companions()])), (
        "docs/mechanisms.md differs from the classes; write it again: python scripts/write_mechanisms.py"
    )


def test_what_stands_under_another_name_is_there_with_its_options():
    table = PAGE.read_text(encoding="utf-8").partition("| looked for | here |")[2].partition("\n\n")[0]
    places = (heedful, heedful.attention, scores, windows, normalizers, positions, decoding)
    for name, method, option in re.findall(
        r"`(?:heedful\.decoding\.)?([A-Z]\w+)(?:\.(\w+))?(?:\((\w+)=\S+\))?`", table
    ):
        thing = next(getattr(place, name) for place in places if hasattr(place, name))
        assert not method or hasattr(thing, method)
        assert not option or option in inspect.signature(thing).parameters
    assert table.count("\n| ") > 20


def test_a_bar_in_a_formula_does_not_break_the_table():
    lines = markdown([*catalogue(), *companions()]).splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}


def test_a_mechanism_keeps_its_name_and_gets_its_source():
    source = Source("Somebody: Something", "equation 1", 1999)

    @mechanism(source)
    def build(dim: int) -> int:
        """Twice the dim."""
        return 2 * dim

    assert (build(3), build.__name__, vars(build)["source"]) == (6, "build", source)
