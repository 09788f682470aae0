"""The weights of every layer and head of what is returned, by every method."""

import pytest
import torch

from heedful.data.vocabulary import BOS
from heedful.decoding import Constraints, Decoding, Ensemble, Sampling, decode
from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.transformer_options import TransformerOptions
from tests.models.tiny import model_of

from .toys import looks, pad

SENTENCES = [[4, 9, 7], [5], [6, 4, 4, 8, 10]]
LIMITS = Constraints(max_length=6)
METHODS = {
    "greedy": {"beam": 1},
    "beam": {"beam": 3, "nbest": 3},
    "diverse": {"beam": 4, "groups": 2, "nbest": 3},
    "sampling": {"sampling": Sampling(generator=torch.Generator().manual_seed(1)), "nbest": 2},
    "required": {"beam": 3, "nbest": 2, "constraints": Constraints(max_length=6, required=((7, 5),))},
}


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(3)
    blocks = TransformerOptions(heads=2, hidden_units=12)
    sizes = {"encoder_layers": 2, "decoder_layers": 3}
    options = ModelOptions(architecture="transformer", embedding_dim=8, transformer=blocks, **sizes)
    return build_model(options, 11, 13).double().eval()


@pytest.mark.parametrize("method", METHODS)
def test_they_are_those_of_teacher_forcing(method, transformer):
    how = Decoding(**{"constraints": LIMITS, "need_weights": "heads", **METHODS[method]})
    for ids, found in zip(SENTENCES, decode(transformer, *pad(SENTENCES, extra=2), how), strict=True):
        for one in found:
            (heads,) = one.heads
            assert heads.shape == (3, 2, len(one.tokens), len(ids))
            torch.testing.assert_close(heads.mean((0, 1)), looks(one), rtol=0, atol=1e-9)
            fed = torch.tensor([[BOS, *one.tokens[:-1]]])
            with torch.no_grad():
                forced, _, _ = transformer.align_heads(torch.tensor([ids]), torch.tensor([len(ids)]), fed)
            if one.tokens:
                torch.testing.assert_close(heads, forced[0], rtol=0, atol=1e-9)


def test_an_ensemble_has_those_of_each_model_and_nothing_is_kept_unasked(transformer):
    members = [model_of("luong"), transformer, model_of("plain")]
    both, source = Ensemble(members), pad([[4, 9, 7]])
    (one,) = decode(both, *source, Decoding(beam=1, constraints=LIMITS, need_weights="heads"))[0]
    assert [tuple(heads.shape) for heads in one.heads] == [
        (layers, n, len(one.tokens), 3) for layers, n in ((1, 1), (3, 2))
    ]
    mean = (one.heads[0].mean((0, 1)) + one.heads[1].mean((0, 1))) / 2
    torch.testing.assert_close(looks(one).double(), mean.double(), rtol=0, atol=1e-6)
    for need in (False, True):
        (plain,) = decode(both, *source, Decoding(beam=1, constraints=LIMITS, need_weights=need))[0]
        assert plain.heads == ()
        assert (plain.weights is not None) == need
        assert plain.tokens == one.tokens
