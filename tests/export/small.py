"""Small models with fresh weights that say something else for every sentence, and sentences for them."""

import importlib.util

import pytest
import torch

from heedful.data.tokenizers import TokenizerPair
from heedful.data.vocabulary import BOS, EOS, PAD
from heedful.decoding import Constraints, Decoding, greedy
from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from tests.test_house import ROOT

SIZES = {"embedding_dim": 12, "encoder_units": 10, "decoder_units": 14, "attention_units": 9, "readout_units": 8}
TRANSFORMER = {"encoder": "transformer", "decoder": "transformer", "encoder_layers": 1, "decoder_layers": 1}
LIMITS = Constraints(max_length=17, max_ratio=1.5, max_extra=4)
TEXTS = ["the black cat sat on a mat", "where is the station?", "I don't know, it's late!"]


def tokenizer_pair(kind="bpe", vocab_size=41):
    return TokenizerPair.train(TEXTS, [text.upper() for text in TEXTS], kind=kind, vocab_size=vocab_size)


def small_model(pair, transformer=None, **options):
    """A model whose choices are clear: rounding does not change them, and sentences end at different lengths."""
    torch.manual_seed(5)
    if transformer is not None:
        options = {**TRANSFORMER, "transformer": {"heads": 2, "hidden_units": 16, **transformer}, **options}
    model = build_model(
        ModelOptions.model_validate({**SIZES, **options}), pair.source.vocab_size, pair.target.vocab_size
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3 if parameter.dim() > 1 else 1
        model.embedding.weight[0] = 0
        model.output.bias.normal_()
        model.output.bias[EOS] = 3
    return model.eval()


def sentences(pair, count=200, longest=11):
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(4, pair.source.vocab_size, (length,), generator=generator).tolist() for length in lengths]


def greedy_tokens(model, sources):
    """What heedful says, sentence by sentence of one batch, and what it looked at."""
    lengths = torch.tensor([len(source) for source in sources])
    padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(source) for source in sources], batch_first=True)
    found = greedy(model, padded, lengths, Decoding(beam=1, constraints=LIMITS, need_weights=True))
    return [one.tokens for one in found], [one.weights for one in found]


def shake(model):
    """The model with larger weights, none of them 0, in evaluation: it says something else of every input."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.7)
    return model.eval()


def example(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Onnx:
    """A graph of an export in onnxruntime, called and answering as its program in torch does."""

    def __init__(self, folder, name):
        runtime = pytest.importorskip("onnxruntime")
        self.session = runtime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])

    def __call__(self, *inputs):
        first, *trees = inputs
        names = [one.name for one in self.session.get_inputs()]
        given = dict(zip(names, inputs, strict=False))
        if trees and isinstance(trees[0], dict):
            given = {"tokens": first}
            for kind, tree in zip(("state", "memory"), trees, strict=True):
                given |= {f"{kind}.{name}": tensor for name, tensor in tree.items()}
        outputs = [one.name for one in self.session.get_outputs()]
        found = {"memory": {}, "state": {}}
        given = {name: tensor.numpy() for name, tensor in given.items()}
        for name, array in zip(outputs, self.session.run(outputs, given), strict=True):
            kind, _, rest = name.partition(".")
            place = found[kind.replace("next", "state")] if rest else found
            place[rest or name] = torch.from_numpy(array)
        return found


def program(folder, name):
    """A graph of an export in torch, where nothing of heedful is needed to run it."""
    loaded = torch.export.load(folder / f"{name}.pt2")
    assert "heedful" not in f"{loaded.call_spec}" + "".join(str(node.target) for node in loaded.graph.nodes)
    return loaded.module()


@torch.no_grad()
def say(first, step, inputs, longest, rest=()):
    """Greedy tokens of a batch, and what each of them looked at, `[batch, tokens, source]`, or None.

    The step is fed the rest of a prompt, tokens `[batch]` each, before it says anything.
    """
    output = first(*inputs)
    memory, tokens, said, looked = output["memory"], torch.full((len(inputs[0]),), BOS), [], []
    for known in rest:
        output = step(known, output["state"], memory)
    for _ in range(longest):
        # a prompt has given the first logits already
        output = output if said == [] and "logits" in output else step(tokens, output["state"], memory)
        logits = output["logits"].clone()
        logits[:, [PAD, BOS]] = -torch.inf
        tokens = logits.argmax(1)
        said.append(tokens)
        looked.append(output.get("alignment"))
    rows = torch.stack(said, 1).tolist()
    weights = None if looked[-1] is None else torch.stack(looked, 1)
    return [row[: row.index(EOS)] if EOS in row else row for row in rows], weights
