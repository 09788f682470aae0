"""One row per score: how it is built, its formula for one query and one key. The facts of this folder run from it."""

import copy
import math

import pytest
import torch
from torch import Tensor

from heedful.attention import Attention
from heedful.attention import scores as package
from heedful.attention.normalizers import (
    AlphaEntmaxNormalizer,
    MonotonicNormalizer,
    SoftmaxNormalizer,
    SoftmaxOneNormalizer,
    StepwiseNormalizer,
)
from heedful.attention.scores import (
    AdditiveScore,
    BiaffineScore,
    BilinearScore,
    ConcatScore,
    ContentBiasScore,
    CosineScore,
    CoverageScore,
    DistanceScore,
    DotScore,
    DynamicConvolutionScore,
    GatedAdditiveScore,
    GaussianMixtureScore,
    GeneralScore,
    LinearScore,
    LocationScore,
    LocationSensitiveScore,
    NormalizedAdditiveScore,
    PerHeadScore,
    RbfScore,
    ScaledDotScore,
    Score,
    SineScore,
    SoftcapScore,
    TrilinearScore,
)
from heedful.attention.scores.cosine import unit
from heedful.attention.windows import BucketedRelativeBias, LocalPredictiveWindow, RelativeBias
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


def bilinear(query, key, p):
    """AllenNLP: query . W key + b"""
    return query @ p["weight"] @ key + p["bias"]


def biaffine(query, key, p):
    """Dozat and Manning 2017: [h; 1] . U [h; 1], written as its four blocks"""
    return query @ p["weight"] @ key + p["query_weight"] @ query + p["key_weight"] @ key + p["bias"]


def cosine(query, key, p):
    """Graves 2014, section 3.3.1: u . v / (||u|| ||v||)"""
    return dot(query, key, p) / ((query**2).sum().sqrt() * (key**2).sum().sqrt())


def key_strength(query, key, p):
    """Graves 2014, section 3.3.1: beta = log(1 + exp(w . u + b)), times the cosine; with an offset."""
    beta = torch.log(1 + torch.exp(p["strength_weight"] @ query + p["strength_bias"]))
    return beta * cosine(query, key, p) + p["offset"]


def every_feature(query, key, p):
    """AllenNLP: w . [x - y; x; x * y; y; x + y] + b"""
    return p["weight"] @ torch.cat((query - key, query, query * key, key, query + key)) + p["bias"]


def gated_additive(query, key, p):
    """Ilse 2018, section 2.4, with a query in both layers"""
    layer = torch.tanh(p["key_proj"] @ key + p["query_proj"] @ query + p["proj_bias"])
    gate = 1 / (1 + torch.exp(-(p["key_gate"] @ key + p["query_gate"] @ query + p["gate_bias"])))
    return p["energy"] @ (layer * gate)


SCORES = [
    ScoreRow(lambda: DotScore(4), dot),
    ScoreRow(lambda: ScaledDotScore(4), lambda query, key, p: dot(query, key, p) / math.sqrt(4)),
    ScoreRow(lambda: ContentBiasScore(4), lambda query, key, p: dot(query + p["bias"], key, p) / math.sqrt(4)),
    ScoreRow(lambda: ScaledDotScore(4, scale=0.3), lambda query, key, p: 0.3 * dot(query, key, p), "scale"),
    ScoreRow(lambda: ScaledDotScore(4, learned=True), lambda query, key, p: p["scale"] * dot(query, key, p), "learned"),
    ScoreRow(
        lambda: ScaledDotScore(4, offset=-1.0),
        lambda query, key, p: dot(query, key, p) / math.sqrt(4) + p["offset"],
        "offset",
    ),
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
    ScoreRow(lambda: BilinearScore(4, 6), bilinear),
    ScoreRow(
        lambda: BilinearScore(4, 6, torch.tanh), lambda query, key, p: torch.tanh(bilinear(query, key, p)), "tanh"
    ),
    ScoreRow(lambda: BiaffineScore(4, 6), biaffine),
    ScoreRow(
        lambda: BiaffineScore(4, 6, query_term=False, bias=False),
        lambda query, key, p: query @ p["weight"] @ key + p["key_weight"] @ key,
        "arcs",
    ),
    # Luong 2015, equation 8: W h, whose part k is for word k
    ScoreRow(lambda: LocationScore(4, 6, 13), lambda query, key, p, place: p["weight"][place] @ query, positional=True),
    ScoreRow(lambda: CosineScore(4, start=3.0), lambda query, key, p: 3 * cosine(query, key, p)),
    ScoreRow(lambda: CosineScore(4, "learned"), lambda query, key, p: p["beta"] * cosine(query, key, p), "learned"),
    ScoreRow(lambda: CosineScore(4, "query", offset=-1.0), key_strength, "query"),
    ScoreRow(lambda: LinearScore(4, 6), lambda query, key, p: p["weight"] @ torch.cat((query, key)) + p["bias"]),
    ScoreRow(
        lambda: LinearScore(4, 4, ("difference", "query", "product", "key", "sum")), every_feature, "every feature"
    ),
    # Seo 2017, equation 1
    ScoreRow(
        lambda: TrilinearScore(4), lambda query, key, p: p["linear.weight"] @ torch.cat((query, key, query * key))
    ),
    ScoreRow(lambda: DistanceScore(4), lambda query, key, p: -((query - key) ** 2).sum() / (2 * math.sqrt(4))),
    ScoreRow(
        lambda: DistanceScore(4, 0.1, learned=True),
        lambda query, key, p: -torch.exp(p["log_gamma"]) * ((query - key) ** 2).sum(),
        "learned",
    ),
    ScoreRow(lambda: GatedAdditiveScore(4, 6, 11), gated_additive),
    ScoreRow(
        lambda: SoftcapScore(ScaledDotScore(4), 1.5),
        lambda query, key, p: 1.5 * torch.tanh(dot(query, key, p) / math.sqrt(4) / 1.5),
    ),
    # several heads stand in test_multi_head.py
    ScoreRow(
        lambda: PerHeadScore([AdditiveScore(4, 6, 11)]),
        lambda query, key, p: additive(query, key, {name.removeprefix("scores.0."): each for name, each in p.items()}),
    ),
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
    # or gives two scores of a key, in test_monotonic.py
    plain = {name for name in exported(package, Score) if not getattr(package, name).stateful}
    missing = {name for name in plain if getattr(package, name).energies == 1} - built(SCORES)
    assert not missing, f"no row in SCORES of {__file__}: {', '.join(sorted(missing))}"


def test_every_score_is_exported():
    missing = written(package, Score) - exported(package, Score)
    assert not missing, f"no line in heedful/attention/scores/__init__.py: {', '.join(sorted(missing))}"


@each_score
def test_scores_and_gradients_are_those_of_the_formula(row):
    score = randomised(row.build())
    query, key = inputs(score)
    parameters = dict(score.named_parameters())
    actual = values(score, query, key)
    expected = oracle.scores(row.formula, query, key, parameters, row.positional)
    assert_close(actual, expected)

    upstream = torch.randn_like(expected)
    leaves = (query, key, *parameters.values())
    slopes = (torch.autograd.grad(each, leaves, upstream, materialize_grads=True) for each in (actual, expected))
    for ours, theirs in zip(*slopes, strict=True):
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


@pytest.mark.parametrize("size", [3, 1e-3, 1e3, 1e-12, 1e12])
def test_the_length_of_a_normalised_energy_means_nothing(size):
    score = NormalizedAdditiveScore(4, 6, 11).double()
    query, key = inputs(score)
    before = values(score, query, key)
    (slope,) = torch.autograd.grad(before.square().sum(), score.additive.energy)
    with torch.no_grad():
        score.additive.energy.mul_(size)
    after = values(score, query, key)
    assert_close(after, before)
    # the longer, the slower it turns
    assert_close(torch.autograd.grad(after.square().sum(), score.additive.energy)[0] * size, slope)


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


def test_from_the_start_of_the_paper_the_first_look_is_uniform_and_the_energy_learns_alone():
    score = AdditiveScore(4, 6, 11, init="paper").double()
    query, key = inputs(score)
    output = Attention(score)(query, key, need_weights=True)
    assert output.weights is not None
    assert_close(output.weights, torch.full((BATCH, QUERIES, KEYS), 1 / KEYS, dtype=torch.float64))
    slopes = torch.autograd.grad(output.context.square().sum(), (score.query_proj, score.key_proj, score.energy))
    assert [bool(slope.any()) for slope in slopes] == [False, False, True]


@pytest.mark.parametrize(
    ("build", "uniform", "zeros"),
    [
        (lambda: GeneralScore(110, 600), ["weight"], []),
        (lambda: BilinearScore(110, 600), ["weight"], ["bias"]),
        (lambda: BiaffineScore(110, 600), ["weight"], ["query_weight", "key_weight", "bias"]),
        (lambda: ConcatScore(110, 600, 400), ["weight"], []),
        (lambda: AdditiveScore(110, 600, 400, bias=True), ["query_proj", "key_proj"], ["bias"]),
        (lambda: LocationScore(110, 600, 400), ["weight"], []),
        (lambda: LinearScore(110, 600), [], ["bias"]),
        (lambda: ContentBiasScore(110), [], ["bias"]),
        (
            lambda: GatedAdditiveScore(110, 600, 400),
            ["query_proj", "query_gate", "key_proj", "key_gate"],
            ["proj_bias", "gate_bias"],
        ),
        (
            lambda: LocationSensitiveScore(110, 600, 400, filters=300, width=9),
            ["location_proj", "additive.query_proj", "additive.key_proj"],
            ["additive.bias"],
        ),
        (
            lambda: DynamicConvolutionScore(110, 600, 400, filters=90, width=41),
            ["query_proj", "filter_proj", "static_filters", "static_proj", "dynamic_proj"],
            ["query_bias", "bias"],
        ),
        (
            lambda: GaussianMixtureScore(110, 600, 400, mixtures=70),
            ["query_proj", "mixture_proj"],
            ["query_bias", "mixture_bias"],
        ),
        (lambda: RelativeBias(110, 200, value_dim=400), ["table", "value_table"], []),
        (lambda: LocalPredictiveWindow(110, 400), ["place_proj"], []),
        (BucketedRelativeBias, [], ["table"]),
        (lambda: SoftmaxOneNormalizer(learned=True, heads=3), [], ["sink"]),
        # half way between softmax and sparsemax
        (lambda: AlphaEntmaxNormalizer(learned=True, heads=3), [], ["raw"]),
    ],
)
def test_matrices_start_as_glorot_says_and_what_is_added_at_zero(build, uniform, zeros):
    part = build()
    for name in uniform:
        matrix = part.get_parameter(name)
        bound = math.sqrt(6 / sum(matrix.shape))
        assert 0.95 * bound < matrix.abs().max().item() <= bound * (1 + 1e-6)
        assert abs(matrix.mean().item()) < bound / 20
        assert matrix.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not any(part.get_parameter(name).any() for name in zeros)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: ConcatScore(4, 6, 900), "energy"),
        (lambda: AdditiveScore(4, 6, 900), "energy"),
        (lambda: NormalizedAdditiveScore(4, 6, 900), "additive.energy"),
        (lambda: GatedAdditiveScore(4, 6, 900), "energy"),
        (lambda: CoverageScore(4, 6, 900), "coverage_proj"),
        (lambda: DynamicConvolutionScore(4, 6, 900), "energy"),
    ],
)
def test_energies_start_normal_and_the_smaller_the_more_there_are(build, name):
    energy = build().get_parameter(name)
    assert energy.std().item() == pytest.approx(1 / 30, rel=0.1)
    assert abs(energy.mean().item()) < 0.005


def test_the_start_of_the_library():
    score, normalized = AdditiveScore(400, 600, 110), NormalizedAdditiveScore(4, 6, 16)
    assert score.bias is None
    assert LinearScore(4, 6).bias is not None
    for energy in (score.energy, GatedAdditiveScore(400, 600, 110).energy):
        assert 0.8 < energy.std().item() * math.sqrt(110) < 1.2
    assert 0.95 * math.sqrt(6 / 1001) < LinearScore(400, 600).weight.abs().max().item() <= math.sqrt(6 / 1001)
    for matrix in (score.query_proj, score.key_proj, GeneralScore(110, 600).weight):
        bound = math.sqrt(6 / sum(matrix.shape))
        assert 0.95 * bound < matrix.abs().max().item() <= bound
    assert normalized.gain.item() == 0.25
    assert not normalized.additive.get_parameter("bias").any()
    assert ScaledDotScore(4, learned=True).get_parameter("scale").item() == 1
    assert ScaledDotScore(4, scale=0.5, learned=True).get_parameter("scale").item() == 0.5
    query, key = torch.randn(1, 3, 9), torch.randn(1, 5, 9)
    for gamma, expected in ((None, 1 / 6), (0.3, 0.3)):
        for learned in (False, True):
            scores = values(DistanceScore(9, gamma, learned), query, key)
            assert_close(scores, -expected * ((query.unsqueeze(2) - key.unsqueeze(1)) ** 2).sum(-1))


def test_scores_with_a_fused_path_say_so():
    scores = [row.build() for row in SCORES]
    fused = {type(score) for score in scores if score.fused}
    assert fused == {type(score) for score in scores if "attend" in vars(type(score))}


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


def test_a_bilinear_score_without_bias_is_the_general_score_and_softmax_sees_no_bias():
    ours, theirs = BilinearScore(4, 6).double(), GeneralScore(4, 6).double()
    theirs.load_state_dict({"weight": ours.weight})
    query, key = inputs(ours)
    assert_close(values(ours, query, key), values(theirs, query, key))
    with torch.no_grad():
        ours.bias.fill_(3)
    assert_close(values(ours, query, key), values(theirs, query, key) + 3)
    assert_close(Attention(ours)(query, key).context, Attention(theirs)(query, key).context)


def test_a_biaffine_score_is_bilinear_in_vectors_with_a_one():
    score = randomised(BiaffineScore(4, 6))
    query, key = inputs(score)
    p = {name: each.detach() for name, each in score.named_parameters()}
    whole = torch.zeros(5, 7, dtype=torch.float64)
    whole[:4, :6], whole[:4, 6], whole[4, :6], whole[4, 6] = p["weight"], p["query_weight"], p["key_weight"], p["bias"]
    query_one, key_one = (
        torch.cat((each, torch.ones(BATCH, each.shape[1], 1, dtype=torch.float64)), -1) for each in (query, key)
    )
    assert_close(values(score, query, key), torch.einsum("bqi,ij,bkj->bqk", query_one, whole, key_one))
    assert [name for name, _ in BiaffineScore(4, 6, False, False, False).named_parameters()] == ["weight"]


@pytest.mark.messages
@pytest.mark.parametrize("terms", [(True, True, True), (False, True, False), (True, False, False)])
def test_a_biaffine_score_of_several_labels_is_one_for_each(terms):
    several = randomised(BiaffineScore(4, 6, *terms, num_labels=3))
    query, key = inputs(several)
    scores = values(several, query, key).unflatten(1, (3, -1))
    for label in range(3):
        one = BiaffineScore(4, 6, *terms).double()
        one.load_state_dict({name: each[label] for name, each in several.state_dict().items()})
        assert_close(scores[:, label], values(one, query, key))
    assert not several.fused
    with pytest.raises(ValueError, match="BiaffineScore gives 3 scores of each key, but SoftmaxNormalizer reads 1"):
        Attention(several)
    with pytest.raises(ValueError, match=r"num_labels is 0; expected a whole number \(int\) from 1 up"):
        BiaffineScore(4, 6, num_labels=0)


def test_a_location_score_does_not_look_at_keys_and_hides_those_without_a_row():
    score = randomised(LocationScore(4, 6, 3))
    query, key = inputs(score)
    for normalizer in (None, SoftmaxNormalizer(0.5)):
        attention = Attention(score, normalizer=normalizer)
        weights = attention(query, key, need_weights=True).weights
        assert weights is not None
        assert weights.equal(attention(query, torch.randn_like(key), need_weights=True).weights)
        assert not weights[..., 3:].any()
        assert_close(weights.sum(-1), torch.ones(BATCH, QUERIES, dtype=torch.float64))
    assert_close(values(score, query, key[:, :2]), values(score, query, key)[..., :2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_length_of_a_vector_means_nothing_to_the_cosine(dtype):
    score = CosineScore(4, start=2.0)
    query, key = (each.detach().to(dtype) for each in inputs(score))
    before = values(score, query, key)
    for size in (1e-30, 1e-3, 7.0, 1e30):
        assert_close(values(score, query * size, key / size), before)
    lengths = query.norm(dim=-1).unsqueeze(-1) * key.norm(dim=-1).unsqueeze(-2)
    assert_close(before * lengths, 2 * values(DotScore(4), query, key))
    assert (before.abs() <= 2 + 1e-6).all()
    assert_close(values(score, query, query).diagonal(dim1=1, dim2=2), torch.full((BATCH, QUERIES), 2.0))


def test_a_vector_of_zeros_has_no_angle_and_a_finite_gradient():
    query = torch.zeros(1, 1, 4, requires_grad=True)
    key = torch.tensor([[[0.0] * 4, [1.0, 2.0, 3.0, 4.0]]], requires_grad=True)
    actual = values(CosineScore(4), query, key)
    slopes = torch.autograd.grad(actual.sum(), (query, key))
    assert actual.tolist() == [[[0, 0]]]
    assert all(each.isfinite().all() for each in slopes)
    assert slopes[0].abs().max() <= 1
    leaf = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, leaf)


@pytest.mark.parametrize("sharpness", ["learned", "query"])
@pytest.mark.parametrize("start", [0.1, 1.0, 30.0])
def test_a_cosine_starts_as_sharp_as_it_is_asked_to(sharpness, start):
    query, key = (torch.randn(1, size, 4) for size in (3, 5))
    assert_close(values(CosineScore(4, sharpness, start), query, key), start * values(CosineScore(4), query, key))


@pytest.mark.messages
def test_a_cosine_of_fixed_sharpness_is_no_log_odds():
    for score in (CosineScore(4), CosineScore(4, "fixed", 5.0, offset=-1.0), CosineScore(4, "learned")):
        for normalizer in (MonotonicNormalizer(), StepwiseNormalizer()):
            name = type(normalizer).__name__
            message = (
                f"{name} reads scores as log-odds, but those of this CosineScore stay within fixed limits. Give "
                "CosineScore a learned sharpness and an offset, or use NormalizedAdditiveScore with an offset"
            )
            with pytest.raises(ValueError, match=message):
                Attention(score, normalizer=normalizer)
            with pytest.raises(ValueError, match=f"{name} reads scores as log-odds, but those of this SoftcapScore"):
                Attention(SoftcapScore(score), normalizer=normalizer)
            assert Attention(CosineScore(4, "learned", offset=-1.0), normalizer=normalizer)
            assert Attention(CosineScore(4, "query", offset=-1.0), normalizer=normalizer)


def test_a_trilinear_score_of_the_product_alone_is_the_dot_score():
    score = TrilinearScore(4).double()
    with torch.no_grad():
        score.linear.weight.copy_(torch.tensor([0.0] * 8 + [1.0] * 4))
    query, key = inputs(score)
    assert_close(values(score, query, key), values(DotScore(4), query, key))
    product = LinearScore(4, 4, ("product",), bias=False).double()
    torch.nn.init.ones_(product.weight)
    assert_close(values(product, query, key), values(DotScore(4), query, key))


def test_vectors_moved_together_are_as_far_apart():
    score = DistanceScore(4)
    query, key = (each.detach() for each in inputs(score))
    assert_close(values(score, query + 1e3, key + 1e3), values(score, query, key))
    # numbers that float32 holds, in a place where it does not hold their squares
    near = values(DistanceScore(2, 1.0), torch.tensor([[[1e4, 1e4]]]), torch.tensor([[[1e4, 1e4 + 0.125]]]))
    assert near.tolist() == [[[-(0.125**2)]]]


def test_keys_of_one_length_are_weighed_as_by_the_scaled_dot_product():
    distance, dot_product = DistanceScore(4), ScaledDotScore(4)
    query, key = (each.detach() for each in inputs(distance))
    key = unit(key) * 3
    ours, theirs = (Attention(score)(query, key).context for score in (distance, dot_product))
    assert_close(ours, theirs)


def test_closeness_is_nadaraya_watson_regression():
    query, key, value = (torch.randn(2, size, 3, dtype=torch.float64) for size in (4, 6, 6))
    bandwidth = 0.7
    kernel = torch.exp(-((query.unsqueeze(2) - key.unsqueeze(1)) ** 2).sum(-1) / (2 * bandwidth**2))
    context = Attention(RbfScore(3, bandwidth))(query, key, value).context
    assert_close(context, kernel @ value / kernel.sum(-1, keepdim=True))


def test_a_query_on_a_key_has_no_distance_and_no_slope():
    query = torch.ones(1, 1, 4, dtype=torch.float64, requires_grad=True)
    key = torch.ones(1, 2, 4, dtype=torch.float64, requires_grad=True)
    actual = values(DistanceScore(4), query, key)
    assert not actual.any()
    assert not any(each.any() for each in torch.autograd.grad(actual.sum(), (query, key)))


def test_a_gate_that_is_open_leaves_the_additive_score():
    gated, plain = randomised(GatedAdditiveScore(4, 6, 11)), AdditiveScore(4, 6, 11, bias=True).double()
    with torch.no_grad():
        gated.key_gate.zero_()
        gated.query_gate.zero_()
        gated.gate_bias.fill_(50)
    names = {"query_proj": "query_proj", "key_proj": "key_proj", "proj_bias": "bias", "energy": "energy"}
    plain.load_state_dict({names[name]: each for name, each in gated.state_dict().items() if name in names})
    query, key = inputs(gated)
    assert_close(values(gated, query, key), values(plain, query, key))


def test_a_cap_holds_scores_and_hides_what_was_hidden():
    inner = randomised(GeneralScore(4, 6))
    query, key = inputs(inner)
    before = values(inner, query, key)
    assert (values(SoftcapScore(inner, 0.5), query, key).abs() <= 0.5).all()
    assert_close(values(SoftcapScore(inner, 1e8), query, key), before)
    hidden = Attention(SoftcapScore(LocationScore(4, 6, 3), 1.0)).double()
    weights = hidden(query, key, need_weights=True).weights
    assert weights is not None
    assert not weights[..., 3:].any()


def test_a_capped_score_keeps_its_state_and_its_memory():
    covered = CoverageScore(4, 6, 11).double()
    plain, capped = Attention(covered), Attention(SoftcapScore(covered, 1e8))
    assert capped.stateful
    query, key = inputs(covered)
    assert_close(capped(query, key).context, plain(query, key).context)
    memory, state = capped.remember(key), None
    for place in range(QUERIES):
        _, state = capped.step(query[:, place : place + 1], memory, state)
    assert state is not None
    assert_close(state.score.sum((1, 2)), torch.full((BATCH,), float(QUERIES), dtype=torch.float64))


@pytest.mark.messages
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LocationScore(4, 6, 0), r"max_keys is 0; expected a whole number \(int\) from 1 up"),
        (lambda: CosineScore(4, "sharp"), "sharpness is 'sharp'; expected one of 'fixed', 'learned', 'query'"),
        (lambda: CosineScore(4, start=0.0), r"start is 0\.0; expected a sharpness above 0 \(1 is the cosine itself\)"),
        (
            lambda: LinearScore(4, 6, ("key", "angle")),
            "a feature is 'angle'; expected one of 'query', 'key', 'pro",
        ),
        (lambda: LinearScore(4, 6, ("query",)), r"features are \['query'\]; expected one that has the key in it"),
        (
            lambda: LinearScore(4, 6, ("key", "product")),
            r"key has 6 features but query has 4; a feature of both sides compares them directly\. Use features=\(",
        ),
        (lambda: RbfScore(4, 0.0), r"bandwidth is 0\.0; expected the standard deviation of the kernel, above 0"),
        (lambda: DistanceScore(4, gamma=-1.0), r"gamma is -1\.0; expected a number above 0, 1 / \(2 bandwidth\^2\)"),
        (lambda: SoftcapScore(DotScore(4), 0.0), r"cap is 0\.0; expected a number above 0\. For no cap use the score"),
    ],
)
def test_numbers_and_words_that_make_no_score_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
