"""The page: tokens in order, weights that parse back, nothing from outside, nothing a token could break."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings

from heedful.visual.alignment import Alignment, visible
from heedful.visual.html import page, to_json, write_json, write_page

from .samples import SOURCE, TARGET, example, hostile, one_hot, parts

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Collects elements as (tag, attributes, text), and checks that they are nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[int] = []
        self.feed(text)
        assert not self.open, "an element is never closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data):
        for place in self.open:
            self.elements[place][2].append(data)

    def find(self, tag: str, **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            (attrs, "".join(text))
            for found, attrs, text in self.elements
            if found == tag and all(attrs.get(name) == value for name, value in wanted.items())
        ]


def embedded(text: str) -> dict:
    ((_, data),) = Reader(text).find("script", id="heedful-data")
    return json.loads(data)


def words(text: str, side: str) -> list[str]:
    reader = Reader(text)
    buttons, texts = reader.find("button", class_="word"), reader.find("span", class_="text")
    return [shown for (attrs, _), (_, shown) in zip(buttons, texts, strict=True) if attrs["data-side"] == side]


def test_tokens_stand_in_order():
    text = page([example()])
    assert words(text, "source") == SOURCE
    assert words(text, "target") == TARGET


def test_weights_parse_back_from_the_page():
    alignments = [example(), one_hot([1, 0, 2], 5)]
    for sentence, alignment in zip(embedded(page(alignments))["sentences"], alignments, strict=True):
        assert sentence["source"] == alignment.source
        assert sentence["target"] == alignment.target
        np.testing.assert_allclose(sentence["weights"], alignment.weights, atol=5e-7)


def test_the_tables_hold_the_weights_for_readers_without_scripts():
    reader = Reader(page([example()]))
    assert [text for _, text in reader.find("th", scope="col")] == SOURCE
    assert [text for _, text in reader.find("th", scope="row")] == TARGET
    cells = reader.find("td")
    expected = example().weights.ravel()
    shades = [float((attrs["style"] or "").removeprefix("--weight:")) for attrs, _ in cells]
    np.testing.assert_allclose(shades, expected, atol=6e-4)
    assert [text for _, text in cells] == [f"{100 * weight:.0f}" if weight >= 0.01 else "" for weight in expected]


def test_every_sentence_has_its_place():
    reader = Reader(page([example("first"), one_hot([0], 2), example("third")]))
    assert [attrs["aria-label"] for attrs, _ in reader.find("article")] == ["sentence 1", "sentence 2", "sentence 3"]
    assert [text for _, text in reader.find("p", class_="caption")] == ["first", "third"]


def test_nothing_is_fetched_from_outside():
    text = page([hostile()])
    reader = Reader(text)
    assert not [tag for tag, attrs, _ in reader.elements if {"src", "href", "action", "data"} & attrs.keys()]
    ((_, style),) = reader.find("style")
    assert "url(" not in style
    assert "@import" not in style
    # one name of a namespace, which browsers never fetch
    assert re.findall(r"https?://[^\"'\s]+", text) == ["http://www.w3.org/2000/svg"]
    policy = next(attrs for tag, attrs, _ in reader.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_hostile_tokens_stay_text():
    alignment = hostile()
    text = page([alignment], title="</title><script>$title")
    reader = Reader(text)
    assert words(text, "source") == [visible(token) for token in alignment.source]
    assert len(reader.find("script")) == 2
    assert [shown for _, shown in reader.find("b")] == ["target", "source"]
    assert reader.find("h1")[0][1] == "</title><script>$title"
    assert reader.find("p", class_="caption")[0][1] == "<i>$caption$</i>"
    assert embedded(text)["sentences"][0]["source"] == alignment.source


@settings(max_examples=25)
@given(parts())
def test_any_tokens_come_back(sentence):
    alignment = Alignment(*sentence)
    text = page([alignment])
    assert words(text, "target") == [visible(token) for token in alignment.target]
    assert embedded(text)["sentences"][0]["target"] == alignment.target


def test_each_row_of_words_is_one_stop_of_the_tab_key():
    reader = Reader(page([example(), example()]))
    stops = [attrs["data-at"] for attrs, _ in reader.find("button", class_="word", tabindex="0")]
    assert stops == ["0"] * 4


def test_a_script_is_no_condition_for_reading():
    reader = Reader(page([example()]))
    assert "tables below each sentence hold all weights" in reader.find("noscript")[0][1]
    assert reader.find("button", id="theme")[0][0].get("hidden", "no") is None


def test_json_names_its_format_and_is_the_same_as_in_the_page(tmp_path):
    path = write_json([example("à bientôt")], tmp_path / "weights.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data == embedded(page([example("à bientôt")])) == json.loads(to_json([example("à bientôt")]))
    assert (data["format"], data["version"], data["sentences"][0]["caption"]) == ("heedful.alignments", 1, "à bientôt")


def test_the_file_is_the_page(tmp_path):
    path = write_page([example()], tmp_path / "page.html", title="Title")
    assert path.read_text(encoding="utf-8") == page([example()], "Title")


def test_no_alignments_are_refused(tmp_path):
    for write in (write_page, write_json):
        with pytest.raises(ValueError, match="there are no alignments; expected at least one"):
            write([], tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_heads_are_offered_by_name_and_in_the_numbers():
    one = Alignment(["a", "b"], ["x"], np.array([[0.5, 0.5]]), heads={"layer 1, <head> 2": np.array([[1.0, 0.0]])})
    text = page([one])
    assert "<option>all, mean</option><option>layer 1, &lt;head&gt; 2</option>" in text
    (sentence,) = json.loads(to_json([one]))["sentences"]
    assert sentence["heads"] == {"layer 1, <head> 2": [[1.0, 0.0]]}
    assert "<select" not in page([Alignment(["a"], ["x"], np.eye(1))])
    with pytest.raises(ValueError, match=r"weights of odd have shape \(1, 1\) but there are 1 target and 2 source"):
        Alignment(["a", "b"], ["x"], np.array([[0.5, 0.5]]), heads={"odd": np.eye(1)})


def test_a_page_of_forty_words_and_many_heads_stays_small():
    words = [f"word{number}" for number in range(40)]
    weights = np.random.default_rng(1).dirichlet(np.ones(40) / 4, 40)
    heads = {f"layer {layer}, head {head}": weights for layer in range(6) for head in range(9)}
    one = Alignment(words, words, weights, heads=heads)
    back = Alignment(words, words, np.tril(weights), heads={name: np.tril(weights) for name in heads})
    # the translation, the encoder's self-attention, the decoder's
    assert len(page([one, one, back]).encode()) < 2_000_000
