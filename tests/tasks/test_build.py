"""From a recipe's numbers to a model."""

import re
from typing import get_args

import pytest
import torch

from heedful._errors import RecipeError
from heedful.data.vocabulary import BOS
from heedful.decoding import Constraints, beam_search, greedy
from heedful.tasks.build import MECHANISMS, build_model
from heedful.tasks.recipe import ModelOptions, TransformerOptions
from tests.tolerances import assert_close

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


def test_a_recipe_knows_every_mechanism_by_name():
    names = get_args(ModelOptions.model_fields["attention"].annotation)
    assert sorted(names) == sorted(["bahdanau", "luong", "multi_head", "none", *MECHANISMS])


@pytest.mark.parametrize("name", [*MECHANISMS, "multi_head"])
@pytest.mark.parametrize("wiring", ["bahdanau", "luong", "luong_input_feeding", "look_between"])
def test_a_mechanism_learns_and_decodes_in_every_wiring(name, wiring):
    sizes = {"embedding_dim": 5, "units": 6, "decoder_layers": 2, "dropout": 0}
    options = ModelOptions(attention=name, wiring=wiring, transformer=TransformerOptions(heads=2), **sizes)
    assert options.score is None
    model = build_model(options, 11, 13)
    source, lengths, target = BATCH
    logits = model(source, lengths, target)
    logits.logsumexp(-1).sum().backward()
    slopes = [parameter.grad for parameter in model.decoder.attention.parameters()]
    assert all(each is None or each.isfinite().all() for each in slopes)
    assert any(each is not None and each.any() for each in slopes)
    # all hypotheses to their full length, with states that change places
    limits = Constraints(min_length=5, max_length=5)
    found = beam_search(model.eval(), source, lengths, beam=3, constraints=limits, need_weights=True)
    for best, length in zip(found, lengths.tolist(), strict=True):
        assert best[0].weights.shape == (5, length)
        forced = torch.tensor([[BOS, *best[0].tokens]])
        told = model(source[[found.index(best)]], torch.tensor([length]), forced).log_softmax(-1)
        said = told[0, :5].gather(1, forced[0, 1:, None]).squeeze(1)
        assert_close(torch.tensor(best[0].log_probs[:5]), said)


@pytest.mark.parametrize("name", ["monotonic", "stepwise"])
def test_a_model_that_only_looks_forward_takes_a_step_and_looks_only_forward(name):
    model = build_model(ModelOptions(attention=name, embedding_dim=5, units=6, dropout=0), 11, 13)
    offset = model.decoder.attention.score.offset
    before = offset.item()
    model(*BATCH).square().sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert offset.item() != before

    with torch.no_grad():
        offset.zero_()
    source, lengths, _ = BATCH
    found = greedy(model, source, lengths, Constraints(max_length=7), need_weights=True)
    for hypothesis in found:
        places = [row.argmax().item() for row in torch.as_tensor(hypothesis.weights) if row.any()]
        assert places == sorted(places)
    beams = beam_search(model, source, lengths, beam=1, constraints=Constraints(max_length=7))
    assert [beam[0].tokens for beam in beams] == [hypothesis.tokens for hypothesis in found]


TRANSFORMERS = [
    {},
    {"norm_first": False, "activation": "gelu", "norm": "rms"},
    {"positions": "rotary", "kv_heads": 1, "activation": "swiglu", "qk_norm": "rms"},
    {"positions": "learned", "normalizer": "entmax15", "self_window": 2},
    {"positions": "none", "qk_norm": "l2", "normalizer": "sigmoid"},
]


@pytest.mark.parametrize("changes", TRANSFORMERS, ids=lambda changes: "-".join(map(str, changes.values())) or "plain")
@pytest.mark.parametrize(
    "sides",
    [
        {"architecture": "transformer"},
        {"architecture": "transformer", "encoder": "recurrent"},
        {"encoder": "transformer"},
    ],
    ids=["both", "decoder", "encoder"],
)
def test_a_transformer_learns_and_decodes_from_a_recipe(sides, changes):
    own = TransformerOptions(heads=2, hidden_units=9, **changes)
    sizes = {"embedding_dim": 8, "units": 6, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0}
    model = build_model(ModelOptions(transformer=own, tie_embeddings=True, **sides, **sizes), 11, 13)
    source, lengths, target = BATCH
    model(source, lengths, target).logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    limits = Constraints(min_length=5, max_length=5)
    found = beam_search(model.eval(), source, lengths, beam=3, constraints=limits, need_weights=True)
    for place, length in enumerate(lengths.tolist()):
        best = found[place][0]
        assert best.weights is not None
        assert best.weights.shape == (5, length)
        forced = torch.tensor([[BOS, *best.tokens]])
        told = model(source[[place]], torch.tensor([length]), forced).log_softmax(-1)
        assert_close(torch.tensor(best.log_probs[:5]), told[0, :5].gather(1, forced[0, 1:, None]).squeeze(1))


@pytest.mark.messages
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "model.transformer.heads is 3, which does not divide model.embedding_dim, 8; set either so"),
        ({"heads": 4, "kv_heads": 3}, "model.transformer: num_kv_heads is 3, which does not divide num_heads, 4. Use"),
    ],
)
def test_heads_that_do_not_divide_are_refused(changes, message):
    options = ModelOptions(architecture="transformer", embedding_dim=8, transformer=TransformerOptions(**changes))
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}"):
        build_model(options, 11, 13)
