"""Small models with fresh weights that say something else for every sentence, and sentences for them."""

import importlib.util

import torch

from heedful.data.tokenizers import TokenizerPair
from heedful.data.vocabulary import EOS
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
