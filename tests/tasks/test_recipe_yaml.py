"""Untrusted YAML: plain values or one sentence, soon, whatever a tag or an alias asks for."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heedful._errors import RecipeError
from heedful.tasks.recipe_yaml import LONGEST_TEXT, parse_yaml

MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{place}: &a{place} {{!!merge <<: [{', '.join([f'*a{place - 1}'] * 9)}]}}\n" for place in range(1, 12)
)
LAUGHS = "a0: &a0 [ha]\n" + "".join(
    f"a{place}: &a{place} [{', '.join([f'*a{place - 1}'] * 9)}]\n" for place in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!int abc", r"here, line 1: 'abc' is no int; fix the YAML there"),
        ("a: 1\nb: !!int ''", r"line 2: '' is no int"),
        ("!!int 1:30", r"'1:30' is no int"),
        ("!!float abc", r"'abc' is no float"),
        ("!!float ''", r"'' is no float"),
        ("!!bool perhaps", r"'perhaps' is no bool"),
        ("!!null something", r"'something' is no null"),
        ("9" * 5000, r"'9999.*9999' is no int"),
        ("!!int [1]", r"expected a scalar node, but found sequence"),
        ("!!map [1]", r"expected a mapping node, but found sequence"),
        ("!!map a", r"expected a mapping node, but found scalar"),
        ("!!seq {a: 1}", r"expected a sequence node, but found mapping"),
        ("!!timestamp 2026-99-99", r"could not determine a constructor for the tag 'tag:yaml\.org,2002:timestamp'"),
        ("!!binary aGE=", r"could not determine a constructor for the tag '.*:binary'"),
        ("!!set {a, b}", r"could not determine a constructor for the tag '.*:set'"),
        ("!!python/object/apply:os.mkdir [harmed]", r"could not determine a constructor for the tag '.*python"),
        (MERGES, r"could not determine a constructor for the tag '.*:merge'"),
        ('"\\ud800"', r"here, line 1: '\\ud800' holds half a character; fix the YAML there"),
        ('{"\\ud83d\\ude00": 1}', r"line 1: .* holds half a character"),
        (
            "a\ud800",
            r"here is no YAML text: character #xd800 at position 1, special characters are not allowed; save it",
        ),
        ("a\x00b", r"here is no YAML text: character #x0000 at position 1, special"),
        ("[" * 100_000, r"here is nested too deeply; fix the YAML"),
        ("{a: " * 50_000, r"here is nested too deeply"),
        ("- " * 100_000, r"here is nested too deeply"),
        ("? " * 100_000, r"here is nested too deeply"),
        ("a: b\n" * LONGEST_TEXT, r"here has 1,310,720 characters; a recipe has at most 262,144"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_plain_value_is_refused_in_one_sentence_and_soon(text, message):
    start = time.process_time()
    with pytest.raises(RecipeError, match=message) as caught:
        parse_yaml(text, "here")
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 5


def test_aliases_stand_for_one_value_however_often_they_are_said():
    value = parse_yaml(LAUGHS, "here")
    assert value["a11"][0] is value["a11"][8] is value["a10"]


def test_tags_of_plain_values_mean_what_they_say():
    text = "[!!str 12, !!int -3, !!float 2, !!bool true, !!null ~, !!seq [1], !!map {a: 1}, !!float .inf]"
    assert parse_yaml(text, "here") == ["12", -3, 2.0, True, None, [1], {"a": 1}, float("inf")]


ODD = st.text(st.sampled_from("&*!|>%@`'\"{}[],:?-#~<=. \n\tab19e+é\\u0dx"), max_size=40)


@given(ODD)
@example("!!int -")
@example("!!float .")
@example("&a [*a]")
@example("&a {b: *a}")
@example("!<tag:yaml.org,2002:int> x")
@example("%YAML 9.9\n--- a")
@example("!!str =")
def test_any_text_is_a_value_or_one_sentence(text):
    said = "here"
    try:
        parse_yaml(text, "here")
    except RecipeError as error:
        said = str(error)
    assert said.startswith("here")
    assert "\n" not in said
