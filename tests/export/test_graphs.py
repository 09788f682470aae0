"""Exported graphs say what heedful says, token by token, in the runtime they are for."""

import importlib.util

import numpy as np
import pytest
import torch

from heedful.data.batching import pad
from heedful.data.vocabulary import BOS, EOS, PAD
from heedful.export import export_onnx, export_torch, make_graphs
from tests.export.small import LIMITS, TEXTS, greedy_tokens, sentences, small_model, tokenizer_pair
from tests.test_house import ROOT
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
def example():
    spec = importlib.util.spec_from_file_location("onnx_translate", ROOT / "examples" / "onnx_translate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_onnxruntime_says_the_same_and_looks_at_the_same(case, pair, tmp_path, request):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    example = request.getfixturevalue("example")
    model, sources, expected, looked, graphs = case
    translator = example.Translator(export_onnx(model, pair, tmp_path / "onnx", LIMITS, graphs))
    said, weights = translator.decode(sources)
    assert said == expected
    for ours, theirs in zip(looked, weights, strict=True):
        if theirs:
            assert_close(torch.tensor(np.stack(theirs)), ours[: len(theirs)].float())
    # a batch of one, and a source of one token
    assert translator.decode([[9]])[0] == greedy_tokens(model, [[9]])[0]
    (text,), _ = translator.translate([TEXTS[0]])
    assert text == pair.target.decode(greedy_tokens(model, [pair.source.encode(TEXTS[0])])[0][0])


def test_torch_says_the_same(case, pair, tmp_path):
    model, sources, expected, _, graphs = case
    folder = export_torch(model, pair, tmp_path / "torch", LIMITS, graphs)
    programs = [torch.export.load(folder / f"{name}.pt2") for name in ("encoder", "step")]
    for program in programs:
        # no class of heedful has to be there, and no operator of its own
        assert "heedful" not in f"{program.call_spec}"
        assert "heedful" not in "".join(str(node.target) for node in program.graph.nodes)
    encoder, step = (program.module() for program in programs)
    source, lengths = pad(sources)
    with torch.no_grad():
        read = encoder(source, lengths)
        tokens, state, found = torch.full((len(sources),), BOS), read["state"], []
        for _ in range(LIMITS.max_length):
            output = step(tokens, state, read["memory"])
            output["logits"][:, [PAD, BOS]] = -torch.inf
            tokens, state = output["logits"].argmax(1), output["state"]
            found.append(tokens)
    for one, said, ours in zip(sources, torch.stack(found, 1).tolist(), expected, strict=True):
        said = said[: LIMITS.max_lengths([len(one)])[0]]
        assert said[: said.index(EOS) if EOS in said else None] == ours
