"""From a recipe's numbers to a model."""

import pytest
import torch

from heedful.attention.normalizers import MonotonicNormalizer
from heedful.decoding import beam_search, greedy
from heedful.tasks.build import build_model
from heedful.tasks.recipe import ModelOptions

BATCH = torch.tensor([[4, 5, 6], [7, 8, 0]]), torch.tensor([3, 2]), torch.tensor([[2, 4], [2, 5]])


@pytest.mark.parametrize("wiring", ["bahdanau", "luong", "luong_input_feeding", "look_between"])
def test_a_decoder_step_gives_readout_units_to_the_output_layer(wiring):
    options = ModelOptions(wiring=wiring, embedding_dim=5, units=6, decoder_layers=2, readout_units=7)
    model = build_model(options, 11, 13)
    assert model.decoder.output_dim == 7
    assert model.output.weight.shape == (13, 7)
    assert model(*BATCH).shape == (2, 2, 13)


def test_without_attention_too_and_by_default_they_are_those_of_a_token():
    for given, expected in (({"readout_units": 7}, 7), ({}, 5)):
        options = ModelOptions(attention="none", embedding_dim=5, units=6, **given)
        assert build_model(options, 11, 13).decoder.output_dim == expected


def test_a_tied_output_layer_projects_readout_units_to_those_of_a_token():
    model = build_model(ModelOptions(embedding_dim=5, units=6, readout_units=7, tie_embeddings=True), 11, 13)
    assert model.output.project.weight.shape == (5, 7)
    assert model(*BATCH).shape == (2, 2, 13)


@pytest.mark.parametrize("wiring", ["bahdanau", "luong", "luong_input_feeding", "look_between"])
def test_a_model_that_only_looks_forward_learns_and_translates(wiring):
    options = ModelOptions(
        attention="monotonic", wiring=wiring, embedding_dim=5, units=6, decoder_layers=2, dropout=0.0
    )
    model = build_model(options, 11, 13)
    assert isinstance(model.decoder.attention.normalizer, MonotonicNormalizer)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.decoder.attention.score.offset.item()
    model(*BATCH).square().sum().backward()
    optimizer.step()
    assert model.decoder.attention.score.offset.item() != before
    assert all(parameter.isfinite().all() for parameter in model.parameters())

    with torch.no_grad():
        model.decoder.attention.score.offset.fill_(0.0)
    source, lengths, _ = BATCH
    for hypothesis in greedy(model, source, lengths, need_weights=True):
        places = [row.argmax() for row in torch.as_tensor(hypothesis.weights) if row.any()]
        assert places == sorted(places)
    one = [found[0].tokens for found in beam_search(model, source, lengths, beam=1)]
    assert one == [found.tokens for found in greedy(model, source, lengths)]
    assert all(len(found) == 3 for found in beam_search(model, source, lengths, beam=3, nbest=3))
