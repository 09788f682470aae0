"""A language model as two graphs: a prompt is read in one call, and what follows it is what greedy search says."""

import functools

import pytest
import torch

from heedful.data.tokenizers import TokenizerPair
from heedful.data.vocabulary import BOS, EOS
from heedful.decoding import Constraints, Decoding, greedy
from heedful.export import export_onnx, export_torch, make_graphs
from heedful.tasks.build import build_language_model
from heedful.tasks.model_options import ModelOptions
from tests.export.small import SIZES, TEXTS, Onnx, program, say, shake

pytestmark = pytest.mark.compile

LIMITS = Constraints(max_length=9, max_ratio=None)
ROWS = {
    "recurrent": {"decoder": "recurrent", "attention": "bahdanau"},
    "coverage": {"decoder": "recurrent", "attention": "coverage"},
    "transformer": {"decoder": "transformer", "decoder_layers": 1, "transformer": {"heads": 2, "hidden_units": 16}},
}


# of the other torch alone: to write ONNX takes long, and its step is that of a translator
FORMS = [("recurrent", "onnx"), ("recurrent", "torch"), ("coverage", "torch"), ("transformer", "torch")]


@pytest.fixture(scope="module")
def cases():
    return functools.cache(make_case)


def make_case(name):
    torch.manual_seed(4)
    pair = TokenizerPair.train(TEXTS, TEXTS, vocab_size=40, joint=True)
    options = ModelOptions.model_validate({**SIZES, **ROWS[name]})
    model = shake(build_language_model(options, pair.target.vocab_size))
    with torch.no_grad():
        model.output.bias[EOS] = 2
    # from a text's beginning, after one token, and after more than the graphs were made with
    prompts = {length: torch.randint(4, pair.target.vocab_size, (count, length)) for length, count in COUNTS.items()}
    how = Decoding(beam=1, constraints=LIMITS)
    expected = {
        length: [one.tokens for one in greedy(model, some, torch.full((len(some),), length), how)]
        for length, some in prompts.items()
    }
    assert len({tuple(one) for some in expected.values() for one in some}) > 9
    assert len({len(one) for some in expected.values() for one in some}) > 2
    return model, pair, prompts, expected, make_graphs(model)


COUNTS = {0: 2, 1: 37, 2: 70, 5: 1, 13: 90}


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_it_goes_on_with_200_prompts_token_for_token(cases, name, form, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    model, pair, prompts, expected, graphs = cases(name)
    write, load = (export_onnx, Onnx) if form == "onnx" else (export_torch, program)
    folder = write(model, pair, tmp_path / "out", LIMITS, graphs)
    prompt, step = (load(folder, name) for name in ("prompt", "step"))
    for length, some in prompts.items():
        begun = torch.cat((torch.full((len(some), 1), BOS), some), 1)
        # looks that depend on looks are made one after the other
        read = 1 if name == "coverage" else length + 1
        said, _ = say(prompt, step, (begun[:, :read],), LIMITS.max_length, begun[:, read:].unbind(1))
        assert said == expected[length]
