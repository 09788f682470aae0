"""One row per normaliser: how it is built, its weights for the visible scores of one query. The facts run from it."""

import itertools
from functools import partial

import entmax
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heedful.attention import Attention, MultiHeadAttention, normalizers
from heedful.attention.normalizers import (
    AlphaEntmaxNormalizer,
    Entmax15Normalizer,
    FusedmaxNormalizer,
    GumbelSoftmaxNormalizer,
    HardmaxNormalizer,
    Normalizer,
    SampledHardNormalizer,
    SigmoidNormalizer,
    SmoothedNormalizer,
    SoftmaxNormalizer,
    SoftmaxOneNormalizer,
    SparsemaxNormalizer,
    StraightThroughNormalizer,
    TopKNormalizer,
)
from heedful.attention.normalizers._runs import levels_by_cuts
from heedful.attention.normalizers.alpha_entmax import alpha_entmax as alpha_entmax_of
from heedful.attention.normalizers.base import finite_rows
from heedful.attention.normalizers.fusedmax import fuse, levels_in_graphs
from heedful.attention.scores import DotScore, ScaledDotScore
from tests.attention.rows import BATCH, KEYS, QUERIES, NormalizerRow, built, exported, written
from tests.tolerances import assert_close


def softmax(scores, temperature=1.0):
    """Bahdanau 2015, equation 6; with a temperature, Chorowski 2015, section 2.3 (whose sharpening is its inverse)."""
    powers = torch.exp((scores - scores.detach().max()) / temperature)
    return powers / powers.sum()


def sparsemax(scores):
    """Martins and Astudillo 2016: the nearest point of the simplex, by trying every set of keys for its support."""
    found = []
    for size in range(1, len(scores) + 1):
        for support in itertools.combinations(range(len(scores)), size):
            inside = scores[list(support)]
            share = inside - (inside.sum() - 1) / size
            if (share.detach() > 0).all():
                weights = torch.zeros_like(scores)
                weights[list(support)] = share
                found.append(weights)
    return min(found, key=lambda weights: ((weights - scores) ** 2).sum().item())


def entmax15(scores):
    """Peters 2019: (s / 2 - tau)^2 above tau; tau by bisection, then one Newton step, which carries the gradient."""
    low, high = float(scores.detach().max()) / 2 - 1, float(scores.detach().max()) / 2
    for _ in range(200):
        middle = (low + high) / 2
        above = float(((scores.detach() / 2 - middle).clamp_min(0) ** 2).sum()) > 1
        low, high = (middle, high) if above else (low, middle)
    root = (scores / 2 - low).clamp_min(0)
    tau = low + ((root**2).sum() - 1) / (2 * root.detach().sum())
    return (scores / 2 - tau).clamp_min(0) ** 2


def alpha_entmax(scores, alpha):
    """Peters 2019: ((alpha - 1) s - tau)^(1 / (alpha - 1)); tau as above, the Newton step for alpha, too."""
    alpha = torch.as_tensor(alpha, dtype=scores.dtype)
    scaled, power = (alpha - 1) * scores, 1 / (alpha - 1)
    low, high = float(scaled.detach().max()) - 1, float(scaled.detach().max())
    for _ in range(60):
        middle = (low + high) / 2
        above = float(((scaled - middle).detach().clamp_min(0) ** power.detach()).sum()) > 1
        low, high = (middle, high) if above else (low, middle)
    inside = (scaled - low).detach() > 0
    gap = (scaled - low)[inside]
    tau = low + ((gap**power).sum() - 1) / (power * gap ** (power - 1)).sum().detach()
    return torch.zeros_like(scores).masked_scatter(inside, (scaled - tau)[inside].clamp_min(0) ** power)


def fusedmax(scores, strength):
    """Niculae and Blondel 2017: sparsemax of the smoothed scores, by trying for each step none, one up and one down."""
    known, found = scores.tolist(), []
    for steps in itertools.product((0, -1, 1), repeat=len(known) - 1):
        ends = [0, *(place for place, step in enumerate(steps, 1) if step), len(known)]
        pulls = [0, *(step for step in steps if step), 0]
        runs = [
            (first, last, strength * (after - before) / (last - first))
            for first, last, before, after in zip(ends, ends[1:], pulls, pulls[1:], strict=False)
        ]
        tried = [
            sum(known[first:last]) / (last - first) + pull for first, last, pull in runs for _ in range(first, last)
        ]
        cost = sum((one - other) ** 2 for one, other in zip(tried, known, strict=True)) / 2
        cost += strength * sum(abs(one - other) for one, other in itertools.pairwise(tried))
        found.append((cost, runs))
    best = min(found, key=lambda pair: pair[0])[1]
    return sparsemax(torch.cat([scores[first:last].mean().expand(last - first) + pull for first, last, pull in best]))


def hardmax(scores):
    """The first of the largest; no gradient."""
    known = scores.tolist()
    best = max(range(len(known)), key=lambda place: (known[place], -place))
    return torch.eye(len(scores), dtype=scores.dtype)[best] + 0 * scores.sum()


def straight_through(scores):
    """Bengio 2013: the value of one, the gradient of the other."""
    soft = softmax(scores)
    return hardmax(scores) + soft - soft.detach()


def smoothed(scores):
    """Chorowski 2015, section 2.3: sigmoids, divided by their sum."""
    powers = 1 / (1 + torch.exp(-scores))
    return powers / powers.sum()


def two_best(scores):
    """Zhao 2019: softmax among the two largest."""
    known = scores.tolist()
    places = sorted(range(len(known)), key=lambda place: (-known[place], place))[:2]
    weights = torch.zeros_like(scores)
    weights[places] = softmax(scores[places])
    return weights


NORMALIZERS = [
    NormalizerRow(SoftmaxNormalizer, softmax),
    NormalizerRow(lambda: SoftmaxNormalizer(0.4), lambda scores: softmax(scores, 0.4), "temperature"),
    NormalizerRow(
        lambda: SoftmaxNormalizer(learned=True),
        lambda scores, raw: softmax(scores, torch.log(1 + torch.exp(raw)) + 0.01),
        "learned",
    ),
    NormalizerRow(
        SoftmaxOneNormalizer, lambda scores: softmax(torch.cat((scores, scores.new_zeros(1))))[:-1], distribution=False
    ),
    NormalizerRow(SparsemaxNormalizer, sparsemax),
    NormalizerRow(Entmax15Normalizer, entmax15),
    NormalizerRow(lambda: FusedmaxNormalizer(0.3), partial(fusedmax, strength=0.3), positional=True),
    NormalizerRow(
        lambda: AlphaEntmaxNormalizer(learned=True),
        lambda scores, raw: alpha_entmax(scores, 1 + 1 / (1 + torch.exp(-raw))),
        "learned",
    ),
    NormalizerRow(SigmoidNormalizer, lambda scores: 1 / (1 + len(scores) * torch.exp(-scores)), distribution=False),
    NormalizerRow(
        partial(SigmoidNormalizer, learned=True),
        lambda scores, bias: 1 / (1 + len(scores) * torch.exp(-scores - bias)),
        option="learned",
        distribution=False,
    ),
    NormalizerRow(SmoothedNormalizer, smoothed),
    NormalizerRow(HardmaxNormalizer, hardmax, chooses=True),
    NormalizerRow(StraightThroughNormalizer, straight_through, chooses=True),
    NormalizerRow(lambda: TopKNormalizer(2), two_best),
    NormalizerRow(lambda: GumbelSoftmaxNormalizer().eval(), softmax, chooses=True, draws=True),
    NormalizerRow(lambda: SampledHardNormalizer().eval(), softmax, chooses=True, draws=True),
]

# Their weights depend on the queries before: tests/attention/test_monotonic.py
STATEFUL = {
    "ChunkwiseNormalizer",
    "ConstrainedSoftmaxNormalizer",
    "ConstrainedSparsemaxNormalizer",
    "ForwardNormalizer",
    "ForwardTransitionNormalizer",
    "IntraTemporalNormalizer",
    "MonotonicNormalizer",
    "StepwiseNormalizer",
}

# It reads the scores of mixtures alone: tests/attention/test_location_relative.py
UNDIVIDED = {"ExponentialNormalizer"}

each_normalizer = pytest.mark.parametrize("row", NORMALIZERS, ids=str)


def test_every_normalizer_has_a_row():
    missing = exported(normalizers, Normalizer) - built(NORMALIZERS) - STATEFUL - UNDIVIDED
    assert not missing, f"no row in NORMALIZERS of {__file__}: {', '.join(sorted(missing))}"


def test_every_normalizer_is_exported():
    missing = written(normalizers, Normalizer) - exported(normalizers, Normalizer)
    assert not missing, f"no line in heedful/attention/normalizers/__init__.py: {', '.join(sorted(missing))}"


@each_normalizer
def test_weights_are_those_of_the_formula_on_the_visible_scores(row):
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64)
    mask = torch.rand(BATCH, QUERIES, KEYS) > 0.3
    normalizer = row.build().double()
    weights, _ = normalizer(scores, mask)
    weigh = row.weigh_for(normalizer)
    for item in range(BATCH):
        for query in range(QUERIES):
            visible = mask[item, query]
            assert_close(weights[item, query, visible], weigh(scores[item, query, visible]))
            assert not weights[item, query, ~visible].any()


@each_normalizer
def test_a_score_of_minus_infinity_hides_its_key(row):
    scores = torch.randn(1, 1, KEYS, dtype=torch.float64)
    mask = torch.tensor([[[True, False, True, True, False]]])
    expected, _ = row.build()(scores, mask)
    actual, _ = row.build()(scores.masked_fill(~mask, -torch.inf), None)
    assert_close(actual, expected)


def test_a_constant_added_to_a_row_changes_nothing():
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64)
    # no row is measured by the largest score of another
    shifted = scores + torch.tensor([-1e4, 0.0, 1e4]).view(1, QUERIES, 1)
    assert_close(SoftmaxNormalizer()(shifted, None)[0], torch.softmax(scores, -1), torch.float32)
    assert_close(SoftmaxNormalizer(0.7)(shifted, None)[0], torch.softmax(scores / 0.7, -1), torch.float32)


def test_temperature_sharpens_and_flattens():
    scores = torch.tensor([[[1.0, 3.0, 2.0]]])
    mask = torch.tensor([[[True, True, True]]])
    assert_close(SoftmaxNormalizer(1e-3)(scores, mask)[0], torch.tensor([[[0.0, 1.0, 0.0]]]))
    assert_close(SoftmaxNormalizer(1e9)(scores, mask)[0], torch.full((1, 1, 3), 1 / 3))
    some = torch.tensor([[[True, False, True]]])
    assert_close(SoftmaxNormalizer(1e9)(scores, some)[0], torch.tensor([[[0.5, 0.0, 0.5]]]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_no_positive_number_is_refused(temperature):
    with pytest.raises(ValueError, match=rf"temperature is {temperature}; expected a number above 0"):
        SoftmaxNormalizer(temperature)
    with pytest.raises(ValueError, match=rf"temperature is {temperature}; expected a number above 0.01"):
        SoftmaxNormalizer(temperature, learned=True)


@pytest.mark.parametrize("temperature", [0.02, 1.0, 7.0, 400.0])
def test_a_learned_temperature_begins_where_it_is_told_to(temperature):
    scores = torch.randn(BATCH, QUERIES, KEYS)
    learned = SoftmaxNormalizer(temperature, learned=True)
    assert not learned.is_plain_softmax
    assert_close(learned(scores, None)[0], SoftmaxNormalizer(temperature)(scores, None)[0])
    (learned(scores, None)[0] * scores).sum().backward()
    assert learned.raw.grad.isfinite()


def rows(least=-60, most=60):
    """Scores of one row, of any number of keys."""
    number = st.floats(least, most, allow_nan=False, width=32)
    return st.lists(number, min_size=1, max_size=8).map(lambda row: torch.tensor([[row]], dtype=torch.float64))


@given(rows(), st.data())
def test_sparse_weights_are_those_of_another_library(scores, data):
    for ours, theirs in ((SparsemaxNormalizer(), entmax.sparsemax), (Entmax15Normalizer(), entmax.entmax15)):
        # `entmax` fails on a row whose scores are all minus infinity, so nothing is hidden here
        assert_close(ours(scores, None)[0], theirs(scores, dim=-1))
        leaf, other = scores.clone().requires_grad_(), scores.clone().requires_grad_()
        upstream = torch.arange(scores.shape[-1], dtype=torch.float64)
        (ours(leaf, None)[0] * upstream).sum().backward()
        (theirs(other, dim=-1) * upstream).sum().backward()
        assert_close(leaf.grad, other.grad)  # pyright: ignore[reportArgumentType]


@given(rows(), st.floats(-1e3, 1e3))
def test_a_constant_changes_no_distribution_but_the_smoothed(scores, constant):
    for normalizer in (SparsemaxNormalizer(), Entmax15Normalizer(), FusedmaxNormalizer()):
        assert_close(normalizer(scores + constant, None)[0], normalizer(scores, None)[0], torch.float32)
    two = torch.tensor([[[0.0, 1.0]]])
    assert not torch.allclose(SmoothedNormalizer()(two + 3, None)[0], SmoothedNormalizer()(two, None)[0])


@pytest.mark.parametrize(("normalizer", "gap"), [(SparsemaxNormalizer(), 1.0), (Entmax15Normalizer(), 2.0)])
def test_a_gap_makes_sparse_weights_one_hot(normalizer, gap):
    for more, alone in ((1e-3, True), (-1e-3, False)):
        weights, _ = normalizer(torch.tensor([[[0.0, gap + more]]], dtype=torch.float64), None)
        assert (weights[0, 0, 0] == 0) == alone


@each_normalizer
def test_leading_axes_scores_of_ten_thousand_and_rows_of_minus_infinity(row):
    """Half precision comes widened to float32, whatever the numbers were."""
    scores = torch.tensor([1e4, -1e4, 0.0, 1e4, -torch.inf]).expand(1, 2, 5).clone()
    scores[0, 1] = -torch.inf
    scores.requires_grad_()
    weights, _ = row.build()(scores, None)
    (weights * torch.arange(5.0) + 0 * scores.nan_to_num()).sum().backward()
    assert scores.grad is not None
    assert weights.isfinite().all()
    assert scores.grad.isfinite().all()
    assert not weights[0, 1].any()
    assert not scores.grad[0, 1].any()
    assert not weights[0, 0, 4]


@pytest.mark.parametrize("row", [row for row in NORMALIZERS if row.distribution], ids=str)
@pytest.mark.parametrize("size", [3e7, -3e7, 1e10])
def test_hidden_keys_take_nothing_beside_huge_scores(row, size):
    """In float32, 3e7 - 2 is 3e7."""
    mask = torch.tensor([[[False, True, False, True]]])
    weights, _ = row.build()(torch.tensor([[[7.0, size, 9.0, size * (1 + 1e-6)]]]), mask)
    assert_close(weights.sum(), torch.tensor(1.0))
    assert not weights[~mask].any()


@given(rows(), st.sampled_from([1.01, 1.1, 1.3, 1.5, 1.8, 1.95]))
def test_weights_of_any_exponent_are_those_of_another_library_with_their_gradients(scores, exponent):
    upstream = torch.arange(scores.shape[-1], dtype=torch.float64)
    found = []
    for entmax_of in (alpha_entmax_of, partial(entmax.entmax_bisect, dim=-1, n_iter=80)):
        leaf, alpha = scores.clone().requires_grad_(), torch.tensor(exponent, dtype=torch.float64, requires_grad=True)
        weights = entmax_of(leaf, alpha)
        # theirs divides by zero weights for the gradient where one key holds all
        slopes = torch.autograd.grad((weights * upstream).sum(), (leaf, alpha))
        found.append((weights, *slopes))
    for ours, theirs in zip(*found, strict=True):
        # bisection leaves 1e-9 in the weight of a key at the edge, more in a gradient there
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@given(rows(-3, 3), st.floats(0, 2), st.data())
def test_a_fused_distribution_is_the_best_one_by_its_conditions(scores, strength, data):
    """Karush, Kuhn and Tucker: what pulls at each key is a step's sign, or less than that inside a run."""
    scores = data.draw(
        st.sampled_from([scores, scores.round(), scores.repeat(1, 1, 9) + torch.arange(9 * scores.shape[-1]) % 7])
    )[0, 0]
    strengths = torch.nn.functional.pad(torch.full((len(scores) - 1,), strength, dtype=torch.float64), (1, 1))
    smooth = fuse(scores, strengths)
    pull = (smooth - scores).cumsum(0)
    assert abs(float(pull[-1])) < 1e-9
    assert (pull[:-1].abs() <= strength + 1e-9).all()
    assert_close(pull[:-1] * smooth.diff(), strength * smooth.diff().abs())
    weights = FusedmaxNormalizer(strength)(scores.view(1, 1, -1), None)[0][0, 0]
    # the same pull, and a price for all that each weight of 0 may undercut
    price = weights - scores - torch.nn.functional.pad(pull[:-1], (0, 1)) + torch.nn.functional.pad(pull[:-1], (1, 0))
    assert_close(price[weights > 0], price.min().expand(int((weights > 0).sum())))
    assert_close(strength * weights.diff().abs(), pull[:-1] * weights.diff())


def test_fused_weights_are_those_of_the_authors_example_and_run_from_sparsemax_to_one_run():
    scores = torch.tensor([[[1.0, 2.1, 1.9]]], dtype=torch.float64, requires_grad=True)
    assert_close(FusedmaxNormalizer(0.1)(scores, None)[0], torch.tensor([[[0.0, 0.5, 0.5]]], dtype=torch.float64))
    assert_close(FusedmaxNormalizer(0.0)(scores, None)[0], SparsemaxNormalizer()(scores, None)[0])
    assert_close(FusedmaxNormalizer(9.0)(scores, None)[0], torch.full((1, 1, 3), 1 / 3, dtype=torch.float64))
    long = (0.2 * torch.randn(1, 2, 40, dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(1, 2, 40, dtype=torch.float64)
    weights, _ = FusedmaxNormalizer(0.1)(long, None)
    (slope,) = torch.autograd.grad((weights * upstream).sum(), long)
    # what reaches one key of a run reaches all of it alike
    same = (weights.diff() == 0) & (weights[..., 1:] > 0)
    assert same.any()
    assert_close(slope.diff()[same], torch.zeros(int(same.sum()), dtype=torch.float64))


@pytest.mark.parametrize("keys", [1, 2, 3, 7, 64, 100])
def test_runs_found_by_cuts_are_those_of_the_formula_in_graphs(keys):
    rows = 3 * torch.randn(30, keys, dtype=torch.float64)
    rows[10:20] = rows[10:20].round()
    # each round cuts off one key
    rows[20:] = 2.0 ** torch.arange(keys, dtype=torch.float64).clamp(max=25)
    ties = torch.rand(30, keys + 1, dtype=torch.float64) * 2
    ties[5:25] = 1.0
    ties[::3].masked_fill_(torch.rand(10, keys + 1) < 0.3, 0.0)
    ties[:, 0] = ties[:, -1] = 0.0
    found, expected = levels_by_cuts(rows, ties), levels_in_graphs(rows, ties)
    assert_close(found, expected)
    assert torch.equal(found.diff() != 0, expected.diff() != 0)


def test_a_hidden_key_is_in_no_run_where_it_would_equal_a_visible_one():
    scores = torch.tensor([[[0.0, -0.3, 0.0]]], dtype=torch.float64, requires_grad=True)
    alone = scores.detach()[..., :2].requires_grad_()
    weights, _ = FusedmaxNormalizer(0.1)(scores, torch.tensor([[[True, True, False]]]))
    expected, _ = FusedmaxNormalizer(0.1)(alone, None)
    assert_close(weights[..., :2], expected)
    (slope,), (wanted,) = (
        torch.autograd.grad(each[0, 0, 0], leaf) for each, leaf in ((weights, scores), (expected, alone))
    )
    assert_close(slope[..., :2], wanted)
    assert not slope[..., 2]


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_a_strength_that_is_no_price_is_refused(strength):
    with pytest.raises(ValueError, match=rf"strength is {strength}; expected what a step between neighbours costs"):
        FusedmaxNormalizer(strength)


def test_an_exponent_moves_from_softmax_to_sparsemax():
    scores = torch.randn(BATCH, QUERIES, KEYS, dtype=torch.float64)
    for alpha, plain in ((1 + 1e-9, SoftmaxNormalizer()), (1.5, Entmax15Normalizer()), (2.0, SparsemaxNormalizer())):
        assert_close(AlphaEntmaxNormalizer(alpha)(scores, None)[0], plain(scores, None)[0], torch.float32)
    saturated = AlphaEntmaxNormalizer(learned=True)
    for raw, plain in ((-1e4, SoftmaxNormalizer()), (1e4, SparsemaxNormalizer())):
        torch.nn.init.constant_(saturated.raw, raw)
        assert_close(saturated(scores.float(), None)[0], plain(scores, None)[0])
    found = [AlphaEntmaxNormalizer(alpha)(scores * 3, None)[0] for alpha in (1.1, 1.5, 1.9)]
    assert found[0].count_nonzero() > found[1].count_nonzero() > found[2].count_nonzero()


@pytest.mark.parametrize(("alpha", "learned"), [(1.0, False), (2.5, False), (float("nan"), False), (2.0, True)])
def test_an_exponent_out_of_range_is_refused(alpha, learned):
    bound = "below 2, where it is learned" if learned else r"up to 2 \(SparsemaxNormalizer\)"
    with pytest.raises(
        ValueError, match=rf"alpha is {alpha}; expected a number above 1 \(SoftmaxNormalizer\) and {bound}"
    ):
        AlphaEntmaxNormalizer(alpha, learned)


@pytest.mark.parametrize(
    "build", [SparsemaxNormalizer, Entmax15Normalizer, FusedmaxNormalizer, partial(AlphaEntmaxNormalizer, 1.3)]
)
def test_sparse_weights_are_differentiable_twice(build):
    scores = torch.tensor([[[0.3, 0.9, -0.2, 0.5, -3.0]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda scores: build()(scores, None)[0], scores)
    alpha = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(alpha_entmax_of, (scores, alpha))


def test_a_sink_takes_what_no_key_earns():
    normalizer = SoftmaxOneNormalizer(learned=True)
    for low in (-50.0, -1e4):
        assert_close(normalizer(torch.full((1, 1, 3), low), None)[0].sum(), torch.tensor(0.0))
    with torch.no_grad():
        normalizer.sink.fill_(-200.0)
    assert_close(normalizer(torch.full((1, 1, 3), -50.0), None)[0], torch.full((1, 1, 3), 1 / 3))
    normalizer(torch.zeros(1, 1, 3), None)[0].sum().backward()
    assert normalizer.sink.grad.isfinite()
    # an added key of score 0 and value 0 is the same
    scores = torch.randn(2, 3, 5, dtype=torch.float64)
    whole = torch.softmax(torch.cat((scores, torch.zeros(2, 3, 1, dtype=torch.float64)), -1), -1)
    assert_close(SoftmaxOneNormalizer()(scores, None)[0], whole[..., :-1])


def test_of_equal_scores_the_first_is_chosen():
    scores, mask = torch.tensor([[[2.0, 5.0, 5.0, 5.0]]]), torch.tensor([[[True, False, True, True]]])
    for normalizer in (HardmaxNormalizer(), StraightThroughNormalizer(), TopKNormalizer(1), TopKNormalizer(1, True)):
        assert normalizer(scores, mask)[0].tolist() == [[[0, 0, 1, 0]]]
    assert TopKNormalizer(3)(torch.zeros(1, 1, 5), None)[0].bool().tolist() == [[[True, True, True, False, False]]]


@given(rows(), st.sampled_from([1.0, 0.3, 5.0]), st.booleans())
def test_a_straight_choice_is_hard_with_a_soft_gradient(scores, temperature, training):
    for straight, plain in (
        (StraightThroughNormalizer(temperature), HardmaxNormalizer()),
        (TopKNormalizer(2, straight_through=True), TopKNormalizer(2)),
    ):
        hard, soft = scores.clone().requires_grad_(), scores.clone().requires_grad_()
        upstream = torch.arange(scores.shape[-1], dtype=torch.float64)
        weights, _ = straight.train(training)(hard, None)
        assert weights.equal(plain(scores, None)[0])
        (weights * upstream).sum().backward()
        (torch.softmax(soft / getattr(straight, "temperature", 1.0), -1) * upstream).sum().backward()
        assert_close(hard.grad, soft.grad)


@pytest.mark.parametrize(
    "straight", [TopKNormalizer(2, straight_through=True), StraightThroughNormalizer()], ids=["top-k", "hard"]
)
def test_a_straight_gradient_reaches_no_hidden_key_and_no_empty_row(straight):
    scores = torch.randn(2, 2, 4, dtype=torch.float64)
    mask = torch.tensor([[[True, True, False, True], [False] * 4]])
    for anything in (0.0, torch.nan, torch.inf, -torch.inf):
        spoilt = scores.masked_fill(~mask, anything).requires_grad_()
        weights, _ = straight(spoilt, mask)
        (slope,) = torch.autograd.grad((weights * torch.arange(4)).sum(), spoilt)
        assert not weights[:, 1].any()
        assert slope.isfinite().all()
        assert not slope.masked_select(~mask).any()
        assert slope[:, 0, [0, 1, 3]].all()


@pytest.mark.messages
def test_what_is_left_out_is_not_dropped_again():
    message = (
        r"TopKNormalizer gives the weights that it leaves out a gradient, .* Use dropout=0, or TopKNormalizer without"
    )
    with pytest.raises(ValueError, match=message):
        Attention(DotScore(4), normalizer=TopKNormalizer(2, straight_through=True), dropout=0.1)
    assert Attention(DotScore(4), normalizer=TopKNormalizer(2), dropout=0.1)
    with pytest.raises(ValueError, match=r"temperature is 0\.0; expected a number above 0 \(1 changes nothing\)"):
        StraightThroughNormalizer(0.0)


@pytest.mark.messages
@pytest.mark.parametrize(
    "build",
    [SoftmaxNormalizer, SoftmaxOneNormalizer, AlphaEntmaxNormalizer, SigmoidNormalizer],
    ids=lambda build: build.__name__,
)
def test_each_head_learns_a_number_of_its_own(build):
    """Three heads side by side in the batch, as multi-head attention folds them, against one normaliser for each."""
    together = build(learned=True, heads=3).double()
    (numbers,) = together.parameters()
    torch.nn.init.normal_(numbers)
    scores = torch.randn(6, QUERIES, KEYS, dtype=torch.float64)
    weights, _ = together(scores, None)
    for head in range(3):
        alone = build(learned=True).double()
        torch.nn.init.constant_(next(alone.parameters()), numbers[head].item())
        assert_close(weights[head::3], alone(scores[head::3], None)[0])
    (slopes,) = torch.autograd.grad(weights.square().sum(), numbers)
    assert slopes.all()
    heads = MultiHeadAttention(12, 3, attention=Attention(ScaledDotScore(4), normalizer=together)).double()
    assert heads(*[torch.randn(2, 5, 12, dtype=torch.float64)] * 2).context.shape == (2, 5, 12)
    with pytest.raises(ValueError, match="a batch of 4 came to numbers of 3 heads; expected a multiple of 3"):
        together(scores[:4], None)
    with pytest.raises(ValueError, match=r"heads is 0; expected a whole number \(int\) from 1 up"):
        build(heads=0)


def test_all_keys_of_top_k_are_a_softmax():
    scores = torch.randn(2, 3, 5, dtype=torch.float64)
    assert_close(TopKNormalizer(5)(scores, None)[0], torch.softmax(scores, -1))
    assert_close(TopKNormalizer(9)(scores, None)[0], torch.softmax(scores, -1))
    alone = scores.requires_grad_()
    weights, _ = TopKNormalizer(1)(alone, None)
    assert weights.equal(HardmaxNormalizer()(scores, None)[0])
    assert not torch.autograd.grad((weights * torch.arange(5)).sum(), alone)[0].any()


def test_one_key_of_a_sigmoid_moves_its_own_weight_alone():
    scores = torch.randn(1, 1, 5, dtype=torch.float64)
    moved = scores.clone()
    moved[0, 0, 2] += 3
    before, after = SigmoidNormalizer()(scores, None)[0], SigmoidNormalizer()(moved, None)[0]
    assert (before != after).nonzero()[:, 2].tolist() == [2]
    assert_close(SigmoidNormalizer()(torch.zeros(1, 1, 5), None)[0].sum(), torch.tensor(5 / 6))


@pytest.mark.messages
def test_a_sigmoid_counts_the_visible_keys_or_all_of_them():
    scores, mask = torch.zeros(1, 1, 5), torch.tensor([[[True, False, True, True, False]]])
    for count, number in (("visible", 3), ("all", 5)):
        expected = torch.where(mask, 1 / (1 + number), 0.0)
        assert_close(SigmoidNormalizer(count)(scores, mask)[0], expected)
    with pytest.raises(ValueError, match="count is 'some'; expected one of 'visible', 'all'"):
        SigmoidNormalizer("some")


def test_smoothed_weights_do_not_underflow():
    scores = torch.tensor([[[-1000.0, -1001.0]]])
    assert_close(SmoothedNormalizer()(scores, None)[0], torch.softmax(scores, -1))
    assert_close(SmoothedNormalizer()(torch.tensor([[[90.0, 40.0]]]), None)[0], torch.full((1, 1, 2), 0.5))


@pytest.mark.messages
@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_a_k_that_is_no_number_of_keys_is_refused(k):
    with pytest.raises(ValueError, match=rf"k is {k!r}; expected a whole number from 1 up, the keys that keep"):
        TopKNormalizer(k)


def test_what_chooses_one_key_says_so():
    assert [row.build().chooses for row in NORMALIZERS] == [row.chooses for row in NORMALIZERS]


@pytest.mark.parametrize("largest", [1.0, 1e8, -1e8, 1e32])
def test_what_is_hidden_lies_below_the_largest_and_is_finite(largest):
    scores, hidden = finite_rows(torch.tensor([[[largest, 5.0]]]), torch.tensor([[[True, False]]]), below=1.0)
    assert hidden.tolist() == [[[False, True]]]
    assert scores[0, 0, 0] == largest
    assert -torch.inf < scores[0, 0, 1] < largest
