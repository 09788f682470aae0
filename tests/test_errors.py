"""Messages about an untrusted file are readable: one line, printable, and not a page long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heedful._errors import DataError, ExportError, HeedfulError, ModelFolderError, OutputError, RecipeError

KINDS = [HeedfulError, DataError, ExportError, ModelFolderError, OutputError, RecipeError]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_sentence_is_said_as_it_is(kind):
    assert str(kind("Été: 漢字 is 'a\\b'; fix it.")) == "Été: 漢字 is 'a\\b'; fix it."


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_reaches_the_terminal_that_would_act_on_it(kind):
    assert str(kind("no \x1b[2J, \r, \u202e, \udcff here")) == r"no \x1b[2J, \r, \u202e, \udcff here"


def test_the_faults_of_a_recipe_have_lines_of_their_own_and_nothing_else_has():
    assert str(DataError("one\ntwo")) == "one two"
    assert str(RecipeError("one\ntwo\t")) == "one\ntwo\\t"


def test_the_middle_of_a_long_line_is_left_out():
    said = str(ModelFolderError(f"model: {'x' * 10**6}; copy the folder again."))
    assert len(said) < 1000
    assert said.startswith("model: xxx")
    assert said.endswith("xxx; copy the folder again.")
    assert " [...] " in said


@given(st.text(st.characters(exclude_characters="\n")))
def test_every_text_becomes_one_short_printable_line(text):
    said = str(HeedfulError(text))
    assert said.isprintable()
    assert len(said) < 1000
    said.encode("utf-8")
