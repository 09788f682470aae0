"""Exported graphs say what heedful says, token by token, in the runtime they are for."""

import importlib.util
import json
import subprocess
import sys

import pytest
import torch

from heedful.data.vocabulary import EOS
from heedful.export import export_onnx, export_torch, make_graphs
from tests.export.small import LIMITS, greedy_tokens, sentences, small_model, tokenizer_pair
from tests.test_house import ROOT
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

ROWS = {
    "bahdanau": {},
    "input feeding": {"cell": "lstm", "encoder_layers": 2, "attention": "luong", "wiring": "luong_input_feeding"},
    "transformer": {"transformer": {}},
}


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
        assert_close(torch.tensor(theirs), ours[: len(theirs)].float())
    # one sentence, and one of one token
    assert translator.decode(sources[:1])[0] == expected[:1]
    assert translator.decode([[9]])[0] == greedy_tokens(model, [[9]])[0]


# a program that knows torch alone
RUNNER = """
import json, sys
sys.modules["heedful"] = None
import torch
folder, sources, most = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
encoder, step = (torch.export.load(f"{folder}/{name}.pt2").module() for name in ("encoder", "step"))
padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(source) for source in sources], batch_first=True)
with torch.no_grad():
    read = encoder(padded, torch.tensor([len(source) for source in sources]))
    tokens, state, said = torch.full((len(sources),), 2), read["state"], []
    for _ in range(most):
        output = step(tokens, state, read["memory"])
        output["logits"][:, [0, 2]] = -torch.inf
        tokens, state = output["logits"].argmax(1), output["state"]
        said.append(tokens)
json.dump(torch.stack(said, 1).tolist(), sys.stdout)
"""


def test_torch_says_the_same_without_heedful(case, pair, tmp_path):
    model, sources, expected, _, graphs = case
    folder = export_torch(model, pair, tmp_path / "torch", LIMITS, graphs)
    arguments = [str(folder), json.dumps(sources), str(LIMITS.max_length)]
    ran = subprocess.run([sys.executable, "-c", RUNNER, *arguments], capture_output=True, text=True, check=True)
    for source, said, ours in zip(sources, json.loads(ran.stdout), expected, strict=True):
        said = said[: LIMITS.max_lengths([len(source)])[0]]
        assert said[: said.index(EOS) if EOS in said else None] == ours
