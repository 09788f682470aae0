"""What the page does when a person points, taps or types; runs where a Chromium is installed."""

import numpy as np
import pytest

from heedful.visual.alignment import Alignment
from heedful.visual.html import page

from .browser import notes_of

WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.25, 0.75, 0.0]])
ALIGNMENTS = [
    Alignment(["the", "black", "cat"], ["le", "chat"], WEIGHTS, heads={"layer 1, head 1": WEIGHTS[::-1]}),
    Alignment(["قطة", "سوداء"], ["cat", "black"], np.eye(2)),
]

# Each step acts as a person would and notes what can be seen then.
SCRIPT = """
const word = (side, at, sentence = 0) =>
  document.querySelectorAll("article")[sentence].querySelector(`.word[data-side="${side}"][data-at="${at}"]`);
const over = () => new PointerEvent("pointerover", {bubbles: true, pointerType: "mouse"});
const point = (element) => element.dispatchEvent(over());
const key = (name) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true}));
const article = document.querySelector("article");
const leave = () => article.dispatchEvent(new PointerEvent("pointerleave"));
const look = (name) => {
  const words = (side) => [...article.querySelectorAll(`.word[data-side="${side}"]`)];
  const weights = (side) => words(side).map((word) => Number(word.style.getPropertyValue("--weight")));
  notes[name] = {
    source: weights("source"),
    target: weights("target"),
    readout: article.querySelector(".readout").textContent,
    threads: article.querySelectorAll(".threads path").length,
    focus: document.activeElement.closest(".word")?.querySelector(".text").textContent ?? null,
  };
};
look("rest");
point(word("target", 1)); look("point at chat");
point(word("source", 0)); look("point at the");
point(article.querySelector('tbody tr[data-at="0"] td')); look("point at the table");
leave(); look("leave");
word("target", 0).focus(); look("focus le");
key("ArrowRight"); look("right");
key("ArrowUp"); look("up");
key("ArrowRight"); look("right again");
key("ArrowRight"); look("right at the end");
key("Home"); look("home");
key("Escape"); look("escape");
word("source", 1).click(); leave(); look("tap");
point(word("target", 0)); leave(); look("tap holds");
word("source", 1).click(); look("tap again");
word("source", 0, 1).focus(); key("ArrowLeft"); look("left in Arabic");
const select = article.querySelector(".heads");
select.selectedIndex = 1;
select.dispatchEvent(new Event("change"));
point(word("target", 1)); look("another head");
notes.cell = article.querySelector('tbody tr[data-at="1"] td').textContent;
notes.choices = [...document.querySelectorAll(".choice")].map((choice) => choice.hidden);
notes.theme = [document.documentElement.dataset.theme];
document.getElementById("theme").click();
notes.theme.push(document.documentElement.dataset.theme);
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return notes_of(page(ALIGNMENTS), SCRIPT, tmp_path_factory.mktemp("browser"))


def test_a_target_word_shades_the_source_by_its_weights(notes):
    note = notes["point at chat"]
    assert note["source"] == [0.25, 0.75, 0.0]
    assert note["target"] == [0, 0]
    assert note["readout"] == "chat looked at black 75\u202f%, the 25\u202f%"
    assert note["threads"] == 2


def test_a_source_word_shades_who_looked_at_it(notes):
    note = notes["point at the"]
    assert note["target"] == [0.7, 0.25]
    assert note["source"] == [0, 0, 0]
    assert note["readout"] == "the was looked at by le 70\u202f%, chat 25\u202f%"


def test_a_row_of_the_table_shows_its_word(notes):
    assert notes["point at the table"]["source"] == [0.7, 0.2, 0.1]


def test_at_rest_nothing_is_shaded_and_threads_show_the_alignment(notes):
    for name in ("rest", "leave", "escape", "tap again"):
        assert notes[name]["source"] == [0, 0, 0]
        assert notes[name]["target"] == [0, 0]
        assert notes[name]["threads"] == (WEIGHTS >= 0.15).sum()
        assert notes[name]["readout"] == "Point at a word to see where it looked."


def test_the_keyboard_walks_and_shows(notes):
    assert notes["focus le"]["source"] == [0.7, 0.2, 0.1]
    assert notes["right"]["focus"] == "chat"
    assert notes["right"]["source"] == [0.25, 0.75, 0.0]
    assert notes["up"]["focus"] == "black"
    assert notes["up"]["target"] == [0.2, 0.75]
    assert notes["right again"]["focus"] == "cat"
    assert notes["right at the end"]["focus"] == "cat"
    assert notes["home"]["focus"] == "the"
    assert notes["escape"]["focus"] is None


def test_a_tap_holds_until_the_next(notes):
    assert notes["tap"]["target"] == notes["tap holds"]["target"] == [0.2, 0.75]


def test_left_means_onward_where_text_runs_to_the_left(notes):
    assert notes["left in Arabic"]["focus"] == "سوداء"


def test_the_theme_can_be_turned(notes):
    assert sorted(notes["theme"]) == ["dark", "light"]


def test_another_head_is_shown_in_the_words_and_in_the_table(notes):
    assert notes["another head"]["source"] == [0.7, 0.2, 0.1]
    assert notes["cell"] == "70"
    assert notes["choices"] == [False]
