"""The page to explore: what stands in it parses back to the model's weights, and stays small and self-contained."""

import base64
import json
import re

import numpy as np
import pytest

from heedful.visual.explorer import Explored, Looks, explorer_page, write_explorer

from .samples import hostile
from .test_html import Reader


def weights(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(shape[-1], 0.3), shape[:-1])


def looks(queries: int, keys: int, layers: int = 1, heads: int = 1, steps: int = 1) -> Looks:
    names = [f"word{number}" for number in range(max(queries, keys))]
    return Looks("the source", names[:queries], names[:keys], weights(steps, layers, heads, queries, keys))


def embedded(text: str) -> dict:
    ((_, data),) = Reader(text).find("script", id="heedful-data")
    return json.loads(data)


def test_softmax_of_what_stands_in_the_page_are_the_weights():
    one = looks(3, 5, layers=2, heads=2, steps=2)
    one.weights[0, 0, 0, 0] = [0.0, 2.0, 0.0, 2.0, 0.0]
    one.weights[0, 0, 0, 1] = 0
    data = embedded(explorer_page([Explored("in", "out", [one])], ["step 5", "now"]))
    (sentence,) = data["sentences"]
    assert (data["steps"], sentence["text"], sentence["answer"]) == (["step 5", "now"], "in", "out")
    for packed, expected in zip(sentence["looks"][0]["steps"], one.weights, strict=True):
        units = np.frombuffer(base64.b64decode(packed), "<u2").astype(int).reshape(expected.shape)
        exponents = np.where(units == data["never"], 0, np.exp(-units / data["fineness"]))
        total = exponents.sum(-1, keepdims=True)
        found = np.divide(exponents, total, out=np.zeros_like(exponents), where=total > 0)
        sums = expected.sum(-1, keepdims=True)
        wanted = np.divide(expected, sums, out=np.zeros_like(expected), where=sums > 0)
        # half a unit of 1/500, and the same again of the sum
        np.testing.assert_allclose(found, wanted, rtol=2.1e-3)


def test_five_sentences_of_forty_words_and_sixteen_heads_stay_below_two_megabytes():
    back = looks(40, 40, layers=4, heads=4)
    one = Explored("word " * 40, "mot " * 40, [back] * 3)
    assert len(explorer_page([one] * 5, ["now"]).encode()) < 2_000_000


def test_nothing_is_fetched_and_hostile_tokens_stay_text():
    alignment = hostile()
    one = Looks("</script><b>", alignment.target, alignment.source, alignment.weights[None, None, None])
    text = explorer_page([Explored("</script>", "<i>", [one])], ["<s>"], ["<odd>"], title="</title><script>$title")
    reader = Reader(text)
    assert not [tag for tag, attrs, _ in reader.elements if {"src", "href", "action"} & attrs.keys()]
    assert not re.findall(r"https?://|url\(|@import", text)
    assert len(reader.find("script")) == 2
    assert reader.find("h1")[0][1] == "</title><script>$title"
    assert embedded(text)["sentences"][0]["looks"][0]["name"] == "</script><b>"


def test_every_control_has_a_label():
    reader = Reader(explorer_page([Explored("in", "", [looks(2, 3)])], ["now"]))
    controls = [attrs["id"] for tag, attrs, _ in reader.elements if tag in ("select", "input")]
    outputs = [attrs.get("for") for attrs, _ in reader.find("output")]
    assert controls == ["sentence", "look", "layer", "head", "step", "temperature", "window", "width"]
    assert outputs == ["step", "temperature", "width", None]
    assert len(reader.find("label")) == len(controls)


def test_what_cannot_be_shown_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is nothing to explore; expected at least one sentence"):
        explorer_page([], ["now"])
    with pytest.raises(ValueError, match="weights of the source have 1 steps, but 2 are named"):
        write_explorer([Explored("in", "", [looks(2, 3)])], tmp_path / "page.html", ["step 1", "now"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"shape \(2, 3\); expected \[steps, layers, heads, 2, 3\]"):
        Looks("odd", ["a", "b"], ["x", "y", "z"], weights(2, 3))
    for wrong in (-0.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="weights of odd hold negative numbers, NaN or infinity"):
            Looks("odd", ["a"], ["x"], np.full((1, 1, 1, 1, 1), wrong))


def test_the_file_is_the_page(tmp_path):
    one = [Explored("in", "out", [looks(2, 3)])]
    path = write_explorer(one, tmp_path / "page.html", ["now"], title="Title")
    assert path.read_text(encoding="utf-8") == explorer_page(one, ["now"], title="Title")
