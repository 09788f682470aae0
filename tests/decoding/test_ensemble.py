"""Ensembles: the mean of distributions, over models of different kinds, in every search."""

from itertools import chain

import pytest
import torch

from heedful.data.vocabulary import BOS
from heedful.decoding import Constraints, Decoding, Ensemble, beam_search, greedy
from heedful.tasks.build import build_model
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.transformer_options import TransformerOptions
from tests.models.tiny import model_of

from .toys import Recurrent, Table, looks, pad

SENTENCES = [[4, 9, 7], [5], [6, 4, 4, 8, 10]]
LIMITS = Constraints(max_length=7)


@pytest.mark.parametrize("mean", ["probabilities", "log_probabilities"])
def test_tables_make_the_table_of_their_mean(mean):
    tables = torch.randn(2, 3, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probs = tables.softmax(-1)
    mixed = probs.mean(0).log() if mean == "probabilities" else (probs[0] * probs[1]).sqrt().log()
    both, source = Ensemble([Table(tables[0]), Table(tables[1])], mean), pad(SENTENCES)
    options = {"beam": 4, "nbest": 4, "constraints": LIMITS}
    for found, expected in zip(
        beam_search(both, *source, Decoding(**options)),
        beam_search(Table(mixed), *source, Decoding(**options)),
        strict=True,
    ):
        assert [one.tokens for one in found] == [one.tokens for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-9)


def test_a_model_with_itself_is_the_model_weights_included():
    model, source = Recurrent(vocabulary=9, seed=2), pad(SENTENCES)
    (alone, twice) = (
        beam_search(one, *source, Decoding(beam=3, nbest=3, constraints=LIMITS, need_weights=True))
        for one in (model, Ensemble([model, model]))
    )
    for one, other in zip(chain(*alone), chain(*twice), strict=True):
        assert one.tokens == other.tokens
        torch.testing.assert_close(looks(one), looks(other), rtol=0, atol=1e-9)


def test_a_recurrent_model_and_a_transformer_decode_together_as_their_mean():
    torch.manual_seed(3)
    transformer = ModelOptions(
        architecture="transformer", embedding_dim=8, transformer=TransformerOptions(heads=2, hidden_units=12)
    )
    models = [build_model(options, 11, 13).eval() for options in (ModelOptions(embedding_dim=6, units=5), transformer)]
    source = pad(SENTENCES)
    for best, ids in zip(
        beam_search(Ensemble(models), *source, Decoding(beam=2, constraints=LIMITS)), SENTENCES, strict=True
    ):
        fed = torch.tensor([[BOS, *best[0].tokens[:-1]]])
        one = torch.tensor([ids]), torch.tensor([len(ids)])
        with torch.no_grad():
            probs = torch.stack([model(*one, fed).log_softmax(-1).exp() for model in models]).mean(0)[0]
        expected = probs[range(len(best[0].tokens)), best[0].tokens].log()
        torch.testing.assert_close(torch.tensor(best[0].log_probs), expected, rtol=1e-4, atol=1e-5)


def test_members_of_a_search_are_in_evaluation_and_return_to_training():
    models, source = [model_of("luong", dropout=0.5), model_of("plain", dropout=0.5)], pad(SENTENCES)
    both = Ensemble(models)
    assert greedy(both, *source, Decoding(constraints=LIMITS)) == greedy(both, *source, Decoding(constraints=LIMITS))
    assert all(model.training for model in models)


def test_what_cannot_be_averaged_is_refused():
    with pytest.raises(ValueError, match="models is empty"):
        Ensemble([])
    with pytest.raises(ValueError, match="mean is 'median'"):
        Ensemble([Table(torch.zeros(1, 5, 5))], "median")
    with pytest.raises(ValueError, match=r"vocabularies have \[5, 6\] tokens"):
        greedy(Ensemble([Table(torch.zeros(1, 5, 5)), Table(torch.zeros(1, 6, 6))]), *pad([[4]]))
