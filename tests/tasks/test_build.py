"""From a recipe's numbers to a model."""

import inspect
import re
from typing import Any, get_args

import pytest
import torch

from heedful._errors import RecipeError
from heedful.attention import NormedBahdanauAttention, ScaledLuongAttention, normalizers, scores, windows
from heedful.attention.catalogue import catalogue
from heedful.attention.scores import PerHeadScore
from heedful.data.vocabulary import BOS
from heedful.decoding import Constraints, Decoding, beam_search, greedy
from heedful.functional import align_left
from heedful.tasks import build
from heedful.tasks.build import HEADED, MECHANISMS, build_model
from heedful.tasks.model_options import ModelOptions
from heedful.tasks.parts import part_names
from heedful.tasks.rebuild import unique_state
from heedful.tasks.transformer_options import PlaceOptions, TransformerOptions
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
    assert sorted(names) == sorted(["bahdanau", "luong", "none", *MECHANISMS, *HEADED])


# of the catalogue: what a decoder of a recipe does not look at a source with, and why
ELSEWHERE = {
    "ChorowskiAttention": "location, which reads the sum of the weights as well",
    "DistanceAttention": "queries and keys of one size, under one projection",
    "TransformerXLAttention": "model.transformer.positions",
    **dict.fromkeys(["DynamicConvolution", "LightConvolution", "SlidingAttention"], "a sequence looks at itself"),
    **dict.fromkeys(["SelfAttention", "AverageAttention", "RetentionAttention"], "a sequence looks at itself"),
    **dict.fromkeys(["LinearAttention", "LinformerAttention", "DeltaRuleAttention"], "a step gives no weights"),
    **dict.fromkeys(["NystromAttention", "PerformerAttention"], "a step gives no weights"),
}


def test_every_mechanism_of_the_catalogue_has_a_name_or_a_reason():
    named = set(re.findall(r"\b[A-Z]\w+", inspect.getsource(build)))
    assert {entry.name for entry in catalogue() if entry.kind == "mechanism"} - named == ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("score", "expected"), [("normalized_additive", NormedBahdanauAttention), ("scaled_general", ScaledLuongAttention)]
)
def test_scores_of_tensorflow_have_names(score, expected):
    sizes = {"decoder_units": 7, "attention_units": 5, "encoder_units": 4}
    model = build_model(ModelOptions(attention="luong", score=score, **sizes), 11, 13)
    shapes = [value.shape for value in expected(7, 8, *([5] if score == "normalized_additive" else [])).parameters()]
    assert [value.shape for value in model.decoder.attention.parameters()] == shapes
    assert model(*BATCH).shape == (2, 2, 13)


@pytest.mark.parametrize("name", [*MECHANISMS, *HEADED])
@pytest.mark.parametrize("wiring", ["bahdanau", "luong", "luong_input_feeding", "look_between"])
def test_a_mechanism_learns_and_decodes_in_every_wiring(name, wiring):
    sizes = {"embedding_dim": 5, "units": 8, "decoder_layers": 2, "dropout": 0}
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
    found = beam_search(model.eval(), source, lengths, Decoding(beam=3, constraints=limits, need_weights=True))
    for best, length in zip(found, lengths.tolist(), strict=True):
        assert best[0].weights.shape == (5, length)
        forced = torch.tensor([[BOS, *best[0].tokens]])
        told = model(source[[found.index(best)]], torch.tensor([length]), forced).log_softmax(-1)
        said = told[0, :5].gather(1, forced[0, 1:, None]).squeeze(1)
        assert_close(torch.tensor(best[0].log_probs[:5]), said)


def test_weights_below_nothing_count_as_nothing_where_they_are_shown():
    options = ModelOptions(attention="talking_heads", units=8, transformer=TransformerOptions(heads=2))
    model = build_model(options, 11, 13).eval()
    shown, _, _ = model.align_heads(*BATCH)
    with torch.no_grad():
        model.get_parameter("decoder.attention.attention.normalizer.mix_after")[0].mul_(-1)
    heads, _, _ = model.align_heads(*BATCH)
    mean = model.align(*BATCH)
    assert shown is not None
    assert heads is not None
    assert mean is not None
    assert not heads[:, :, 0].any()
    assert_close(heads[:, :, 1], shown[:, :, 1])
    assert_close(mean, shown[:, 0, 1] / 2)


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
    found = greedy(model, source, lengths, Decoding(need_weights=True, constraints=Constraints(max_length=7)))
    for hypothesis in found:
        places = [row.argmax().item() for row in torch.as_tensor(hypothesis.weights) if row.any()]
        assert places == sorted(places)
    beams = beam_search(model, source, lengths, Decoding(beam=1, constraints=Constraints(max_length=7)))
    assert [beam[0].tokens for beam in beams] == [hypothesis.tokens for hypothesis in found]


TRANSFORMERS = [
    {},
    {"norm_first": False, "activation": "gelu", "norm": "rms"},
    {"positions": "rotary", "kv_heads": 1, "activation": "swiglu", "qk_norm": "rms"},
    {"positions": "learned", "normalizer": "entmax15"},
    {"positions": "none", "qk_norm": "l2", "normalizer": "sigmoid"},
    {"positions": "alibi", "decoder_self": {"window": {"name": "sliding", "left": 1, "right": 1}}},
    {"positions": "t5", "encoder_self": {"window": "local_predictive"}, "normalizer": {"name": "top_k", "k": 2}},
    {"positions": "shaw", "cross": {"score": {"name": "sine", "hidden_dim": 3}, "normalizer": "sparsemax"}},
    {"positions": "transformer_xl", "decoder_self": {"window": {"name": "block", "size": 2}}},
    {
        "encoder_self": {"score": {"name": "softcap", "score": "dot", "cap": 2.0}, "window": "alibi_bias"},
        "decoder_self": {"score": "coverage", "window": {"name": "relative_bias", "reach": 3}},
        "cross": {"window": {"name": "or", "windows": [{"name": "wait_k", "wait": 1}, {"name": "block", "size": 1}]}},
    },
]


@pytest.mark.parametrize("changes", TRANSFORMERS, ids=str)
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
    found = beam_search(model.eval(), source, lengths, Decoding(beam=3, constraints=limits, need_weights=True))
    for place, length in enumerate(lengths.tolist()):
        best = found[place][0]
        assert best.weights is not None
        assert best.weights.shape == (5, length)
        forced = torch.tensor([[BOS, *best.tokens]])
        told = model(source[[place]], torch.tensor([length]), forced).log_softmax(-1)
        assert_close(torch.tensor(best.log_probs[:5]), told[0, :5].gather(1, forced[0, 1:, None]).squeeze(1))


@pytest.mark.parametrize("positions", get_args(TransformerOptions.model_fields["positions"].annotation))
def test_padding_on_either_side_changes_nothing(positions):
    own = TransformerOptions(heads=2, hidden_units=9, positions=positions)
    options = ModelOptions(architecture="transformer", embedding_dim=8, dropout=0, transformer=own)
    model = build_model(options, 11, 13).double().eval()
    source, lengths, target = BATCH
    expected = model(source, lengths, target)
    # behind: junk; before: what is moved to the front
    assert_close(model(torch.cat((source, torch.full((2, 4), 9)), 1), lengths, target), expected)
    left = torch.tensor([[9, 4, 5, 6], [9, 3, 7, 8]])
    real = torch.tensor([[False, True, True, True], [False, False, True, True]])
    assert_close(model(*align_left(left, real), target), expected)
    assert_close(model(source[1:, :2], lengths[1:], target[1:]), expected[1:])


def test_the_decoder_of_tensorflows_tutorial_learns_and_decodes_from_a_recipe():
    sizes = {"embedding_dim": 5, "units": 6, "merge": "sum", "dropout": 0}
    own = TransformerOptions(heads=1)
    options = ModelOptions(attention="multi_head", wiring="add_norm", transformer=own, **sizes)
    model = build_model(options, 11, 13).eval()
    source, lengths, _ = BATCH
    for found, row, length in zip(
        greedy(model, source, lengths, Decoding(constraints=Constraints(4, 4))), source, lengths, strict=True
    ):
        forced = torch.tensor([[BOS, *found.tokens]])
        told = model(row[None], length[None], forced).log_softmax(-1)[0, :4].gather(1, forced[0, 1:, None])
        assert_close(torch.tensor(found.log_probs), told.squeeze(1))
    with pytest.raises(RecipeError, match="'add_norm' adds contexts to states: attention's context_dim is"):
        build_model(ModelOptions(wiring="add_norm", units=6), 11, 13)


def test_a_window_of_the_recipe_stands_in_its_place_alone_and_hides_no_less_than_the_future():
    near = {"window": {"name": "sliding", "left": 1, "right": 2}}
    for place in ("encoder_self", "decoder_self", "cross"):
        own = TransformerOptions(heads=2, **{place: PlaceOptions(**near)})
        model = build_model(ModelOptions(architecture="transformer", embedding_dim=8, transformer=own), 11, 13)
        sides: list[Any] = [model.encoder, model.decoder]
        first, layer = (side.stack.layers[0] for side in sides)
        attentions = first.self_attention, layer.self_attention, layer.attention
        found = [[type(part).__name__ for part in attention.modules()] for attention in attentions]
        assert ["SlidingWindow" in names for names in found] == [
            each == place for each in ("encoder_self", "decoder_self", "cross")
        ]
        assert "CausalWindow" in found[1]


def test_the_table_of_t5_is_one_for_all_layers_and_is_saved_once():
    own = TransformerOptions(heads=2, positions="t5")
    sizes = {"embedding_dim": 8, "encoder_layers": 3, "decoder_layers": 2}
    model = build_model(ModelOptions(architecture="transformer", transformer=own, **sizes), 11, 13)
    tables = [name for name in unique_state(model) if "window" in name]
    assert [name.split(".")[0] for name in tables] == ["encoder", "decoder"]


def test_every_part_of_the_catalogue_has_a_name_in_a_recipe():
    for package, count in ((scores, "Score"), (windows, "Window"), (normalizers, "Normalizer")):
        named = {part.__name__ for part in part_names(package).values()}
        assert named == {entry.name for entry in catalogue() if entry.kind == count.lower()}


def test_heads_have_scores_of_their_own_from_a_recipe():
    parts = {"score": {"name": "per_head", "scores": ["scaled_dot", {"name": "scaled_dot", "scale": 0.5}]}}
    own = TransformerOptions(heads=2, cross=parts)
    model = build_model(ModelOptions(architecture="transformer", embedding_dim=8, transformer=own), 11, 13)
    (found,) = (part for part in model.modules() if isinstance(part, PerHeadScore))
    assert [score.query_dim for score in found.scores] == [4, 4]


@pytest.mark.messages
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cross": {"window": {"name": "sliding", "left": -1, "right": 1}}}, ".cross.window: left is -1; expected"),
        (
            {"cross": {"normalizer": {"name": "softmax_one", "learned": True, "heads": 4}}},
            ".cross: SoftmaxOneNorm",
        ),
        ({"cross": {"window": {"name": "sliding", "left": 1}}}, ".cross.window: SlidingWindow.__init__() missing 1"),
        ({"encoder_self": {"normalizer": {"name": "softmax", "temperature": "hot"}}}, ".encoder_self.normalizer: temp"),
        (
            {"decoder_self": {"window": "local_predictive"}},
            ".decoder_self.window is 'local_predictive', which places queries over a source of known length; expected",
        ),
        (
            {"cross": {"window": "local_predictive", "normalizer": "hardmax"}},
            ".cross: LocalPredictiveWindow multiplies the weights, but HardmaxNormalizer chooses",
        ),
        ({"positions": "transformer_xl", "encoder_self": {"score": {"name": "location", "max_keys": 0}}}, ".encoder_"),
    ],
)
def test_parts_that_do_not_compose_are_refused_with_their_own_reason(changes, message):
    own = TransformerOptions(heads=2, **changes)
    with pytest.raises(RecipeError, match=f"^{re.escape('model.transformer' + message)}"):
        build_model(ModelOptions(architecture="transformer", embedding_dim=8, transformer=own), 11, 13)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("slding", "it is 'slding'; expected one of adaptive_span, alibi_bias, and, attention, block"),
        ({"name": "sliding", "before": 4}, "'sliding' has no 'before'; expected left, right"),
        ({"name": "causal", "left": 4}, "'causal' has no 'left'; it takes nothing but its name"),
        (5, "it is 5; expected a name, or a mapping with a name and arguments"),
        ({"left": 4}, "Field required"),
    ],
)
def test_a_part_that_there_is_not_is_refused_before_anything_is_built(part, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TransformerOptions(encoder_self={"window": part})


@pytest.mark.messages
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 3}, "model.transformer.heads is 3, which does not divide model.embedding_dim, 8; set either so"),
        (
            {"heads": 4, "kv_heads": 3},
            "model.transformer.encoder_self: num_kv_heads is 3, which does not divide",
        ),
    ],
)
def test_heads_that_do_not_divide_are_refused(changes, message):
    options = ModelOptions(architecture="transformer", embedding_dim=8, transformer=TransformerOptions(**changes))
    with pytest.raises(RecipeError, match=f"^{re.escape(message)}"):
        build_model(options, 11, 13)
