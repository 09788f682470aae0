"""Exported graphs say what heedful says, token by token, in the runtime they are for."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from heedful._errors import ExportError
from heedful.data.batching import pad
from heedful.decoding import Decoding, Penalties, beam_search
from heedful.export import export_onnx, export_torch, export_web, make_graphs, web_page
from heedful.export.web_runtime import find_runtime
from tests.export.browser import notes_of
from tests.export.small import (
    LIMITS,
    TEXTS,
    example,
    greedy_tokens,
    program,
    say,
    sentences,
    small_model,
    tokenizer_pair,
)
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

# a scan over the source and caches of the target in one model, since making graphs takes most of the time
ROWS = {"recurrent, then caches": {"encoder": "recurrent", "transformer": {}}}


@pytest.fixture(scope="module")
def pair():
    return tokenizer_pair()


@pytest.fixture(scope="module", params=ROWS)
def case(request, pair):
    model = small_model(pair, **ROWS[request.param])
    sources = sentences(pair)
    expected, looked = greedy_tokens(model, sources)
    assert len({tuple(said) for said in expected}) > 40
    assert len({len(said) for said in expected}) > 5
    return model, sources, expected, looked, make_graphs(model)


@pytest.fixture(scope="module")
def onnx_folder(case, pair, tmp_path_factory):
    pytest.importorskip("onnxscript")
    return export_onnx(case[0], pair, tmp_path_factory.mktemp("export") / "onnx", LIMITS, case[-1])


def test_onnxruntime_says_the_same_and_looks_at_the_same(case, pair, onnx_folder):
    pytest.importorskip("onnxruntime")
    model, sources, expected, looked, _ = case
    translator = example("onnx_translate").Translator(onnx_folder)
    said, weights = translator.decode(sources)
    assert said == expected
    for ours, theirs in zip(looked, weights, strict=True):
        if theirs:
            assert_close(torch.tensor(np.stack(theirs)), ours[: len(theirs)].float())
    # a batch of one, and a source of one token
    assert translator.decode([[9]])[0] == greedy_tokens(model, [[9]])[0]
    (text,), _ = translator.translate([TEXTS[0]])
    assert text == pair.target.decode(greedy_tokens(model, [pair.source.encode(TEXTS[0])])[0][0])


def test_a_browser_says_the_same_and_draws_it_live(case, pair, onnx_folder, tmp_path, monkeypatch):
    try:
        runtime = find_runtime(os.environ.get("HEEDFUL_ONNXRUNTIME_WEB"))
    except ExportError as error:
        pytest.skip(str(error))
    model, sources, expected, looked, graphs = case

    def write_graphs(folder, manifest, graphs):
        # those of the other export are the same, and take long to make
        about = json.loads((onnx_folder / "heedful.json").read_text(encoding="utf-8"))
        for name in ("encoder", "step"):
            manifest[name] = about[name]
            shutil.copy(onnx_folder / f"{name}.onnx", folder)

    monkeypatch.setattr(web_page, "write_graphs", write_graphs)
    how = Decoding(beam=4, constraints=LIMITS, penalties=Penalties(length=0.8), need_weights=True)
    folder = export_web(model, pair, tmp_path / "web", how, graphs, runtime)
    script = Path(__file__).with_name("web_check.js").read_text(encoding="utf-8")
    searches = [{"beam": 1, "length_penalty": 0}, {"beam": 4, "length_penalty": 0.8}]
    written = {one.name for one in folder.iterdir()}
    notes, seen = notes_of(folder, script, {"sources": sources, "searches": searches, "texts": TEXTS})
    greedy, beam = notes["found"]
    assert [one["tokens"] for one in greedy] == expected
    for ours, theirs in zip(looked, greedy, strict=True):
        assert_close(torch.tensor(theirs["looks"], dtype=torch.float32).reshape(ours.shape), ours.float())
    source, lengths = pad(sources)
    best = [found[0] for found in beam_search(model, source, lengths, how)]
    assert [(one["tokens"], one["finished"]) for one in beam] == [(one.tokens, one.finished) for one in best]
    texts = [pair.target.decode(greedy_tokens(model, [pair.source.encode(text)])[0][0]) for text in TEXTS]
    assert notes["texts"] == texts

    # the page: it begins with the beam of the export, draws word by word, and needs nothing that is not in the folder
    ids = pair.source.encode(TEXTS[-1])
    found = beam_search(model, torch.tensor([ids]), torch.tensor([len(ids)]), how)[0][0]
    assert found.weights is not None
    assert notes["status"].startswith("Translated in ")
    assert (notes["beam"], notes["said"]) == ("4", pair.target.decode(found.tokens))
    assert len(notes["counts"]) > 3
    assert_close(torch.tensor(notes["cells"], dtype=torch.float32), found.weights.float())
    assert_close(torch.tensor(notes["lit"], dtype=torch.float32), found.weights[1].float())
    assert " looked at " in notes["readout"]
    assert {path.strip("/") for path in seen} <= written | {"check.html", "asked.json", "notes", "favicon.ico"}


def test_torch_says_the_same(case, pair, tmp_path):
    model, sources, expected, _, graphs = case
    folder = export_torch(model, pair, tmp_path / "torch", LIMITS, graphs)
    encoder, step = (program(folder, name) for name in ("encoder", "step"))
    source, lengths = pad(sources)
    found, _ = say(encoder, step, (source, lengths), LIMITS.max_length)
    for one, said, ours in zip(sources, found, expected, strict=True):
        assert said[: LIMITS.max_lengths([len(one)])[0]] == ours
