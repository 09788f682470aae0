"""Writers of captions as two graphs, from vectors of regions or pixels: the same words, looking at the same regions.

Some of the attentions keep a state from word to word, over the regions or over the words so far.
"""

import functools

import pytest
import torch

from heedful.decoding import Constraints, Decoding, greedy
from heedful.export import export_onnx, export_torch, make_graphs
from heedful.tasks.build import build_captioner
from heedful.tasks.model_options import ModelOptions
from tests.export.small import SIZES, TRANSFORMER, Onnx, program, say, shake, tokenizer_pair
from tests.tolerances import assert_close

pytestmark = pytest.mark.compile

LIMITS = Constraints(max_length=9, max_ratio=None)
# a score and windows that remember
NEAR = {"name": "attention", "back": 1, "forward": 2}
LOOKS = {
    "decoder_self": {
        "score": "coverage",
        "window": {"name": "and", "windows": [NEAR, {"name": "sliding", "left": 3, "right": 0}]},
    },
    "cross": {"window": NEAR},
}
PICTURE = {"height": 8, "channels": [4, 5], "grey": True}
LINES = {"encoder": "convolutional", "picture": {**PICTURE, "width": None, "width_halvings": 1, "recurrent_layers": 1}}
ROWS = {
    "lines": ({**LINES, "attention": "location", "bidirectional": False}, 8, (3, 7, 40)),
    "pixels": ({"encoder": "convolutional", "picture": {**PICTURE, "width": 12}}, 8, (12,)),
    "regions": ({"encoder": "regions", "feature_dim": 5, "attention": "visual"}, 5, (1, 4, 9)),
    "windows": ({**TRANSFORMER, "encoder": "regions", "feature_dim": 5, "transformer": LOOKS}, 5, (1, 4, 9)),
}
# of the others torch alone: to write ONNX takes long
FORMS = [("lines", "onnx"), ("windows", "onnx"), *((name, "torch") for name in ROWS)]


@pytest.fixture(scope="module")
def cases():
    @functools.cache
    def case(name):
        torch.manual_seed(8)
        options = ModelOptions.model_validate({**SIZES, **ROWS[name][0]})
        model = shake(build_captioner(options, tokenizer_pair().target.vocab_size))
        return model, make_graphs(model)

    return case


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_it_says_the_same_and_looks_at_the_same(cases, name, form, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    model, graphs = cases(name)
    write, load = (export_onnx, Onnx) if form == "onnx" else (export_torch, program)
    folder = write(model, tokenizer_pair(), tmp_path / "out", LIMITS, graphs)
    encoder, step = (load(folder, graph) for graph in ("encoder", "step"))
    _, features, widths = ROWS[name]
    how, said = Decoding(beam=1, constraints=LIMITS, need_weights=True), []
    for width in widths:
        source, lengths = torch.randn(67, width, features), torch.full((67,), width)
        if name != "pixels":
            # behind them there may be anything
            lengths = torch.randint(1, width + 1, (67,)).index_fill(0, torch.tensor([3]), width)
        for some in (slice(0, 1), slice(0, 67)):
            tokens, looked = say(encoder, step, (source[some], lengths[some]), LIMITS.max_length)
            expected = greedy(model, source[some], lengths[some], how)
            assert tokens == [one.tokens for one in expected]
            for ours, theirs in zip(looked, expected, strict=True):
                assert_close(ours[: len(theirs.weights), : theirs.weights.shape[1]], theirs.weights.float())
        said += tokens
    assert len({*map(tuple, said)}) > 3
