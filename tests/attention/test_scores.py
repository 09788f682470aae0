"""One row per score: how it is built, its formula for one query and one key. The facts of this folder run from it."""

import copy
import math

import pytest
import torch
from torch import Tensor

from heedful.attention import scores
from heedful.attention.scores import (
    AdditiveScore,
    ConcatScore,
    DotScore,
    GeneralScore,
    NormalizedAdditiveScore,
    ScaledDotScore,
    Score,
    SineScore,
)
from tests.attention import oracle
from tests.attention.rows import BATCH, KEYS, QUERIES, ScoreRow, built, exported, written
from tests.tolerances import assert_close


def dot(query, key, p):
    """Luong 2015, section 3.1: h_t . h_s"""
    return sum(q * k for q, k in zip(query, key, strict=True))


def general(query, key, p):
    """Luong 2015, section 3.1: h_t . W h_s"""
    return dot(query, p["weight"] @ key, p)


def concat(query, key, p):
    """Luong 2015, section 3.1: v . tanh(W [h_t; h_s])"""
    return p["energy"] @ torch.tanh(p["weight"] @ torch.cat((query, key)))


def additive(query, key, p):
    """Bahdanau 2015, appendix A.1.2: v . tanh(W s + U h)"""
    return p["energy"] @ torch.tanh(p["query_proj"] @ query + p["key_proj"] @ key)


def normalized_additive(query, key, p):
    """Salimans and Kingma 2016, equation 2, for the vector v of the additive score, with a bias."""
    hidden = p["additive.query_proj"] @ query + p["additive.key_proj"] @ key + p["additive.bias"]
    energy = p["additive.energy"]
    return p["gain"] / (energy**2).sum().sqrt() * (energy @ torch.tanh(hidden))


def sine(query, key, p):
    """sum over harmonics m of energy_m . sin(m (W query + U key) + b_m)"""
    hidden = p["query_proj"] @ query + p["key_proj"] @ key
    return sum(e @ torch.sin(m * hidden + b) for m, (e, b) in enumerate(zip(p["energy"], p["bias"], strict=True), 1))


SCORES = [
    ScoreRow(lambda: DotScore(4), dot),
    ScoreRow(lambda: ScaledDotScore(4), lambda query, key, p: dot(query, key, p) / math.sqrt(4)),
    ScoreRow(lambda: ScaledDotScore(4, scale=0.3), lambda query, key, p: 0.3 * dot(query, key, p), "scale"),
    ScoreRow(lambda: ScaledDotScore(4, learned=True), lambda query, key, p: p["scale"] * dot(query, key, p), "learned"),
    ScoreRow(lambda: GeneralScore(4, 6), general),
    ScoreRow(lambda: ConcatScore(4, 6, 11), concat),
    ScoreRow(lambda: AdditiveScore(4, 6, 11), additive),
    ScoreRow(
        lambda: AdditiveScore(4, 6, 11, bias=True, init="paper"),
        lambda query, key, p: p["energy"] @ torch.tanh(p["query_proj"] @ query + p["key_proj"] @ key + p["bias"]),
        "bias",
    ),
    ScoreRow(lambda: NormalizedAdditiveScore(4, 6, 11), normalized_additive),
    ScoreRow(lambda: SineScore(4, 6, 11), sine),
    ScoreRow(lambda: SineScore(4, 6, 11, harmonics=3), sine, "harmonics"),
]

each_score = pytest.mark.parametrize("row", SCORES, ids=str)


def randomised(score: Score) -> Score:
    """Every parameter random, so that none hides behind its start at 0."""
    for parameter in score.double().parameters():
        torch.nn.init.normal_(parameter)
    return score


def inputs(score: Score) -> tuple[Tensor, Tensor]:
    return (
        torch.randn(BATCH, QUERIES, score.query_dim, dtype=torch.float64, requires_grad=True),
        torch.randn(BATCH, KEYS, score.key_dim, dtype=torch.float64, requires_grad=True),
    )


def values(score: Score, query: Tensor, key: Tensor) -> Tensor:
    return score(query, score.remember(key))[0]


def test_every_score_has_a_row():
    # what depends on earlier weights has its loops in test_history.py
    missing = {name for name in exported(scores, Score) if not getattr(scores, name).stateful} - built(SCORES)
    assert not missing, f"no row in SCORES of {__file__}: {', '.join(sorted(missing))}"


def test_every_score_is_exported():
    missing = written(scores, Score) - exported(scores, Score)
    assert not missing, f"no line in heedful/attention/scores/__init__.py: {', '.join(sorted(missing))}"


@each_score
def test_scores_and_gradients_are_those_of_the_formula(row):
    score = randomised(row.build())
    query, key = inputs(score)
    parameters = dict(score.named_parameters())
    actual = values(score, query, key)
    expected = oracle.scores(row.formula, query, key, parameters)
    assert_close(actual, expected)

    upstream = torch.randn_like(expected)
    leaves = (query, key, *parameters.values())
    for ours, theirs in zip(
        torch.autograd.grad(actual, leaves, upstream), torch.autograd.grad(expected, leaves, upstream), strict=True
    ):
        assert_close(ours, theirs)


@each_score
def test_a_score_without_state_returns_the_state_it_was_given(row):
    score = row.build()
    query, key = (tensor.detach().float() for tensor in inputs(score))
    assert score.stateful or score(query, score.remember(key), "as it was")[1] == "as it was"


def test_the_general_score_of_the_identity_is_the_dot_score():
    general_score = GeneralScore(4, 4).double()
    torch.nn.init.eye_(general_score.weight)
    query, key = inputs(general_score)
    assert_close(values(general_score, query, key), values(DotScore(4), query, key))


def test_the_concat_score_is_the_additive_score_of_its_two_halves():
    concat_score, additive_score = randomised(ConcatScore(4, 6, 11)), AdditiveScore(4, 6, 11).double()
    query, key = inputs(concat_score)
    weight, energy = concat_score.get_parameter("weight"), concat_score.get_parameter("energy")
    additive_score.load_state_dict({"query_proj": weight[:, :4], "key_proj": weight[:, 4:], "energy": energy})
    assert_close(values(concat_score, query, key), values(additive_score, query, key))


def test_the_length_of_a_normalised_energy_means_nothing():
    score = NormalizedAdditiveScore(4, 6, 11).double()
    query, key = inputs(score)
    before = values(score, query, key)
    with torch.no_grad():
        score.additive.energy.mul_(3)
    assert_close(values(score, query, key), before)


def test_a_normalised_energy_is_the_energy_of_the_additive_score():
    normalized, plain = randomised(NormalizedAdditiveScore(4, 6, 11)), AdditiveScore(4, 6, 11, bias=True).double()
    assert isinstance(normalized, NormalizedAdditiveScore)
    plain.load_state_dict(normalized.additive.state_dict() | {"energy": normalized.normalized_energy().detach()})
    query, key = inputs(normalized)
    assert_close(values(normalized, query, key), values(plain, query, key))


def test_a_normalised_energy_of_zeros_stays_zeros_with_finite_gradients():
    score = NormalizedAdditiveScore(4, 6, 11).double()
    torch.nn.init.zeros_(score.additive.energy)
    query, key = inputs(score)
    actual = values(score, query, key)
    actual.sum().backward()
    assert not actual.any()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in score.parameters())


def test_the_start_of_the_paper_looks_everywhere_alike():
    score = AdditiveScore(400, 600, 110, bias=True, init="paper")
    assert not torch.cat((score.energy.detach(), score.get_parameter("bias").detach())).any()
    for matrix in (score.query_proj, score.key_proj):
        assert 0.0009 < matrix.std().item() < 0.0011


def test_the_start_of_the_library():
    score, normalized = AdditiveScore(400, 600, 110), NormalizedAdditiveScore(4, 6, 16)
    assert score.bias is None
    assert 0.9 < score.energy.std().item() * math.sqrt(110) < 1.1
    for matrix in (score.query_proj, score.key_proj, GeneralScore(110, 600).weight):
        bound = math.sqrt(6 / sum(matrix.shape))
        assert 0.95 * bound < matrix.abs().max().item() <= bound
    assert normalized.gain.item() == 0.25
    assert not normalized.additive.get_parameter("bias").any()
    assert ScaledDotScore(4, learned=True).get_parameter("scale").item() == 1
    assert ScaledDotScore(4, scale=0.5, learned=True).get_parameter("scale").item() == 0.5


def test_a_score_without_a_fused_path_says_so():
    class PlainScore(Score):
        """`scores[q, k] = 0`."""

        def forward(self, query, key, state=None):
            return query.new_zeros(query.shape[0], query.shape[1], key.shape[1]), state

    with pytest.raises(TypeError, match="PlainScore has no fused path; call it for scores, then normalise them"):
        PlainScore(2, 3).attend(torch.ones(1, 1, 2), torch.ones(1, 1, 3), torch.ones(1, 1, 3), None)


def test_a_sine_score_is_bounded_and_periodic():
    score = randomised(SineScore(4, 6, 11, harmonics=2))
    query, key = (tensor.detach() for tensor in inputs(score))
    actual = values(score, query, key)
    assert (actual.abs() <= score.energy.abs().sum()).all()
    assert (values(score, query * 1e3, key * -1e3).abs() <= score.energy.abs().sum()).all()
    with torch.no_grad():
        score.bias.add_(2 * math.pi)
    assert_close(values(score, query, key), actual)


def test_a_sine_score_says_an_even_part_and_a_frequency_without_options_for_them():
    score = randomised(SineScore(4, 6, 11))
    query, key = (tensor.detach() for tensor in inputs(score))
    hidden = (query @ score.query_proj.T)[:, :, None] + (key @ score.key_proj.T)[:, None]
    odd, even, frequency = torch.randn(3, 11, dtype=torch.float64)
    wanted = torch.sin(frequency * hidden) @ odd + torch.cos(frequency * hidden) @ even
    with torch.no_grad():
        score.query_proj.mul_(frequency[:, None])
        score.key_proj.mul_(frequency[:, None])
        score.energy.copy_(torch.hypot(odd, even))
        score.bias.copy_(torch.atan2(even, odd))
    assert_close(values(score, query, key), wanted)


@pytest.mark.parametrize("harmonics", [1, 3])
def test_the_error_of_a_sine_score_in_float32_is_some_millionths_of_the_energy(harmonics):
    score = SineScore(16, 16, 128, harmonics)
    query, key = torch.randn(2, 33, 16), torch.randn(2, 65, 16)
    exact = values(copy.deepcopy(score).double(), query.double(), key.double())
    error = (values(score, query, key) - exact).abs().max()
    assert error <= harmonics * 1e-6 * score.energy.abs().sum()


def test_the_start_of_a_sine_score():
    score = SineScore(400, 600, 110, harmonics=2, frequency=3.0)
    for matrix in (score.query_proj, score.key_proj):
        bound = 3 * math.sqrt(6 / sum(matrix.shape))
        assert 0.95 * bound < matrix.abs().max().item() <= bound
    first, second = score.energy.std(1) * math.sqrt(110)
    assert 0.8 < first < 1.2
    assert 0.4 < second < 0.6
    assert not score.bias.any()


@pytest.mark.messages
@pytest.mark.parametrize("frequency", [0, -1.0, math.inf, math.nan])
def test_a_frequency_that_is_not_positive_is_refused(frequency):
    with pytest.raises(ValueError, match=rf"frequency is {frequency}; expected a positive number"):
        SineScore(4, 6, 11, frequency=frequency)
