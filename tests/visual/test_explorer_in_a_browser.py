"""What the page to explore computes is PyTorch's softmax; it can be used by keyboard, on a phone, in both themes."""

import json
from html import escape

import numpy as np
import pytest
import torch

from heedful.visual.explorer import Explored, Looks, explorer_page
from tests.tolerances import assert_close

from .browser import notes_of

QUERIES, KEYS = ["le", "chat", "noir"], ["the", "black", "cat", "</s>", "."]
FINENESS = 500
RANDOM = np.random.default_rng(2)
# whole units, so that the page holds these very scores
CROSS = -np.round(FINENESS * RANDOM.exponential(3, (2, 2, 2, 3, 5))) / FINENESS
CROSS[..., 1] = 0
CROSS[1, 0, 1, 2, 3] = -np.inf
OWN = np.where(np.tri(4, dtype=bool), -np.round(FINENESS * RANDOM.exponential(1, (2, 1, 1, 4, 4))) / FINENESS, -np.inf)
OWN[..., 0] = 0
TWO = np.zeros((2, 1, 1, 1, 2))
SENTENCES = [
    Explored(
        "the black cat",
        "le chat noir",
        [Looks("the source", QUERIES, KEYS, np.exp(CROSS)), Looks("back", list("abcd"), list("wxyz"), np.exp(OWN))],
    ),
    Explored("on", "", [Looks("the source", ["sur"], ["on", "off"], np.exp(TWO))]),
]
# head 0 is the mean where there are several; temperature is where the slider stands
AS_IT_IS = {"sentence": 0, "look": 0, "layer": 0, "head": 0, "step": 1, "temperature": 0, "window": "none", "width": 1}
SETTINGS = [
    {},
    {"sentence": 1},
    {"layer": 1, "head": 2, "step": 0},
    {"layer": 0, "head": 2},
    {"head": 1, "temperature": -20},
    {"head": 1, "temperature": 20},
    {"head": 2, "temperature": 20},
    {"temperature": -7, "hidden": [1]},
    {"head": 1, "hidden": [0, 1, 2, 3, 4]},
    {"temperature": 5, "window": "diagonal", "width": 1},
    {"head": 2, "window": "largest", "width": 0, "hidden": [1, 4]},
    {"look": 1, "window": "diagonal", "width": 1, "temperature": 13, "hidden": [3]},
    {"look": 1, "step": 0},
]

SCRIPT = """
notes.errors = [];
addEventListener("error", (event) => notes.errors.push(event.message));
const set = (id, value) => {
  const control = document.getElementById(id);
  control.value = value;
  control.dispatchEvent(new Event("input", {bubbles: true}));
  control.dispatchEvent(new Event("change", {bubbles: true}));
};
const cells = () => [...document.querySelectorAll("#map tbody tr")].map((row) => [...row.querySelectorAll("td")]);
notes.shown = SETTINGS.map(({hidden, ...values}) => {
  for (const [id, value] of Object.entries(values)) set(id, value);
  document.querySelectorAll("#mask input").forEach((box, key) => { if (hidden.includes(key)) box.click(); });
  const shown = {
    weights: explorer.weights,
    texts: cells().map((row) => row.map((cell) => cell.textContent)),
    rows: [...document.querySelectorAll("#rows li")].map((row) => row.textContent.replace(/[\\u2068\\u2069]/g, "")),
    temperature: document.getElementById("temperature").getAttribute("aria-valuetext"),
    mask: document.querySelector("#mask output").textContent.replace(/[\\u2068\\u2069]/g, ""),
    moved: document.getElementById("moved").textContent,
  };
  document.getElementById("reset").click();
  return shown;
});
for (const [id, value] of Object.entries(SETTINGS[0])) if (id !== "hidden") set(id, value);
const key = (name, more = {}) =>
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: name, bubbles: true, ...more}));
const at = () => [document.activeElement.dataset.query, document.activeElement.dataset.key].map(Number);
const walk = [["ArrowRight"], ["ArrowDown"], ["End"], ["ArrowRight"], ["Home"], ["ArrowUp"], ["ArrowLeft"]];
cells()[0][0].focus();
walk.push(["End", {ctrlKey: true}], ["Home", {ctrlKey: true}]);
notes.walk = walk.map((step) => { key(...step); return at(); });
notes.readout = document.getElementById("readout").textContent.replace(/[\\u2068\\u2069]/g, "");
const over = (element) => element.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
over(document.querySelector("#map thead td"));
over(cells()[2][3]);
notes.pointed = document.getElementById("readout").textContent.replace(/[\\u2068\\u2069]/g, "");
set("head", 2);
set("sentence", 0);
notes.kept = document.getElementById("head").value;
notes.stops = document.querySelectorAll('#map [tabindex="0"]').length;
notes.heads = ["row", "col"].map((scope) => document.querySelectorAll(`#map th[scope="${scope}"]`).length);
const colors = () => Array.from({length: 21}, (_, i) => {
  const cell = cells()[0][0];
  cell.className = "";
  cell.style.setProperty("--weight", i / 20);
  const shade = getComputedStyle(cell, "::before");
  return [getComputedStyle(cell).color, getComputedStyle(cell).backgroundColor, shade.backgroundColor, shade.opacity];
});
notes.colors = colors();
document.getElementById("theme").click();
notes.colors.push(...colors());
"""


def filled(setting: dict) -> dict:
    return AS_IT_IS | {"hidden": []} | setting


def weighed(row: torch.Tensor, place: int, queries: int, setting: dict) -> torch.Tensor:
    """One row by PyTorch."""
    seen = row > -torch.inf
    seen[setting["hidden"]] = False
    if setting["window"] != "none":
        middle = round(place * (len(row) - 1) / max(1, queries - 1))
        if setting["window"] == "largest":
            middle = int(row.masked_fill(~seen, -torch.inf).argmax())
        seen &= (torch.arange(len(row)) - middle).abs() <= setting["width"]
    if not seen.any():
        return torch.zeros_like(row)
    scores = row.masked_fill(~seen, -torch.inf)
    if setting["temperature"] == -20:
        return (scores == scores.max()).double() / (scores == scores.max()).sum()
    temperature = 1e30 if setting["temperature"] == 20 else 10 ** (setting["temperature"] / 10)
    return torch.softmax((scores - scores.max()) / temperature, -1).masked_fill(~seen, 0)


def expected(setting: dict) -> torch.Tensor:
    scores = [[CROSS, OWN], [TWO]][setting["sentence"]][setting["look"]]
    heads = torch.from_numpy(scores[setting["step"], setting["layer"]]).double()
    if len(heads) > 1 and setting["head"]:
        heads = heads[setting["head"] - 1 : setting["head"]]
    rows = [[weighed(row, place, len(head), setting) for place, row in enumerate(head)] for head in heads]
    return torch.stack([torch.stack(head) for head in rows]).mean(0)


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    text = explorer_page(SENTENCES, ["step 100", "the model as it is"], ["SparsemaxNormalizer"])
    script = f"const SETTINGS = {json.dumps([filled(setting) for setting in SETTINGS])};{SCRIPT}"
    return notes_of(text, script, tmp_path_factory.mktemp("explorer"))


@pytest.mark.parametrize("number", range(len(SETTINGS)), ids=[str(setting) for setting in SETTINGS])
def test_what_the_page_computes_is_what_torch_computes(notes, number):
    wanted, shown = expected(filled(SETTINGS[number])), notes["shown"][number]
    found = torch.tensor(shown["weights"], dtype=torch.float64)
    assert_close(found, wanted)
    percents = torch.tensor([[int(text) for text in row] for row in shown["texts"]])
    assert (percents - 100 * wanted).abs().max() < 0.5 + 1e-6


def test_the_ends_of_the_temperature_and_a_mask_do_what_they_say(notes):
    one_hot, alike, alike_but_one = (torch.tensor(notes["shown"][place]["weights"]) for place in (4, 5, 6))
    assert one_hot.max(-1).values.eq(1).all()
    assert_close(alike, torch.full((3, 5), 0.2))
    # what the model hides stays hidden
    assert_close(alike_but_one[2], torch.tensor([0.25, 0.25, 0.25, 0, 0.25]))
    masked = torch.tensor(notes["shown"][7]["weights"])
    assert masked[:, 1].eq(0).all()
    assert_close(masked.sum(-1), torch.ones(3))
    assert [notes["shown"][place]["temperature"] for place in (0, 4, 5, 7)] == [
        "1, as the model",
        "0, the largest alone",
        "infinite, all alike",
        "0.2",
    ]
    assert [notes["shown"][place]["mask"] for place in (0, 10)] == ["nothing hidden", "“black”, “.” hidden"]


def test_rows_stand_in_words(notes):
    assert notes["shown"][4]["rows"][1] == "“chat” looks at “black” 100\u202f%"
    assert notes["shown"][8]["rows"] == [f"“{query}” looks at nothing" for query in QUERIES]
    moved = "\u202f% of the weight no longer lies where the model had it (mean of the rows)."
    assert [notes["shown"][place]["moved"] for place in (0, 8)] == [f"0{moved}", f"100{moved}"]


def test_the_arrow_keys_walk_in_the_map_which_is_one_stop_of_tab(notes):
    assert notes["walk"] == [[0, 1], [1, 1], [1, 4], [1, 4], [1, 0], [0, 0], [0, 0], [2, 4], [0, 0]]
    assert notes["stops"] == 1
    assert notes["heads"] == [3, 5]
    assert notes["readout"].startswith("“le” → “the” ")
    assert "“le” looks at “black”" in notes["readout"]


def test_pointing_tells_a_cell_and_nothing_fails(notes):
    assert notes["pointed"].startswith("“noir” → “</s>” ")
    assert notes["errors"] == []


def test_another_sentence_keeps_the_head(notes):
    assert notes["kept"] == "2"


def test_a_phone_shows_it_without_scrolling_to_the_side(tmp_path):
    words = [f"longer-word-{number}" for number in range(30)]
    one = Looks("what is looked at by words", words, words, np.full((1, 1, 1, 30, 30), 1 / 30))
    text = explorer_page([Explored(" ".join(words), " ".join(words), [one])], ["now"], title="unbroken" * 9)
    # a window has a least width; a frame has none
    frame = f'<iframe width="360" height="600" frameborder="0" srcdoc="{escape(text)}"></iframe>'
    script = """
const inside = document.querySelector("iframe").contentDocument;
for (const details of inside.querySelectorAll("details")) details.open = true;
const root = inside.documentElement;
notes.widths = [root.scrollWidth, root.clientWidth, inside.defaultView.innerWidth];
notes.map = inside.getElementById("map").offsetWidth;
"""
    notes = notes_of(f'<meta name="generator" content="heedful"><body>{frame}</body>', script, tmp_path)
    needed, there, frame_width = notes["widths"]
    assert needed == there <= frame_width == 360
    # which scrolls in its box
    assert notes["map"] > 360


def luminance(color: np.ndarray) -> float:
    part = color / 255
    return float(np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def test_numbers_are_readable_on_every_shade_in_both_themes(notes):
    for written, *below, opacity in notes["colors"]:
        ink, paper, shade = (np.array([float(n) for n in color[4:-1].split(",")]) for color in (written, *below))
        dark, light = sorted((luminance(ink), luminance(paper + float(opacity) * (shade - paper))))
        # WCAG 2.2, contrast (minimum)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
